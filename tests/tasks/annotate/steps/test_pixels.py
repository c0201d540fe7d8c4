"""Refinement by pixels in an annotation: what it changes, what it keeps, and what it says."""

import json
import re
from dataclasses import dataclass, replace
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from annotated_project import PEOPLE, annotate, step_states, write_project
from grey_renderer import grey_renderer
from small_pages import small_pages

from benchmarks.pixel_renderers import learn_renderer
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.evidence import unpack_arrays
from datasets_manifest.schema.labels import PIXEL_COLUMNS, PIXEL_PARTS
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import read_footer
from fitting.pixel_settings import PixelConfig
from fitting.refine_pixels import PixelResult, PixelStatus
from model.body.assets import load_open_body
from model.estimators.mediapipe.graphs import runner
from model.renderer.splat import native_library
from model.renderer.texture.file import RendererMeta, save_renderer
from tasks.annotate import provenance
from tasks.annotate.provenance import step_config
from tasks.annotate.settings import Origin
from tasks.annotate.steps import pixels
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.refine import refine_labels
from tasks.annotate.workspace import ShardRef, Workspace

pytestmark = pytest.mark.long

masks = pytest.importorskip("model.estimators.mediapipe.masks")
FIGURES = torch.full((1, 3), torch.nan)
LEAST_GAIN, TILE_PX = 0.16, 96
FIT = {"pixels__fit__least_gain": LEAST_GAIN, "pixels__fit__iterations": 2}
MOVED = {
    "left_hand": {"left_hand_pose"},
    "right_hand": {"right_hand_pose"},
    "head": {"jaw_pose", "flame_expression", "head_scale"},
}
"""Part -> parameters that move with it and with no other part."""


def opened_jaw(problem, solution, photos, masks, parts, config, rasteriser):
    """In place of the refinement: the jaw of every other person of a shard is opened by a tenth of a radian."""
    count = len(solution.status)
    status = torch.full((count, 3), int(PixelStatus.NO_PICTURE))
    status[::2, 2] = int(PixelStatus.CHANGED)
    jaw = solution.state.jaw_pose.clone()
    turn = torch.tensor([[1.0, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]]).to(jaw)
    jaw[::2] = jaw[::2] @ turn
    return PixelResult(
        solution=replace(solution, state=replace(solution.state, jaw_pose=jaw)),
        status=status,
        photometric_gain=torch.where(status == 0, 0.25, torch.nan),
        start_share=torch.zeros(count, 3),
        picture_loss=torch.zeros(count, 3, 2),
        keypoint_cost=torch.zeros(count, 3, 2),
    )


def labels(folder):
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / "labels").rglob("*.parquet"))])


def refined(params, renderer, shards=(0, 1), **changes):
    """Labels as the last step makes them, none written."""
    overrides = {"pixels.renderer": str(renderer)} | {f"pixels.fit.{name}": value for name, value in changes.items()}
    config = Origin.of(params, overrides).config()
    refs = [ShardRef(dataset="few", split="all", index=shard) for shard in shards]
    return pa.concat_tables([refine_labels(ShardJob(ref, Workspace.of(config.output), config)) for ref in refs])


@pytest.fixture(scope="module")
def project(tmp_path_factory, rendered):
    """Settings, a renderer, and the labels by keypoints alone."""
    folder = tmp_path_factory.mktemp("pixels")
    params, renderer = write_project(folder, rendered), folder / "grey.safetensors"
    renderer.write_bytes(save_renderer(grey_renderer(load_open_body()), RendererMeta(body_model={"name": "open"})))
    with small_pages():
        annotate(params)
    return params, renderer, labels(folder)


@dataclass(frozen=True)
class Run:
    """What a run left."""

    states: dict[str, str]
    labels: pa.Table
    footer: Footer
    metrics: dict
    page: str

    @property
    def gain(self) -> np.ndarray:
        """(P, 3)."""
        return np.array(self.labels["photometric_gain"].to_pylist())


@pytest.fixture(scope="module")
def by_pixels(project):
    """A run with a renderer that draws such people; half of them gain more than is asked for."""
    params, _, _ = project
    renderer = params.with_name("people.safetensors")
    learnt = learn_renderer(16, 8, spacing_m=0.02)
    renderer.write_bytes(save_renderer(learnt, RendererMeta(body_model={"name": "open"})))
    with step_states() as states, small_pages(TILE_PX):
        annotate(params, pixels__renderer=str(renderer), **FIT, run__workers=1)
    return Run(
        states=states,
        labels=labels(params.parent),
        footer=read_footer(next((params.parent / "labels").rglob("*.parquet"))),
        metrics=json.loads((params.parent / "metrics/annotate.json").read_text())["few"],
        page=(params.parent / "reports/annotate/index.html").read_text(),
    )


def test_only_the_last_step_is_done_again(by_pixels):
    assert {name.partition("/")[0] for name, state in by_pixels.states.items() if state == "done"} == {"refine"}


def test_changed_labels_say_so_and_keep_the_old_values(project, by_pixels):
    (_, _, plain), found = project, by_pixels.labels
    changed = np.isfinite(by_pixels.gain)
    assert (by_pixels.gain[changed] >= LEAST_GAIN).all()
    assert 0 < changed.any(1).sum() < PEOPLE
    before = unpack_arrays(found, "before_pixels")
    for row in range(found.num_rows):
        was, now = (table.select(plain.column_names).slice(row, 1) for table in (plain, found))
        if not changed[row].any():
            assert now.equals(was)
            assert found["before_pixels"][row].as_py() is None
            continue
        kept = set(dict(found["before_pixels"][row].as_py()))
        for name in LABEL_PARAMETERS:
            assert now[name].equals(was[name]) == (name not in kept), name
            if name in kept:
                np.testing.assert_array_equal(before[name][row], np.float32(was[name][0].as_py()))
        for part, is_changed in zip(PIXEL_PARTS, changed[row], strict=True):
            assert MOVED[part] <= kept if is_changed else not MOVED[part] & kept, part


def test_a_part_that_did_not_change_says_why(by_pixels):
    assert set(by_pixels.labels["mask_source"].to_pylist()) == {masks.SOURCE}
    for gain, detail in zip(by_pixels.gain, by_pixels.labels["photometric_detail"].to_pylist(), strict=True):
        said = {text.partition(":")[0] for text in (detail or "").split("; ") if text}
        assert said == {part for part, own in zip(PIXEL_PARTS, gain, strict=True) if np.isnan(own)}


def test_footers_name_the_renderer_and_what_made_the_masks(project, by_pixels):
    own = {entry["part"]: entry for entry in by_pixels.footer.estimators if entry["part"] in ("renderer", "masks")}
    assert own["renderer"]["name"] == "texture-renderer"
    assert len(own["renderer"]["weights_sha256"]) == 64
    assert by_pixels.footer.config["pixels"]["estimators"] == list(own.values())
    assert str(project[1]) not in str(by_pixels.footer.config)


def test_the_page_and_the_metrics_count_them(by_pixels):
    share, median = np.isfinite(by_pixels.gain).mean(0), np.nanmedian(by_pixels.gain, 0)
    assert by_pixels.metrics["changed_by_pixels"] == dict(zip(PIXEL_PARTS, share.tolist(), strict=True))
    told = [by_pixels.metrics["photometric_gain_median"][part] for part in PIXEL_PARTS]
    np.testing.assert_allclose(told, median, atol=1e-4)
    assert "<h2>Refined by pixels</h2>" in by_pixels.page
    head = by_pixels.gain[:, PIXEL_PARTS.index("head")]
    assert all(f"Head {100 * gain:.0f} % closer to the photo" in by_pixels.page for gain in head[np.isfinite(head)])


def test_the_page_shows_whom_pixels_changed_most_before_and_after(by_pixels):
    (shown,) = re.findall(r"<h2>Changed most by pixels</h2>.*?<h2>", by_pixels.page, re.DOTALL)
    most = np.where(np.isfinite(by_pixels.gain), by_pixels.gain, 0).max(1)
    changed = [row for row in np.argsort(-most) if most[row] > 0]
    ids = by_pixels.labels["sample_id"].to_pylist()
    assert re.findall(r'<div class="id">([^<]*#0)</div>', shown) == [ids[row] for row in changed][:6]
    heights = [int(height) for height in re.findall(r'<img [^>]*height="(\d+)"', shown)]
    num_parts = np.isfinite(by_pixels.gain).sum(1)
    assert heights == [TILE_PX * num_parts[row] for row in changed][:6]


def test_without_a_renderer_nothing_is_said_of_pixels(project):
    params, _, plain = project
    assert not set(PIXEL_COLUMNS) & set(plain.column_names)
    assert "pixels" not in step_config("refine", Origin.of(params).config())


def test_another_renderer_is_another_setting_of_the_last_step_alone(project, tmp_path):
    params, renderer, _ = project
    copy, other = tmp_path / "same.safetensors", tmp_path / "other.safetensors"
    copy.write_bytes(renderer.read_bytes())
    meta = RendererMeta(body_model={"name": "open"}, learnt_from={"people": 2})
    other.write_bytes(save_renderer(grey_renderer(load_open_body()), meta))
    first, same, changed = (
        {step: step_config(step, config) for step in ("body", "refine")}
        for config in (Origin.of(params, {"pixels.renderer": str(path)}).config() for path in (renderer, copy, other))
    )
    assert first == same
    assert first["refine"] != changed["refine"]
    assert first["body"] == changed["body"]


def test_a_change_that_takes_a_part_beyond_its_limits_is_taken_back(project, monkeypatch):
    params, renderer, plain = project

    def far(*given):
        found = opened_jaw(*given)
        state = found.solution.state
        return replace(found, solution=replace(found.solution, state=replace(state, position=state.position + 0.1)))

    monkeypatch.setattr(pixels, "refine_pixels", far)
    found = refined(params, renderer)
    assert found.select(plain.column_names).to_pylist() == plain.to_pylist()
    details = [detail.as_py() for detail in found["photometric_detail"]][::2]
    assert all("head: it would take a part beyond what its keypoints allow" in detail for detail in details)
    assert not np.isfinite(np.array(found["photometric_gain"].to_pylist())).any()


def test_without_mediapipe_nobody_has_a_mask(project, monkeypatch):
    params, renderer, _ = project
    given = []

    def watched(problem, solution, photos, masks, *rest):
        given.extend(masks)
        return opened_jaw(problem, solution, photos, masks, *rest)

    monkeypatch.setattr(pixels, "refine_pixels", watched)
    find = runner.util.find_spec
    monkeypatch.setattr(runner.util, "find_spec", lambda name, *at: None if name == "mediapipe" else find(name, *at))
    monkeypatch.delattr(runner._OF_THREAD, "networks", raising=False)
    assert refined(params, renderer)["mask_source"].null_count == PEOPLE
    assert given == [None] * PEOPLE


def test_a_renderer_that_is_missing_or_of_another_body_is_told_before_anything_is_done(project, tmp_path):
    params, renderer, _ = project
    with pytest.raises(ValueError, match=r"pixels\.renderer: there is no file .*gone\.safetensors; `pear finetune"):
        annotate(params, pixels__renderer=str(tmp_path / "gone.safetensors"))
    data = renderer.read_bytes()
    topology = grey_renderer(load_open_body()).topology.encode()
    assert topology in data
    (tmp_path / "other.safetensors").write_bytes(data.replace(topology, b"0" * len(topology)))
    with pytest.raises(ValueError, match="was learnt on the mesh of open, the body to draw has another"):
        annotate(params, pixels__renderer=str(tmp_path / "other.safetensors"))


def test_a_photo_that_is_gone_is_named(project):
    params, renderer, _ = project
    (photo,) = (params.parent / "work/datasets").rglob("000002.jpg")
    away = photo.rename(params.parent / "away.jpg")
    try:
        with pytest.raises(
            RuntimeError, match=r"few/all/images/000002#0: .* was readable when its keypoints were made"
        ):
            refined(params, renderer, shards=[1])
    finally:
        away.rename(photo)


@pytest.mark.parametrize("status", PixelStatus)
def test_every_reason_has_a_sentence_of_its_own(status):
    found = PixelResult(
        solution=Mock(),
        status=torch.full((1, 3), int(status)),
        photometric_gain=FIGURES + 0.01,
        start_share=FIGURES + 0.08,
        picture_loss=torch.full((1, 3, 2), 0.3),
        keypoint_cost=torch.full((1, 3, 2), 1.5),
    )
    said = pixels._reasons(found, 0, PixelConfig())
    assert len(said) == len(PIXEL_PARTS)
    assert (said[0] is None) == (status == PixelStatus.CHANGED)


def test_a_rasteriser_that_cannot_be_built_is_told_before_anything_is_done(project, monkeypatch, tmp_path):
    params, renderer, _ = project
    native_library.library.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ImportError, match="compiler"):
        annotate(params, pixels__renderer=str(renderer), pixels__rasteriser="native")
    native_library.library.cache_clear()


def test_labels_by_another_rasteriser_are_other_labels(project, monkeypatch):
    params, renderer, _ = project
    monkeypatch.setattr(provenance, "library", lambda: None)
    named = [{"pixels.renderer": str(renderer), "pixels.rasteriser": name} for name in ("tiles", "native")]
    assert len({json.dumps(step_config("refine", Origin.of(params, each).config())["pixels"]) for each in named}) == 2

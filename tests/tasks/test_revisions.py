"""Results of every step on a small fixed input, beside its revision: both change, or none does.

A column's values are reduced to two numbers, the mean of their magnitudes and a sum with fixed weights, so that any
value that moves moves one of them. They are compared with a tolerance of 0.002 and not by a hash of rounded values:
processors and versions of torch differ in the last digits, and where values lie at an edge of rounding a hash would
change with them.

    python tests/tasks/test_revisions.py        writes the results of today into revisions.json
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tasks.revisions import REVISIONS

GOLDEN = Path(__file__).with_suffix(".json")
TOLERANCE = 2e-3
"""Of a number near 1, and a share of a larger one."""


def numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Every finite number of a column, in order."""
    values: pa.ChunkedArray = column
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = pa.chunked_array([chunk.flatten() for chunk in values.chunks])
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
        return np.zeros(0)
    found = values.drop_null().to_numpy().astype(np.float64)
    return found[np.isfinite(found)]


def reduced(values: np.ndarray) -> list[float]:
    """Mean magnitude, and the values' sum with weights that no rearrangement leaves as it is."""
    weights = np.cos(1.7 * np.arange(len(values)) + 0.3) / max(len(values), 1) ** 0.5
    return [round(float(np.abs(values).mean()), 5), round(float(values @ weights), 5)]


def of_files(paths: list[Path]) -> dict[str, list[float]]:
    """Of each column of some shards."""
    return of_table(pa.concat_tables([pq.read_table(path) for path in sorted(paths)]))


def of_table(table: pa.Table) -> dict[str, list[float]]:
    """Of each column."""
    found = {name: numbers(table[name]) for name in table.column_names if not name.endswith("_s")}
    return {name: reduced(values) for name, values in found.items() if len(values)}


def results(folder: Path) -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Every step with its reduced results, on four rendered people, noise and random weights."""
    from annotated_project import annotate, write_project
    from guava_rig import guava_config
    from known_people import TINY
    from small_pages import small_pages
    from texture_renderers import quiet
    from training_rig import NoiseExperiment, alone, noise_plan

    from datasets_manifest.sources.images import decode_image
    from model.body.assets import load_open_body
    from model.regressor.checkpoint import CheckpointMeta, save_regressor
    from model.regressor.network import EhmRegressor
    from model.renderer.overlay import encode_png
    from model.renderer.sites import body_sites
    from tasks.predict.run import predict
    from tasks.predict.settings import load_predict_config
    from tasks.training.engine.curves import read_rows
    from tasks.training.engine.loop import Trainer
    from tasks.training.guava.experiment import open_experiment
    from tasks.training.guava.request import prepare
    from tasks.training.renderer.people import rendered_people
    from tasks.training.renderer.settings import RenderedPeopleConfig

    params = write_project(folder)
    with small_pages():
        annotate(params)
    (truth,) = folder.rglob("truth.parquet")
    photos = [decode_image(path.read_bytes(), name=path.name) for path in sorted(truth.parent.rglob("*.*g"))]
    assert photos
    pixels = reduced(np.concatenate([photo.reshape(-1) for photo in photos]).astype(np.float64) / 255)
    yield "synthesise", {"pixels": pixels} | of_files([truth])
    for step in ("keypoints", "body", "hands", "face"):
        yield step, of_files(list((folder / "work/parts" / step).rglob("*.parquet")))
    yield "refine", of_files(list((folder / "labels").rglob("*.parquet")))
    yield "pixels", of_table(labels_by_pixels(params))
    yield "groups", together()

    plan = noise_plan(folder / "run", steps=4)
    Trainer.start(NoiseExperiment(plan), alone()).run()
    rows = read_rows(plan.folder.curve)
    yield "train", {"loss": reduced(np.array([row["loss"] for row in rows], np.float64))}

    assets = load_open_body()
    sites = body_sites(assets).take(torch.arange(0, 32_000, 16))
    people = rendered_people(RenderedPeopleConfig(train=8), assets, sites, quiet())
    texture = dict(people.texture(3).named_buffers())
    yield "renderer", {name: reduced(values.flatten().double().numpy()) for name, values in texture.items()}
    yield "train_photometric", {"terms": reduced(np.array(photometric_terms(), np.float64))}

    prepared = prepare(guava_config(folder / "guava", steps=2, validation=()))
    Trainer.start(open_experiment(prepared.folder.request), alone()).run()
    losses = [
        [row[name] for name in ("loss", "raw", "offset", "grad_norm")] for row in read_rows(prepared.folder.curve)
    ]
    yield "guava", {"losses": reduced(np.array(losses, np.float64).ravel())}

    torch.manual_seed(1)
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    (folder / "photo.png").write_bytes(encode_png(rgb))
    body = {"name": "open_body_smplx", "sha256": assets.sha256}
    data = save_regressor(EhmRegressor(TINY), CheckpointMeta(config=TINY, body_model=body))
    (folder / "net.safetensors").write_bytes(data)
    stated = {"checkpoint": str(folder / "net.safetensors"), "out": str(folder / "predictions"), "boxes": "whole"}
    predict([str(folder / "photo.png")], load_predict_config(None, stated | {"run.device": "cpu"}))
    yield "predict", of_files(list((folder / "predictions").rglob("*.parquet")))


def photometric_terms() -> list[float]:
    """What stage 2 tells of random weights on noise, once its weights have been measured."""
    from open_renderers import noise_pictures, photometric
    from training_rig import TINY, random_batch

    from model.body.assets import load_open_body
    from model.body.keypoint_body import KeypointBody
    from model.regressor.loss_config import LossConfig
    from model.regressor.network import EhmRegressor
    from tasks.training.photometric.balance import Balance, groups_of
    from tasks.training.photometric.dataset import PicturedBatch
    from tasks.training.photometric.objective import PhotometricObjective

    torch.manual_seed(1)
    body, balance = KeypointBody(load_open_body()), Balance(groups_of(("head",)), 1.0, 1)
    objective = PhotometricObjective(
        EhmRegressor(TINY), body, LossConfig(), "fp32", photometric(reach=100.0), balance, 0.3
    )
    batch = random_batch(3, 5)
    known = {name: getattr(batch, name) for name in batch.__slots__}
    pictured = PicturedBatch(**known, pictures={"head": noise_pictures(3, 32, 6)})
    objective(pictured)
    loss, terms = objective(pictured)
    return [float(value) for value in (loss.detach(), *terms.values())]


def together() -> dict[str, list[float]]:
    """Parameters of somebody in five frames, one of which shows nobody, and of somebody before three cameras."""
    from grouped_people import one_clip, one_rig

    from tasks.annotate.groups.together import fit_groups
    from tasks.annotate.settings import AnnotateConfig
    from tasks.body_model import sparse_body

    config = AnnotateConfig()
    body = sparse_body(config.body_model)
    found: dict[str, list[float]] = {}
    for name, (given, places) in {"clip": one_clip(body, unseen=(2,)), "rig": one_rig(body)}.items():
        fit = fit_groups(body, given, places, 0 * places.frame, config.refine, config.groups)
        columns = fit.result.label_columns()
        found |= {f"{name} {column}": reduced(values.double().numpy().ravel()) for column, values in columns.items()}
    return found


def labels_by_pixels(params: Path) -> pa.Table:
    """Labels of the first two people, refined by a renderer to whom everybody is grey."""
    from grey_renderer import grey_renderer

    from fitting.pixel_settings import PixelConfig
    from model.body.assets import load_open_body
    from model.renderer.texture.file import RendererMeta, save_renderer
    from tasks.annotate.settings import Origin
    from tasks.annotate.steps.job import ShardJob
    from tasks.annotate.steps.refine import refine_labels
    from tasks.annotate.workspace import ShardRef, Workspace

    renderer = params.with_name("grey.safetensors")
    renderer.write_bytes(save_renderer(grey_renderer(load_open_body()), RendererMeta(body_model={"name": "open"})))
    fit = {"iterations": 2, "num_directions": 1, "least_gain": 0.0, "most_loss": 1.0}
    for part, settings in dataclasses.asdict(PixelConfig()).items():
        if isinstance(settings, dict):
            fit |= {f"{part}.{name}": value for name, value in (settings | {"keypoint_slack": 1e6}).items()}
    stated = {"pixels.renderer": str(renderer)} | {f"pixels.fit.{name}": value for name, value in fit.items()}
    config = Origin.of(params, stated).config()
    shard = ShardRef(dataset="few", split="all", index=0)
    return refine_labels(ShardJob(shard, Workspace.of(config.output), config))


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[float]]]:
    return dict(results(tmp_path_factory.mktemp("steps")))


def test_every_step_has_golden_results() -> None:
    assert json.loads(GOLDEN.read_text()).keys() == REVISIONS.keys()


@pytest.mark.long
@pytest.mark.parametrize("step", REVISIONS)
def test_results_change_with_the_revision_and_only_then(step: str, today: dict[str, dict[str, list[float]]]) -> None:
    golden = json.loads(GOLDEN.read_text())[step]
    was, now = golden["values"], today[step]
    moved = [
        f"{name}: {was.get(name)} -> {now.get(name)}"
        for name in sorted({*was, *now})
        if name not in was or name not in now or not np.allclose(was[name], now[name], rtol=TOLERANCE, atol=TOLERANCE)
    ]
    same = golden["revision"] == REVISIONS[step]
    assert not moved or not same, (
        f"results of the step {step!r} changed, its revision did not: {'; '.join(moved)}. If that is meant, raise "
        f"REVISIONS[{step!r}] in tasks/revisions.py, so that files of before are made again, and run "
        "python tests/tasks/test_revisions.py; if not, the change has a fault."
    )
    assert same, f"the revision of {step!r} was raised: run python tests/tasks/test_revisions.py and commit its results"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    with tempfile.TemporaryDirectory() as place:
        made = dict(results(Path(place)))
    steps = {step: {"revision": REVISIONS[step], "values": made[step]} for step in REVISIONS}
    lines = [f'  "{step}": {json.dumps(entry)}' for step, entry in steps.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")

"""A whole run on a few rendered people with simulated estimators: files, rows, what is done again, bad input."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from annotated_project import PEOPLE, annotate, own_results, step_states
from tar_files import write_tar

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.shards.shard import read_footer
from tasks.annotate.settings import load_config
from tasks.annotate.workspace import STEPS
from tasks.body_model import full_body
from tasks.posing import pose_bodies


def states(*arguments, **overrides):
    """How the steps of a run ended."""
    with step_states() as ended:
        annotate(*arguments, **overrides)
    return ended


def test_pandas_reads_the_labels_with_no_code_of_ours(rendered):
    labels = pd.read_parquet(rendered.parent / "labels")
    assert len(labels) == PEOPLE
    assert np.stack(list(labels["body_pose"])).shape == (PEOPLE, 63)
    assert set(labels["status"]) <= {"ok", "partial", "failed"}


def test_labels_are_close_to_the_truth(rendered):
    metrics = json.loads((rendered.parent / "metrics/annotate.json").read_text())["few"]
    assert metrics["known_people"] == PEOPLE
    assert metrics["against_truth"]["people"] == PEOPLE
    # The simulated start is 51 mm off on average; nothing of the refined people may be anywhere near a flip.
    assert metrics["against_truth"]["pa_mpjpe_mm"] < 45


def test_dvc_is_shown_the_main_figures_of_each_data_set(rendered):
    metrics = json.loads((rendered.parent / "metrics/annotate.json").read_text())["few"]
    summary = json.loads((rendered.parent / "metrics/summary/few.json").read_text())
    assert summary["pa_mpjpe_mm"] == metrics["against_truth"]["pa_mpjpe_mm"]
    assert {name: summary[name] for name in ("people", "ok", "failed")} == {
        name: metrics[name] for name in ("people", "ok", "failed")
    }


def test_every_file_says_how_it_was_made(rendered):
    config = load_config(rendered)
    for step in STEPS:
        for path in sorted((Path(config.output.work) / "parts" / step).rglob("*.parquet")):
            assert read_footer(path).config["step"] == step
    footer = read_footer(next((rendered.parent / "labels").rglob("*.parquet")))
    assert {estimator["name"] for estimator in footer.estimators} == {"simulated"}
    assert footer.body_model["sha256"]
    assert footer.manifest["id"] == "few"
    assert str(rendered.parent) not in json.dumps(dict(footer.config) | dict(footer.manifest))


def test_a_second_run_does_nothing(rendered):
    assert set(states(rendered).values()) == {"skipped"}


def test_a_run_says_when_only_the_report_is_left(rendered, caplog):
    with caplog.at_level(logging.INFO):
        states(rendered)
    assert "all parts are over; the report and the counts follow" in caplog.messages


@pytest.mark.long
def test_a_changed_refinement_redoes_the_refinement_only(rendered):
    changed = states(rendered, refine__iterations=24)
    assert {name.partition("/")[0] for name, state in changed.items() if state == "done"} == {"refine"}
    back = states(rendered)
    assert {name.partition("/")[0] for name, state in back.items() if state == "done"} == {"refine"}


@pytest.mark.long
def test_a_changed_hand_estimator_redoes_hands_and_refinement(rendered):
    changed = states(rendered, hands__options={"seed": 7})
    assert {name.partition("/")[0] for name, state in changed.items() if state == "done"} == {"hands", "refine"}
    annotate(rendered)


def test_one_shard_alone(rendered):
    assert set(states(rendered, ["few/all/00001"])) == {f"{step}/few/all/00001" for step in STEPS}


def test_an_unknown_shard_is_named(rendered):
    with pytest.raises(ValueError, match="few/all/00009"):
        annotate(rendered, ["few/all/00009"])


def test_another_size_of_shards_does_nothing_again(rendered):
    assert set(states(rendered, run__images_per_shard=1).values()) == {"skipped"}


@pytest.mark.parametrize("prefix", ["", "photos.tar::"])
def test_a_photo_that_is_damaged_becomes_a_row(rendered, tmp_path, prefix):
    photos = tmp_path / "photos"
    photos.mkdir()
    whole = next((rendered.parent / "work/datasets/few/images").glob("*.jpg")).read_bytes()
    files = [("cut.jpg", whole[: len(whole) // 2]), ("empty.jpg", b""), ("page.jpg", b"<html>not found</html>")]
    if prefix:
        write_tar(photos / "photos.tar", files)
    for name, data in files if not prefix else ():
        (photos / name).write_bytes(data)
    manifest = (rendered.parent / "few.yaml").read_text().replace("id: few", "id: damaged")
    manifest = manifest.replace("adapter: synthetic", "adapter: folder").replace("root: unused", f"root: {photos}")
    manifest = manifest.replace(f"{{count: {PEOPLE}, seed: 3}}", "{}").replace("boxes: manifest", "boxes: detector")
    (tmp_path / "damaged.yaml").write_text(manifest.replace("keypoints: coco_wholebody", "keypoints: none"))
    (tmp_path / "params.yaml").write_text(
        rendered.read_text().replace(str(rendered.parent / "few"), str(tmp_path / "damaged"))
    )
    result = annotate(tmp_path / "params.yaml")
    codes = {failure.sample_id: failure.code for failure in result.publication.failures.shown}
    assert codes == {
        f"damaged/all/{prefix}cut.jpg#0": "image_corrupt",
        f"damaged/all/{prefix}empty.jpg#0": "image_corrupt",
        f"damaged/all/{prefix}page.jpg#0": "image_unsupported",
    }
    assert len(pd.read_parquet(tmp_path / "labels")) == 3
    assert "damaged/all/00000" in (tmp_path / "reports/annotate/failures.csv").read_text()


def test_a_shard_that_fails_is_recorded_and_the_others_go_on(rendered, tmp_path, monkeypatch):
    import flows.run.runners

    def broken(job, whole=flows.run.runners.STEP_FUNCTIONS["hands"]):
        if job.shard.index == 0:
            raise RuntimeError("CUDA out of memory on device 3")
        return whole(job)

    monkeypatch.setitem(flows.run.runners.STEP_FUNCTIONS, "hands", broken)
    with step_states() as ended:
        result = annotate(rendered, **own_results(rendered, tmp_path))
    assert (ended["hands/few/all/00000"], ended["refine/few/all/00000"]) == ("failed", "failed")
    assert (ended["hands/few/all/00001"], ended["refine/few/all/00001"]) == ("done", "done")
    assert "few/all/00000" in result.sentence
    assert len(pd.read_parquet(tmp_path / "labels")) == PEOPLE - 2


def test_a_data_set_named_twice_is_refused_before_anything_starts(rendered):
    manifest = str(rendered.parent / "few.yaml")
    with pytest.raises(ValueError, match="data set few is named more than once"):
        annotate(rendered, datasets=[manifest, manifest])


def test_a_backend_that_does_not_exist_is_refused_before_anything_starts(rendered, tmp_path):
    with pytest.raises(ValueError, match="hammer"):
        annotate(rendered, hands__backend="hammer", output__work=str(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


@pytest.mark.long
def test_labels_of_mixed_settings_are_told_and_not_called_good(rendered, tmp_path):
    places = own_results(rendered, tmp_path, annotated=True)
    result = annotate(rendered, ["few/all/00000"], refine__iterations=24, **places)
    assert not result.failed_parts
    assert not result.is_good
    assert "not a snapshot" in result.sentence
    assert annotate(rendered, refine__iterations=24, **places).is_good


def test_too_many_failed_people_are_told(rendered, tmp_path):
    places = own_results(rendered, tmp_path)
    # No person has all 133 keypoints, so every one fails, but no shard.
    result = annotate(rendered, refine__min_points=133, run__max_failed_share=0.2, **places)
    assert not result.is_good
    assert "100% of the people failed, allowed are 20%" in result.sentence


def test_a_label_posed_again_lies_on_its_keypoints(rendered):
    """From the file alone: columns -> body -> pixels. A wrong frame, unit or order of a column shows here."""
    rows = pd.read_parquet(rendered.parent / "labels").to_dict("records")
    rows = [row for row in rows if row["body_valid"]]
    assert rows
    body = full_body(load_config(rendered).body_model)
    names = LABEL_PARAMETERS
    posed = pose_bodies(body, {name: np.stack([row[name] for row in rows]) for name in names})
    for i, row in enumerate(rows):
        np.testing.assert_allclose(posed.joints[i, 0], row["transl_m"], atol=1e-4)
        points = posed.keypoints[i].numpy()
        pixels = row["focal_px"] * points[:, :2] / points[:, 2:] + row["principal_px"]
        keypoints = row["keypoints_2d"].reshape(133, 3)
        seen = keypoints[:23, 2] > 0
        error = np.median(np.linalg.norm(pixels[:23] - keypoints[:23, :2], axis=1)[seen])
        assert error < 1.5 * row["reproj_body_px"] + 0.5


def test_a_run_that_could_not_list_everything_has_failed_though_the_rest_is_done(rendered, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"no photo, so that no estimator is asked")
    (photos / "bad.tar").write_bytes(b"no tar file")
    (tmp_path / "mine.yaml").write_text(
        f'{{id: mine, version: "1", licence: own, access: here, adapter: folder, root: {photos}, split: all, '
        "boxes: detector, keypoints: none, purpose: test}"
    )
    (tmp_path / "params.yaml").write_text(rendered.read_text())
    result = annotate(tmp_path / "params.yaml", datasets=[str(tmp_path / "mine.yaml")], run__max_failed_share=1.0)
    assert not result.failed_parts
    assert not result.is_good
    assert "bad.tar cannot be read as an uncompressed tar file" in result.sentence
    (photos / "bad.tar").unlink()
    again = annotate(tmp_path / "params.yaml", datasets=[str(tmp_path / "mine.yaml")], run__max_failed_share=1.0)
    assert again.is_good, again.sentence

"""A file's origins are told by the hashes it states, and found by them whatever files are called."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_shards import footer, label_table
from labelled_photos import labelled_photos
from whole_labels import person, write

from datasets_manifest.files import file_sha256
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.store import write_shard
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.network import EhmRegressor
from model.tensor_file import pack
from tasks.evaluate import results
from tasks.lineage import lineage_of, lines
from tasks.training import comparison

BODY = {"name": "open", "sha256": "11" * 32, "licence": "CC0-1.0"}


@pytest.fixture(scope="module")
def regressor():
    config = RegressorConfig(
        backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
        decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
        crop_px=64,
        side_px=8,
    )
    network = EhmRegressor(config)
    return lambda step=1, **training: save_regressor(
        network, CheckpointMeta(config=config, step=step, body_model=BODY, training=training, code_version="1.2")
    )


@pytest.fixture
def project(tmp_path, regressor):
    """Labels, stage 1 learnt from them, a renderer, stage 2 from both, and figures of stage 2."""
    people = labelled_photos(tmp_path / "labels", 3, name="a")
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "stage1.safetensors").write_bytes(regressor(5, labels=[people.selection.origin]))
    (runs / "renderer.safetensors").write_bytes(
        pack(
            {}, {"format": "texture-renderer/1", "body_model": BODY, "learnt_from": {"labels": []}, "code_version": "1"}
        )
    )
    came_from = {
        "regressor": {"sha256": file_sha256(runs / "stage1.safetensors"), "step": 5},
        "renderer": {"sha256": file_sha256(runs / "renderer.safetensors")},
        "perceptual": {"kind": "none"},
    }
    (runs / "stage2.safetensors").write_bytes(regressor(9, labels=[people.selection.origin], came_from=came_from))
    stated = {"checkpoint": "elsewhere.safetensors", "sha256": file_sha256(runs / "stage2.safetensors"), "step": 9}
    (tmp_path / "metrics.json").write_text(json.dumps({"checkpoints": [{"of": stated}]}))
    return tmp_path


def told(project, name):
    return [line.replace(str(project), "") for line in lines(lineage_of(project / name, project))]


def test_from_figures_down_to_the_photos(project):
    hashes = {
        name: file_sha256(project / "runs" / f"{name}.safetensors")[:12] for name in ("stage1", "stage2", "renderer")
    }
    found = told(project, "metrics.json")
    assert found[1] == f"  regressor {hashes['stage2']} (step 9, code 1.2): /runs/stage2.safetensors"
    assert [line.split(" (")[0].strip() for line in found if line.startswith("    ") and line[4] != " "] == [
        next(line for line in found if line.startswith("    labels a ")).split(" (")[0].strip(),
        f"regressor {hashes['stage1']}",
        f"renderer {hashes['renderer']}",
        f"body open {'11' * 6}",
    ]
    assert "      photos a " in "\n".join(found)
    assert sum("3 people, selection" in line for line in found) == 2  # of stage 2 and of stage 1


def test_what_is_moved_is_found_and_what_is_gone_is_said(project):
    (project / "kept").mkdir()
    shutil.move(project / "runs" / "stage1.safetensors", project / "kept" / "other name.safetensors")
    shutil.rmtree(project / "labels")
    found = told(project, "runs/stage2.safetensors")
    assert any(line.endswith("(step 5, code 1.2): /kept/other name.safetensors") for line in found)
    assert sum(line.strip().startswith("labels a ") and line.endswith(": not here") for line in found) == 2
    (project / "runs" / "renderer.safetensors").write_bytes(b"changed")
    assert any(
        line.strip().startswith("renderer ") and line.endswith(": not here")
        for line in told(project, "runs/stage2.safetensors")
    )


def test_predictions_lead_to_their_checkpoint_and_on(project):
    sha256 = file_sha256(project / "runs/stage1.safetensors")
    made = footer(
        config={"step": "predict", "checkpoint": {"sha256": sha256}}, manifest={},
        estimators=({"name": "ehm-regressor", "weights_sha256": sha256}, {"name": "mediapipe", "version": "0.10"}),
    )  # fmt: skip
    write_shard(project / "predictions/00000.parquet", label_table(), made)
    for name in ("predictions", "predictions/00000.parquet"):
        found = told(project, name)
        assert found[0].startswith(f"predictions {made.config_hash[:12]} (")
        assert found[1].startswith(f"  regressor {sha256[:12]} (step 5")
        assert found[2].startswith("    labels a ")
        assert found[-1] == "  estimator mediapipe 0.10"


@pytest.mark.parametrize("key", [results.METADATA_KEY, comparison.METADATA_KEY])
def test_a_table_of_everybodys_errors_leads_to_its_checkpoints(project, key):
    sha256 = file_sha256(project / "runs/stage2.safetensors")
    stated = [{"subject": {"kind": "checkpoint", "sha256": sha256}}, {"checkpoint": "x", "sha256": "00" * 32}]
    pq.write_table(pa.table({"error": [1.0]}).replace_schema_metadata({key: json.dumps(stated)}), project / "t.parquet")
    found = told(project, "t.parquet")
    assert found[1] == f"  regressor {sha256[:12]} (step 9, code 1.2): /runs/stage2.safetensors"
    assert found[-1] == f"  regressor {'00' * 6}: not here"


def test_labels_state_photos_estimators_and_body(tmp_path):
    twice = {"name": "mediapipe", "version": "0.10", "weights_sha256": "22" * 32, "licence": "Apache-2.0"}
    write(tmp_path, [person(0, np.random.default_rng(0))], estimators=(twice, twice), created_utc="2026-01-01")
    for path in (tmp_path, tmp_path / "demo/train/00000.parquet"):
        origin = lineage_of(path, tmp_path)
        assert (origin.role, origin.name, origin.hash) == ("labels", "demo", footer().config_hash)
        assert [(own.role, own.name) for own in origin.came_from] == [
            ("photos", "demo 1"), ("estimator", "mediapipe 0.10"), ("body", "open"),
        ]  # fmt: skip


def test_labels_are_found_beside_files_that_cannot_be_read(project):
    folder = next((project / "labels").rglob("*.parquet")).parent
    (folder / "000.parquet").write_bytes(b"damaged")
    (line,) = (line for line in told(project, "runs/stage1.safetensors") if line.strip().startswith("labels a "))
    assert line.endswith(f": /{folder.relative_to(project)}")


def test_a_folder_of_several_data_sets_tells_of_each(tmp_path):
    for name in ("one", "two"):
        write(tmp_path, [person(0, np.random.default_rng(0), dataset=name)], manifest={"id": name, "version": "1"})
    origin = lineage_of(tmp_path, tmp_path)
    assert [(own.name, own.path) for own in origin.came_from] == [
        (name, str(tmp_path / name / "train")) for name in ("one", "two")
    ]


def test_files_that_trainings_began_from_are_told_whoever_made_them(tmp_path, regressor):
    for name in ("backbone.pth", "backbone.safetensors"):
        (tmp_path / name).write_bytes(name.encode() * 40)
        came_from = {"backbone": {"sha256": file_sha256(tmp_path / name)}}
        (tmp_path / "net.safetensors").write_bytes(regressor(came_from=came_from))
        (backbone,) = (
            own for own in lineage_of(tmp_path / "net.safetensors", tmp_path).came_from if own.role != "body"
        )
        assert (backbone.role, backbone.facts, backbone.path) == ("backbone", "states nothing", str(tmp_path / name))
    learnt_from = {"labels": [], "start": file_sha256(tmp_path / "net.safetensors")}
    (tmp_path / "adapted.safetensors").write_bytes(
        pack({}, {"format": "texture-renderer/1", "learnt_from": learnt_from})
    )
    (start,) = lineage_of(tmp_path / "adapted.safetensors", tmp_path).came_from
    assert (start.role, start.path) == ("renderer", str(tmp_path / "net.safetensors"))
    files = {"checkpoint": learnt_from["start"], "perceptual_backbone": "00" * 32}
    (tmp_path / "guava.safetensors").write_bytes(pack({}, {"format": "guava/1", "files": files}))
    found = list(lines(lineage_of(tmp_path / "guava.safetensors", tmp_path)))
    assert any(line.startswith("  renderer ") and line.endswith("net.safetensors") for line in found)
    assert f"  perceptual backbone {'00' * 6}: not here" in found


def test_a_checkpoint_of_before_says_that_it_states_no_labels(tmp_path, regressor):
    (tmp_path / "old.safetensors").write_bytes(regressor())
    assert "states no labels" in lineage_of(tmp_path / "old.safetensors", tmp_path).facts


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("absent.parquet", None, "there is no file"),
        ("a.txt", b"x", "expected labels"),
        ("a.safetensors", b"x" * 40, "is no checkpoint of this project"),
        ("a.safetensors", b"", "is no checkpoint of this project"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b'{"a": [1, {"sha256": 3}]}', "states no checkpoint by its sha256"),
    ],
)
def test_what_states_nothing_is_refused(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        lineage_of(tmp_path / name, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no labels"):
        lineage_of(tmp_path / "empty", tmp_path)


def test_parquet_of_others_is_refused_and_passed_over(tmp_path, regressor):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ShardError, match="was not written by this project"):
        lineage_of(tmp_path / "a.parquet", tmp_path)
    origin = {"dataset": "a", "config_hash": "00", "snapshot_hash": "11", "people": 1}
    (tmp_path / "net.safetensors").write_bytes(regressor(labels=[origin]))
    assert lineage_of(tmp_path / "net.safetensors", tmp_path).came_from[0].path == ""

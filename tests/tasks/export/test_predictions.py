"""Predicted videos are exported as labelled ones are, over all files of a run."""

import json
import tarfile

import cv2
import numpy as np
import pytest
from moving_people import moving_columns

from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.predictions import prediction_schema, rotations_schema
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.store import write_shard
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from tasks.export.motion import FrameState, motions_of
from tasks.export.rows import predicted_rows
from tasks.export.run import ExportRequest, export_predictions
from tasks.settings import BodyModelConfig

FRAMES = [0, 1, 2, 4, 5]


def write(path, columns, schema):
    footer = Footer(config={}, code_version="0", manifest={}, shard="", body_model=load_open_body().entry)
    return write_shard(path, table_from_columns(columns, schema), footer)


def columns_of(rows):
    """Predictions of somebody in frames of a video; nobody was found in frame 3."""
    moved = moving_columns(SparseBody.from_assets(load_open_body()), frames=6, seed=4)
    found = [frame != 3 for frame in rows]
    columns = {name: [moved[name][k] if k != 3 else None for k in rows] for name in (*LABEL_PARAMETERS, "track")}
    return columns | {
        "sample_id": [f"../walk.mp4@{k}#0" for k in rows], "source": ["../walk.mp4"] * len(rows), "frame": rows,
        "time_s": [k / 30 for k in rows], "person": [0] * len(rows),
        "status": ["ok" if own else "failed" for own in found],
        "error_code": [None if own else "no_person_found" for own in found],
        "body_seen": [True] * len(rows), "face_seen": [False] * len(rows),
    }  # fmt: skip


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A video over two files."""
    folder = tmp_path_factory.mktemp("people")
    for index, rows in enumerate((FRAMES[:2], [3, *FRAMES[2:]])):
        write(folder / f"{index:05d}.parquet", columns_of(rows), prediction_schema())
    return folder


def test_a_video_over_two_files_is_one_motion(people):
    rows, _ = predicted_rows(people)
    (motion,) = motions_of(rows, body_model={}, licence="")
    assert (motion.name.group, motion.reference) == ("../walk.mp4", "camera")
    assert motion.frame.tolist() == [0, 1, 2, 3, 4, 5]
    assert motion.frames_of(FrameState.FILLED) == [[3, 3]]
    assert motion.part_valid[[0, 3]].tolist() == [[True, False, False, False], [False] * 4]


def test_its_file_is_below_predictions(people, tmp_path):
    (written,) = export_predictions(people, BodyModelConfig(), ExportRequest(form="amass", out=tmp_path))
    assert next(iter(written.lines())) == f"{tmp_path}/amass/predictions: 1 track, 6 frames"
    with np.load(tmp_path / "amass/predictions/walk.mp4.track0_stageii.npz") as file:
        assert file["poses"].shape == (6, 165)
        assert str(file["pear_licence"]) == "body model: CC0-1.0"


def test_two_videos_that_would_be_one_file_are_refused(tmp_path):
    rows = {name: values[:1] for name, values in columns_of(FRAMES).items()}
    for name in ("walk.mp4", "../walk.mp4"):
        pair = {key: [*own, *own] for key, own in rows.items()}
        pair |= {"source": [name] * 2, "frame": [0, 1], "time_s": [0, 0.04], "sample_id": [f"{name}@{k}" for k in "01"]}
        write(tmp_path / f"people/{len(name):05d}.parquet", pair, prediction_schema())
    with pytest.raises(ValueError, match=r"walk.mp4.track0.bvh would be the file of two tracks"):
        export_predictions(tmp_path / "people", BodyModelConfig(), ExportRequest(form="bvh", out=tmp_path / "out"))


def test_rotations_alone_are_refused(tmp_path):
    write(tmp_path / "00000.parquet", {"sample_id": ["a"], "source": ["a"], "person": [0], "status": ["ok"]},
          rotations_schema())  # fmt: skip
    with pytest.raises(ValueError, match="without --rotations-only"):
        export_predictions(tmp_path, BodyModelConfig(), ExportRequest(form="bvh", out=tmp_path / "out"))
    with pytest.raises(ValueError, match="has no predictions"):
        export_predictions(tmp_path / "none", BodyModelConfig(), ExportRequest(form="bvh", out=tmp_path / "out"))


def photo_columns(sources):
    """Somebody in each of two photos; a point is beside the photo."""
    columns = {name: values[:2] for name, values in columns_of(FRAMES).items()}
    points = np.full((133, 2), 50.0, np.float32)
    points[0] = [-3, 5]
    return columns | {
        "frame": [None] * 2, "time_s": [None] * 2, "track": [None] * 2, "source": sources,
        "bbox_xyxy": [[10, 20, 60, 120]] * 2, "focal_px": [300.0] * 2, "principal_px": [[50, 60]] * 2,
        "keypoints_2d": [points] * 2, "image_width": [100] * 2, "image_height": [120] * 2,
    }  # fmt: skip


def test_photos_are_predicted_people(tmp_path):
    """Points are told where the network saw their part and the photo shows them; a body that it did not see is none."""
    write(tmp_path / "people/00000.parquet", photo_columns(["a.jpg", "b.jpg"]), prediction_schema())
    request = ExportRequest(form="coco-wholebody", out=tmp_path)
    (written,) = export_predictions(tmp_path / "people", BodyModelConfig(), request)
    content = json.loads((written.folder / "predictions.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["a.jpg", "b.jpg"]
    (first, second) = content["annotations"]
    assert first["keypoints"][:6] == [0, 0, 0, 50, 50, 2]
    assert (first["num_keypoints"], first["face_valid"], second["bbox"]) == (16, False, [10, 20, 50, 100])
    (still,) = export_predictions(tmp_path / "people", BodyModelConfig(), ExportRequest(form="bvh", out=tmp_path))
    assert sorted(still.files) == ["a.jpg.person0.bvh", "b.jpg.person0.bvh"]


def test_photos_and_frames_of_predictions_are_found_by_their_paths(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.png"):
        cv2.imwrite(str(tmp_path / "in" / name), np.full((120, 100, 3), 90, np.uint8))
    sources = [str(tmp_path / "in" / name) for name in ("a.jpg", "b.png")]
    write(tmp_path / "people/00000.parquet", photo_columns(sources), prediction_schema())
    (written,) = export_predictions(
        tmp_path / "people", BodyModelConfig(), ExportRequest(form="hmr2-tar", out=tmp_path)
    )
    with tarfile.open(written.folder / "predictions-000000.tar") as tar:
        suffixes = [name.partition(".")[2] for name in tar.getnames()]
    assert suffixes == ["jpg", "data.pyd", "png", "data.pyd"]

"""Files of earlier schema versions are read as those of today: what they state stays, what they do not is null."""

import pyarrow as pa
import pytest
from label_shards import footer

from datasets_manifest.schema.fields import ARRAY_MAP, SHAPE_MAP
from datasets_manifest.schema.labels import BODY_GROUP_NAMES, LABEL_SCHEMA, SCHEMA_VERSION, fixed_length
from datasets_manifest.schema.part_files import FACE_SCHEMA, KEYPOINTS_SCHEMA, PLAN_SCHEMA
from datasets_manifest.schema.predictions import SEEN_COLUMNS, prediction_schema, rotations_schema
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.store import write_shard

LIMB_DETAILS = tuple(f"{name}_detail" for name in BODY_GROUP_NAMES)
QUALITIES = ("body_quality", "left_hand_quality", "right_hand_quality", "face_quality")


def one_row(schema, **values):
    """A row that states every required column."""
    stated = {"sample_id": "a/all/b#0", "dataset": "a", "split": "all", "image": "b", "status": "ok"} | values

    def value(field):
        if field.name in stated or field.nullable:
            return stated.get(field.name)
        return True if pa.types.is_boolean(field.type) else 0

    return pa.table({field.name: pa.array([value(field)], field.type) for field in schema}, schema)


def upgraded(folder, table, schema, version):
    write_shard(folder / "old.parquet", table, footer(schema_version=version))
    return read_shard(folder / "old.parquet", schema)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_labels_before_version_4_keep_their_quality_as_the_bodys(tmp_path, version):
    rows = one_row(LABEL_SCHEMA, quality=0.75, face_valid=True, eyes_valid=True, left_hand_valid=False)
    lacking = ["body_group_valid", "body_group_detail", "eyes_valid", "eyelids_valid", *QUALITIES]
    lacking += ["joint_seen"] if version == 1 else []
    (row,) = upgraded(tmp_path, rows.drop_columns(lacking), LABEL_SCHEMA, version).to_pylist()
    assert (row["quality"], row["body_quality"], row["face_quality"]) == (0.75, 0.75, None)
    assert (row["eyes_valid"], row["eyelids_valid"]) == (False, True), "nobody looked at eyes, everybody at eyelids"
    assert row["body_group_valid"] is None
    assert not row["left_hand_valid"]


def test_a_plan_before_version_4_called_its_truth_evidence(tmp_path):
    known = pa.array([[("betas", [1.0, 2.0])]], ARRAY_MAP), pa.array([[("betas", [2])]], SHAPE_MAP)
    rows = one_row(PLAN_SCHEMA)
    for name, values in zip(("truth", "truth_shape"), known, strict=True):
        rows = rows.set_column(rows.column_names.index(name), PLAN_SCHEMA.field(name), values)
    renamed = {"truth": "evidence", "truth_shape": "evidence_shape"}
    older = rows.rename_columns([renamed.get(name, name) for name in rows.column_names])
    assert upgraded(tmp_path, older, PLAN_SCHEMA, 3).equals(rows)


def test_faces_and_keypoints_before_version_4_say_less(tmp_path):
    face = one_row(FACE_SCHEMA, valid=True).drop_columns(["eyes_valid", "eyelids_valid"])
    (row,) = upgraded(tmp_path, face, FACE_SCHEMA, 3).to_pylist()
    assert (row["eyes_valid"], row["eyelids_valid"]) == (False, True)
    keypoints = one_row(KEYPOINTS_SCHEMA, part_valid=[True] * 4).drop_columns(["body_group_valid", *LIMB_DETAILS])
    (row,) = upgraded(tmp_path, keypoints, KEYPOINTS_SCHEMA, 3).to_pylist()
    assert row["body_group_valid"] is None
    assert row["part_valid"] == [True] * 4
    assert fixed_length(KEYPOINTS_SCHEMA.field("body_group_valid")) == len(BODY_GROUP_NAMES)


def test_predictions_before_version_4_do_not_say_what_was_seen(tmp_path):
    rows = one_row(prediction_schema(), source="a.jpg", person=0, body_seen=True)
    (row,) = upgraded(tmp_path, rows.drop_columns(list(SEEN_COLUMNS)), prediction_schema(), 3).to_pylist()
    assert (row["source"], *(row[name] for name in SEEN_COLUMNS)) == ("a.jpg", None, None, None, None)
    alone = one_row(rotations_schema(), source="a.jpg", person=0)
    assert upgraded(tmp_path, alone, rotations_schema(), 3).equals(alone)


@pytest.mark.parametrize("version", [3, SCHEMA_VERSION])
def test_predictions_of_before_there_were_tracks_have_none(tmp_path, version):
    rows = one_row(rotations_schema(), source="a.mp4", person=0, frame=3, track=1)
    (row,) = upgraded(tmp_path, rows.drop_columns(["track"]), rotations_schema(), version).to_pylist()
    assert (row["frame"], row["track"]) == (3, None)

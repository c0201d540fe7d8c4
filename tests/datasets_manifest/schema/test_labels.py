"""Every column is documented, the sets are closed, and the schema is the one that readers were promised."""

import pyarrow as pa
import pytest

from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import (
    ERROR_SENTENCES,
    LABEL_SCHEMA,
    ErrorCode,
    field_note,
    fixed_length,
    image_id_of,
    label_schema,
    make_sample_id,
)
from datasets_manifest.schema.part_files import BODY_SCHEMA, PART_SCHEMAS

SCHEMAS = {**PART_SCHEMAS, "labels": label_schema(by_pixels=True)}

LABEL_LENGTHS = {
    "bbox_xyxy": 4,
    "keypoints_2d": 399,
    "principal_px": 2,
    "transl_m": 3,
    "global_orient": 3,
    "body_pose": 63,
    "left_hand_pose": 45,
    "right_hand_pose": 45,
    "betas": 10,
    "flame_shape": 10,
    "flame_expression": 10,
    "jaw_pose": 3,
    "eye_pose": 6,
    "eyelids": 2,
    "head_scale": 3,
    "hand_scale": 3,
    "body_group_valid": 6,
    "joint_seen": 22,
}
PUBLISHED_COLUMNS = set(LABEL_LENGTHS) | {
    "sample_id",
    "dataset",
    "split",
    "image",
    "image_width",
    "image_height",
    "person",
    "bbox_source",
    "status",
    "error_code",
    "error_detail",
    "focal_px",
    "body_valid",
    "left_hand_valid",
    "right_hand_valid",
    "face_valid",
    "reproj_body_px",
    "reproj_left_hand_px",
    "reproj_right_hand_px",
    "reproj_face_px",
    "reproj_rel",
    "inlier_ratio",
    "moved_rad",
    "iterations",
    "converged",
    "quality",
    "body_quality",
    "left_hand_quality",
    "right_hand_quality",
    "face_quality",
    "body_group_detail",
    "eyes_valid",
    "eyelids_valid",
}


def test_label_columns_and_lengths_are_the_published_ones():
    assert set(LABEL_SCHEMA.names) == PUBLISHED_COLUMNS
    lengths = {f.name: fixed_length(f) for f in LABEL_SCHEMA if fixed_length(f)}
    assert lengths == LABEL_LENGTHS


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_says_what_it_means(name):
    for field in SCHEMAS[name]:
        assert field_note(field, "description"), field.name
        if pa.types.is_list(field.type):
            assert fixed_length(field), field.name
        if field.name.endswith(("_px", "_m", "_rad")) and not field.name.startswith("image"):
            assert field_note(field, "unit") == field.name.rpartition("_")[2], field.name


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_part_has_the_same_keys_and_states(name):
    keys = ("sample_id", "dataset", "split", "image", "person", "status", "error_code", "error_detail")
    assert [SCHEMAS[name].field(key).type for key in keys] == [BODY_SCHEMA.field(key).type for key in keys]


def test_every_error_code_has_a_sentence():
    assert set(ERROR_SENTENCES) == set(ErrorCode)
    assert all(code.sentence.endswith(".") for code in ErrorCode)


def test_other_numbers_of_coefficients_are_stated_in_the_schema():
    schema = label_schema(BodySize(num_betas=300, num_flame_shape=100, num_expression=50))
    assert [fixed_length(schema.field(n)) for n in ("betas", "flame_shape", "flame_expression")] == [300, 100, 50]


@pytest.mark.parametrize("image_id", ["785", "a/b/c.jpg", "odd#name/x.png"])
def test_the_image_id_can_be_read_back_from_a_sample_id(image_id):
    assert image_id_of(make_sample_id("coco", "val", image_id, 3)) == image_id

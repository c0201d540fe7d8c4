"""Errors of what pixels changed of labels, before and after."""

import numpy as np
import pytest
from label_shards import footer

from benchmarks.pixel_labels import error_of, rows_of
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, label_schema, make_sample_id
from datasets_manifest.shards.store import write_shard


def test_an_error_is_that_of_its_parameter():
    assert error_of("jaw_pose", np.array([[0.2, 0, 0]]), np.array([[0.1, 0, 0]])).item() == pytest.approx(
        5.7296, abs=1e-3
    )
    fingers = np.zeros((1, 15, 3))
    turned = fingers + np.eye(15, 1)[None] * [0, 0, 1.5]  # one of fifteen joints
    assert error_of("left_hand_pose", turned, fingers).item() == pytest.approx(np.rad2deg(0.1), abs=1e-6)
    assert error_of("head_scale", np.full((1, 3), np.e**0.1), np.ones((1, 3))).item() == pytest.approx(10)
    assert error_of("flame_expression", np.array([[1.0, -3.0]]), np.zeros((1, 2))).item() == 2


def test_changed_parts_of_people_who_are_alone_are_compared(tmp_path):
    """Jaws of two people were .3 and .5 off and are .1 off; the others are unchanged, or two in a photo."""
    people = [("a.jpg", 0), ("b.jpg", 0), ("d.jpg", 0), ("c.jpg", 0), ("c.jpg", 1)]
    columns = {
        "sample_id": [make_sample_id("few", "all", image, person) for image, person in people],
        "dataset": ["few"] * 5,
        "split": ["all"] * 5,
        "image": [image for image, _ in people],
        "person": [person for _, person in people],
        "status": ["ok"] * 5,
        **{f"{part}_valid": [True] * 5 for part in PART_NAMES},
        "eyes_valid": [False] * 5,
        "eyelids_valid": [False] * 5,
        "flame_expression": np.zeros((5, 10)),
        "head_scale": np.ones((5, 3)),
        "eyelids": np.zeros((5, 2)),
    }
    jaw, gain = np.array([[0.1, 0, 0]] * 5), np.full((5, 3), np.nan)
    gain[[0, 2, 3, 4], 2] = 0.2
    was, other = ({"jaw_pose": np.array([angle, 0, 0])} for angle in (0.3, 0.5))
    said = {"photometric_gain": gain, **pack_arrays([was, None, other, was, was], "before_pixels")}
    labels = table_from_columns(columns | {"jaw_pose": jaw} | said, label_schema(by_pixels=True))
    write_shard(tmp_path / "labels/few/all/00000.parquet", labels, footer())
    truth = table_from_columns(
        {name: values[:4] for name, values in columns.items()} | {"jaw_pose": np.zeros((4, 3))}, LABEL_SCHEMA
    )
    write_shard(tmp_path / "work/datasets/few/truth.parquet", truth, footer())
    jaws, *others = rows_of(tmp_path, "few")
    assert (jaws["count"], jaws["error"]) == (2, "jaw deg")
    assert (jaws["before"], jaws["after"]) == pytest.approx((np.rad2deg(0.4), np.rad2deg(0.1)), abs=1e-3)
    assert [row["difference"] for row in others] == [0, 0, 0]

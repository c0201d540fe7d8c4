"""Rows come back from a table as they went in, and a wrong one is refused by its sample's name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from table_rows import table_from_rows

from datasets_manifest.schema.fields import fixed_length
from datasets_manifest.schema.labels import LABEL_SCHEMA, ErrorCode
from datasets_manifest.schema.part_files import KEYPOINTS_SCHEMA

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = [f for f in LABEL_SCHEMA if fixed_length(f)]


def row(number=0, **changes):
    base = {
        "sample_id": f"demo/all/a.jpg#{number}",
        "dataset": "demo",
        "split": "all",
        "image": "a.jpg",
        "person": number,
        "status": "ok",
        "body_valid": True,
        "left_hand_valid": False,
        "right_hand_valid": False,
        "face_valid": True,
    }
    return base | changes


@st.composite
def label_rows(draw):
    rows = []
    for person in range(draw(st.integers(0, 4))):
        values = {f.name: draw(st.none() | arrays(np.float32, fixed_length(f), elements=FINITE)) for f in VECTORS[:6]}
        values["quality"] = draw(st.none() | FINITE)
        values["iterations"] = draw(st.none() | st.integers(0, 2**31 - 1))
        values["error_detail"] = draw(st.none() | st.text())
        if draw(st.booleans()):
            values |= {"status": "failed", "error_code": draw(st.sampled_from(ErrorCode))}
        rows.append(row(person, **values))
    return rows


@settings(max_examples=40, deadline=None)
@given(label_rows())
def test_rows_come_back_as_they_went_in(rows):
    back = table_from_rows(rows, LABEL_SCHEMA).to_pylist()
    assert len(back) == len(rows)
    for before, after in zip(rows, back, strict=True):
        for name, value in after.items():
            expected = before.get(name)
            if isinstance(expected, np.ndarray):
                np.testing.assert_array_equal(np.array(value, dtype=np.float32), expected)
            else:
                assert value == expected, name


def test_a_matrix_is_written_in_row_order():
    points = np.arange(399, dtype=np.float32).reshape(133, 3)
    table = table_from_rows([row(keypoints_2d=points)], LABEL_SCHEMA)
    assert table["keypoints_2d"][0].as_py()[3:6] == [3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"body_pose": np.zeros(60)}, "body_pose must have 63 numbers"),
        ({"body_pose": np.full(63, np.nan)}, "body_pose holds a value that is not finite"),
        ({"body_pose": ["a"] * 63}, "body_pose must have 63 numbers"),
        ({"image": None}, "has no image"),
        ({"colour": 1}, "colour"),
        ({"status": "fine"}, "status is 'fine'"),
        ({"status": "failed"}, "failed without an error_code"),
        ({"status": "failed", "error_code": "oops"}, "error_code is 'oops'"),
        ({"error_code": "image_missing"}, "is ok but has the error_code"),
        ({"sample_id": "demo/all/a.jpg#0"}, "occurs twice"),
        ({"person": 70000}, "person"),
    ],
)
def test_a_wrong_row_is_refused_by_its_name(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        table_from_rows([row(0), row(1, **changes)], LABEL_SCHEMA)
    assert "demo/all/a.jpg#" in str(caught.value)


def test_a_number_that_is_not_finite_becomes_null():
    assert table_from_rows([row(quality=float("nan"))], LABEL_SCHEMA)["quality"].null_count == 1


def test_sigma_may_be_infinite():
    keys = ("sample_id", "dataset", "split", "image", "person", "status")
    sample = {key: row()[key] for key in keys} | {"sigma_px": np.full(133, np.inf), "part_valid": [True, False] * 2}
    back = table_from_rows([sample], KEYPOINTS_SCHEMA).to_pylist()[0]
    assert back["sigma_px"] == [float("inf")] * 133
    assert back["part_valid"] == [True, False, True, False]


def test_an_empty_shard_has_all_columns():
    assert table_from_rows([], LABEL_SCHEMA).schema.equals(LABEL_SCHEMA, check_metadata=True)

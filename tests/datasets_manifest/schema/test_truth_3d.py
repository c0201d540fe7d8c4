"""3D truth of real people comes back from a plan as it went in; what cannot be metres of one person is refused."""

import numpy as np
import pyarrow as pa
import pytest

from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.truth_3d import Truth3d, pack_truth_3d, truth_3d_columns, truth_3d_of

POINTS = np.zeros((133, 4), np.float32)
POINTS[5:7] = [[0.2, 0.0, 3.0, 1.0], [-0.2, 0.0, 3.0, 0.5]]


def body(num_betas, **changed):
    parameters = {"global_orient": np.array([0.1, 0.2, 0.3]), "betas": np.linspace(0, 1, num_betas)}
    return Truth3d(**({"frame": "camera", "model": "smpl", "parameters": parameters, "gender": "male"} | changed))


def test_people_of_one_shard_may_know_different_things():
    other = {"pelvis": np.array([0.0, 0.4, 3.0, 1.0])}
    people = [body(10), None, body(11, model="smplx"), Truth3d(frame="world", keypoints_m=POINTS, other_points_m=other)]
    table = table_from_columns(pack_truth_3d(people), pa.schema(truth_3d_columns()))
    first, nothing, second, points = map(truth_3d_of, table.to_pylist())
    assert nothing is None
    assert first
    assert second
    assert points
    assert (first.model, first.gender, first.frame, first.num_betas) == ("smpl", "male", "camera", 10)
    assert (second.model, second.num_betas) == ("smplx", 11)
    np.testing.assert_allclose(first.parameters["global_orient"], [0.1, 0.2, 0.3])
    assert (points.model, points.frame, points.root_relative) == (None, "world", False)
    np.testing.assert_array_equal(points.keypoints_m, POINTS)
    np.testing.assert_array_equal(points.other_points_m["pelvis"], other["pelvis"].astype(np.float32))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"model": None}, "the model's name, or neither"),
        ({"parameters": {"pose": np.zeros(72)}}, "no parameter 'pose'; known are global_orient"),
        ({"parameters": {"body_pose": np.zeros(72)}}, r"body_pose of 3D truth must be a row of 69 or 63 numbers, got"),
        ({"parameters": {"betas": np.full(10, np.nan)}}, "betas of 3D truth holds a value that is not finite"),
        ({"keypoints_m": POINTS * 1000}, "400 m apart, expected 4 m at most; are they millimetres"),
        ({"other_points_m": {"neck": np.array([np.nan, 0, 0, 1])}}, "not finite"),
    ],
)
def test_what_makes_no_sense_is_refused(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        body(10, **changed)


def test_points_that_are_not_known_may_be_anywhere():
    far = np.where(POINTS[:, 3:] > 0, POINTS, [1e4, 0, 0, 0])
    assert body(10, keypoints_m=far).keypoints_m is far

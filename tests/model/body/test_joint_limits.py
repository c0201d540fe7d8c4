"""The joint limits belong to the joints they name, and are the same on both sides."""

import numpy as np

from model.body import skeleton
from model.body.joint_limits import JOINT_LIMITS_RAD

LOW, HIGH = JOINT_LIMITS_RAD[..., 0], JOINT_LIMITS_RAD[..., 1]


def test_rest_is_within_the_limits() -> None:
    assert JOINT_LIMITS_RAD.shape == (21, 3, 2)
    assert (LOW < 0).all()
    assert (HIGH > 0).all()


def test_the_limits_allow_left_and_right_the_same() -> None:
    """Mirroring negates the y and z components."""
    for left, right in ((0, 1), (3, 4), (15, 16), (17, 18), (19, 20)):
        assert np.allclose(LOW[left, 1:], -HIGH[right, 1:])
        assert np.allclose(LOW[left, 0], LOW[right, 0])


def test_limits_belong_to_the_joints_they_name() -> None:
    span = {name: (HIGH - LOW)[row] for row, name in enumerate(skeleton.SMPLX_JOINT_NAMES[1:22])}
    for stiff in ("spine1", "spine2", "spine3", "left_collar", "right_collar", "left_foot", "right_foot"):
        assert (span[stiff] == 1.4).all()
    for wide in ("neck", "head", "left_wrist", "right_ankle"):
        assert (span[wide] == 2.4).all()
    row = skeleton.SMPLX_JOINT_NAMES.index
    assert HIGH[row("left_knee") - 1, 0] > 2
    assert LOW[row("left_knee") - 1, 0] > -0.1
    assert HIGH[row("left_elbow") - 1, 1] < 0.1
    assert LOW[row("right_elbow") - 1, 1] > -0.1

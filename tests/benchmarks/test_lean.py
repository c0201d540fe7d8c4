"""What the benchmark of lean measures."""

import pytest
from scipy.spatial.transform import Rotation

from benchmarks.lean import lean_deg
from model.body.assets import load_open_body
from tasks.synthetic.pose import FACING_CAMERA


@pytest.mark.parametrize("pitch_deg", [-20.0, 0.0, 10.0, 50.0])
@pytest.mark.parametrize("yaw_deg", [0.0, 70.0, 180.0])
def test_a_camera_pitched_down_sees_an_upright_person_lean_towards_it(pitch_deg: float, yaw_deg: float) -> None:
    body = load_open_body().smplx
    rest = body.joint_regressor @ body.v_template
    camera = Rotation.from_euler("x", pitch_deg, degrees=True) * FACING_CAMERA
    joints = (camera * Rotation.from_euler("y", yaw_deg, degrees=True)).apply(rest)
    # At rest the shoulders are not quite above the ankles.
    assert lean_deg(joints[None]) == pytest.approx([pitch_deg], abs=4.0)

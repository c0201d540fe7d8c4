"""From the frames and parameters of the official estimators to SMPL-X and FLAME; ``model.imaging`` has their cameras.

Frames: the camera frame ("CV") has x right, y down, z forward; an estimator's y-up frame looks the other way along z.
Rotations are matrices (..., 3, 3) unless named otherwise. A crop is turned clockwise on the screen by its roll;
``Rz(roll)`` turns x towards y.

What belongs to the whole body lies where bodies are posed: wrists and the head's turn in ``fitting.initialise``, the
translation between the pelvis joints of SMPL and SMPL-X in ``fitting.delta_theta``.
"""

from __future__ import annotations

import math

from torch import Tensor

from model.body.skeleton import NUM_BODY_JOINTS
from model.rotations import mirror_rotmat, rotation_about_x, rotation_about_z, rotvec_to_rotmat


# --- pose parameters --------------------------------------------------------------------------------------------------
def sixd_from_interleaved(interleaved: Tensor) -> Tensor:
    """6D rotations stored row by row, (a1 b1 a2 b2 a3 b3), to column after column, (a b); both (..., 6).

    SPIN, PIXIE and smplx's transfer_model store rows; ProHMR, HMR2 and HaMeR store columns, as
    ``model.rotations.sixd_to_rotmat`` reads them.
    """
    return interleaved.unflatten(-1, (3, 2)).transpose(-1, -2).flatten(-2)


def left_hand_from_mirrored(rotmat: Tensor) -> Tensor:
    """Wrist or finger rotations (..., 3, 3) that a right-hand network read in a mirrored photo, as the left hand's.

    HaMeR's rule for left hands (is_right = 0): axis-angle (x, y, z) becomes (x, -y, -z), the shape stays.
    """
    return mirror_rotmat(rotmat)


def smplx_body_pose(smpl_body_pose: Tensor) -> Tensor:
    """Local rotations of SMPL's joints 1..23 (..., 23, 3, 3) as those of SMPL-X's joints 1..21 (..., 21, 3, 3).

    Names and parents of the first 21 agree; SMPL's two hand joints have no counterpart.

    Raises:
        ValueError: Not the 23 joints of SMPL.
    """
    if smpl_body_pose.shape[-3:] != (23, 3, 3):
        raise ValueError(f"expected SMPL body poses (..., 23, 3, 3), got {tuple(smpl_body_pose.shape)}")
    return smpl_body_pose[..., :NUM_BODY_JOINTS, :, :]


# --- head -------------------------------------------------------------------------------------------------------------
def head_orient(pose_rotvec: Tensor, roll_rad: Tensor) -> Tensor:
    """Head orientation (..., 3, 3) in the camera frame of TEASER's or SMIRK's ``pose_params`` (..., 3).

    They are in the y-up frame of a rolled crop: Rz(roll) F R with F = Rx(pi).
    """
    orient = rotvec_to_rotmat(pose_rotvec)
    return rotation_about_z(roll_rad).to(orient) @ rotation_about_x(math.pi).to(orient) @ orient

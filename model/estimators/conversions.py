"""From the frames and parameters of the official estimators to SMPL-X, FLAME and the camera of the full photo.

Frames: the camera frame ("CV") has x right, y down, z forward; an estimator's y-up frame looks the other way along z.
Rotations are matrices (..., 3, 3) unless named otherwise. A crop is a square of the photo with centre (..., 2) px and
side (...,) px, turned clockwise on the screen by its roll. ``Rz(roll)`` turns x towards y.

What belongs to the whole body lies where bodies are posed: wrists and the head's turn in ``fitting.initialise``, the
translation between the pelvis joints of SMPL and SMPL-X in ``fitting.delta_theta``.
"""

from __future__ import annotations

import math

import torch
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


def mirror_6d(sixd: Tensor) -> Tensor:
    """Mirrors 6D rotations (..., 6), columns a then b, in x = 0: M R M with M = diag(-1, 1, 1)."""
    return sixd * torch.tensor([1.0, -1.0, -1.0, -1.0, 1.0, 1.0], dtype=sixd.dtype, device=sixd.device)


def left_hand_from_mirrored(rotmat: Tensor) -> Tensor:
    """Wrist or finger rotations (..., 3, 3) that a right-hand network read in a mirrored photo, as the left hand's.

    HaMeR's rule for left hands (is_right = 0): axis-angle (x, y, z) becomes (x, -y, -z), the shape stays.
    """
    return mirror_rotmat(rotmat)


def camera_from_mirrored(camera: Tensor) -> Tensor:
    """Crop camera (..., 3) s, tx, ty of a mirrored crop, as that of the crop as it is in the photo."""
    return camera * torch.tensor([1.0, -1.0, 1.0], dtype=camera.dtype, device=camera.device)


def points_from_mirrored(points_m: Tensor) -> Tensor:
    """Points (..., 3) of a mirrored crop, as those of the photo; triangles then wind the other way round."""
    return points_m * torch.tensor([-1.0, 1.0, 1.0], dtype=points_m.dtype, device=points_m.device)


def flat_hand_pose(relative_rotvec: Tensor, hands_mean: Tensor) -> Tensor:
    """Finger rotations (..., 15, 3) stored relative to the mean hand, as absolute ones: zero is the flat hand.

    MANO and SMPL-X with ``flat_hand_mean=False`` add the mean (15, 3) to the axis-angle vectors before anything else.
    HaMeR's poses are absolute already: the mean must not be added to them.
    """
    return relative_rotvec + hands_mean


def relative_hand_pose(flat_rotvec: Tensor, hands_mean: Tensor) -> Tensor:
    """Absolute finger rotations (..., 15, 3) as a model with ``flat_hand_mean=False`` stores them."""
    return flat_rotvec - hands_mean


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
def orient_from_y_up(orient: Tensor, roll_rad: Tensor) -> Tensor:
    """Orientation (..., 3, 3) in the y-up frame of a rolled crop, in the camera frame: Rz(roll) F R, F = Rx(pi)."""
    flip = rotation_about_x(math.pi).to(orient)
    return rotation_about_z(roll_rad).to(orient) @ flip @ orient


def head_orient(pose_rotvec: Tensor, roll_rad: Tensor) -> Tensor:
    """Head orientation (..., 3, 3) in the camera frame of TEASER's or SMIRK's ``pose_params`` (..., 3)."""
    return orient_from_y_up(rotvec_to_rotmat(pose_rotvec), roll_rad)


# --- cameras ----------------------------------------------------------------------------------------------------------
def y_down_camera(camera: Tensor) -> Tensor:
    """Crop camera s, tx, ty (..., 3) of u = s (X + tx), v = -s (Y + ty) for points with y down: ty changes sign."""
    return camera_from_mirrored(camera) * torch.tensor([1.0, -1.0, -1.0], dtype=camera.dtype, device=camera.device)


def full_image_translation(
    camera: Tensor,
    centre_px: Tensor,
    side_px: Tensor,
    focal_px: Tensor,
    principal_px: Tensor,
    roll_rad: Tensor | None = None,
) -> Tensor:
    """Translation (..., 3) under a pinhole camera of the whole photo that shows what a crop's weak camera shows.

    tz = 2 f / (b s) and t_xy = Rz(roll) (tx, ty) + 2 (c - p) / (b s), as in HMR2's and HaMeR's cam_crop_to_full, here
    with any principal point and a roll. The points themselves are turned by Rz(roll) as well. Both pictures agree to
    about 1 % of the side as long as the depth of the body is small against tz.

    Args:
        camera: (..., 3) s, tx, ty of u = s (X + tx), v = s (Y + ty), where the crop is -1..1 and v points down;
            s must be positive.
        centre_px: (..., 2) centre of the crop in the photo, for a left hand that of the photo as it is.
        side_px: (...,).
        focal_px: (...,).
        principal_px: (..., 2).
        roll_rad: (...,) or None for an upright crop.
    """
    scale = side_px * camera[..., 0]
    shift = camera[..., 1:]
    if roll_rad is not None:
        shift = (rotation_about_z(roll_rad)[..., :2, :2] @ shift[..., None])[..., 0]
    offset = 2 * (centre_px - principal_px) / scale[..., None]
    return torch.cat([shift + offset, (2 * focal_px / scale)[..., None]], -1)

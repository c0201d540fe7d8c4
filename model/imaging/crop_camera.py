"""The camera of a crop: projection as the network means it, and the way between the crop's camera and the photo's.

A crop is a square of the photo with a centre and a side in px, turned clockwise on the screen by its roll. Its camera
is a pinhole whose axis goes through that centre: x right and y down in the crop, z along the ray. The network sees only
the crop, so its rotations and points are relative to this camera. With V = ``view_ray_rotation`` of the centre,

    R_photo = V Rz(roll) R_crop      and      R_crop = Rz(-roll) V^T R_photo.

The crop's focal length is a convention (``focal_sides`` times its side) and makes the picture close to a scaled
orthographic one; the photo's focal length enters only on the way to the photo. A mirrored crop is mirrored first.

Image coordinates count from the corner. Legend: B people, N points, (...) any leading dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.imaging.camera import NEAR_M, fitted_translation
from model.rotations import rotation_about_z

MIN_SCALE = 0.1
"""Below this s, a crop 20 m wide, the distance goes on linearly in s instead of like 1 / s."""
MIN_DECIDING = 4
"""Fewer points than this do not place a person: neighbours among them say little about the distance."""


def distance_m(scale: Tensor, focal_sides: float) -> Tensor:
    """Distance t_z = 2 focal_sides / s of the pelvis (...,), positive for every s.

    Nothing keeps a read-out from saying s <= 0. Below ``MIN_SCALE`` the curve is continued by its tangent, so that the
    distance stays finite and its gradient pulls s back.
    """
    tangent = (2.0 * MIN_SCALE - scale) / MIN_SCALE**2
    inverse = torch.where(scale > MIN_SCALE, 1.0 / scale.clamp(min=MIN_SCALE), tangent)
    return 2.0 * focal_sides * inverse


def crop_translation(camera: Tensor, focal_sides: float) -> Tensor:
    """Where the pelvis is in the crop's camera (..., 3), metres: [tx, ty, 2 focal_sides / s], as in HMR2.

    Args:
        camera: (..., 3) s, tx, ty; tx and ty in metres, 2 / s is the width of the crop in metres at the pelvis.
        focal_sides: focal length in sides of the crop.
    """
    return torch.cat([camera[..., 1:], distance_m(camera[..., :1], focal_sides)], -1)


def project_into_crop(points_m: Tensor, camera: Tensor, focal_sides: float) -> Tensor:
    """Where points appear in the crop (..., N, 2), in sides from its centre: -0.5 .. 0.5 is inside.

    Args:
        points_m: (..., N, 3) relative to the pelvis joint, turned as the crop's camera sees them.
        camera: (..., 3) s, tx, ty; see ``crop_translation``.
        focal_sides: focal length in sides of the crop.
    """
    moved = points_m + crop_translation(camera, focal_sides)[..., None, :]
    return focal_sides * moved[..., :2] / moved[..., 2:].clamp(min=NEAR_M)


def is_shown(points_m: Tensor, camera: Tensor, focal_sides: float) -> Tensor:
    """Which points the crop shows (B, N), bool; the arguments are those of ``project_into_crop``."""
    return (project_into_crop(points_m, camera, focal_sides).abs() <= 0.5).all(-1)


def view_ray_rotation(centre_px: Tensor, focal_px: Tensor, principal_px: Tensor) -> Tensor:
    """Smallest rotation (..., 3, 3) that turns the camera's axis to the ray through a crop's centre.

    A network that sees only the crop takes its centre for the centre of the picture: what it says is relative to that
    ray. ``view_ray_rotation(...) @ orient`` is relative to the camera. At a focal length of thousands of px, as the
    upstream scripts assume, it is close to the identity; at the edge of an ordinary photo it is 20 degrees and more.

    Args:
        centre_px: (..., 2).
        focal_px: (...,).
        principal_px: (..., 2).
    """
    ray = (centre_px - principal_px) / focal_px[..., None]
    x, y, z = torch.nn.functional.normalize(torch.cat([ray, torch.ones_like(ray[..., :1])], -1), dim=-1).unbind(-1)
    share = 1 / (1 + z)
    rows = [1 - x * x * share, -x * y * share, x, -x * y * share, 1 - y * y * share, y, -x, -y, z]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def photo_rotation(centre_px: Tensor, focal_px: Tensor, principal_px: Tensor, roll_rad: Tensor) -> Tensor:
    """Rotation V Rz(roll) (..., 3, 3) from the frame of the crop's camera to that of the photo's camera.

    Args:
        centre_px: (..., 2) centre of the crop in the photo.
        focal_px: (...,) of the photo.
        principal_px: (..., 2) of the photo.
        roll_rad: (...,) how far the crop is turned clockwise in the photo.
    """
    return view_ray_rotation(centre_px, focal_px, principal_px) @ rotation_about_z(roll_rad)


def crop_orient(
    orient_photo: Tensor, centre_px: Tensor, focal_px: Tensor, principal_px: Tensor, roll_rad: Tensor
) -> Tensor:
    """Orientation (..., 3, 3) relative to the photo's camera, as the crop's camera sees it.

    The other arguments are those of ``photo_rotation``.
    """
    return photo_rotation(centre_px, focal_px, principal_px, roll_rad).transpose(-1, -2) @ orient_photo


def photo_orient(
    orient_crop: Tensor, centre_px: Tensor, focal_px: Tensor, principal_px: Tensor, roll_rad: Tensor
) -> Tensor:
    """Orientation (..., 3, 3) relative to the crop's camera, in the frame of the photo's; undoes ``crop_orient``."""
    return photo_rotation(centre_px, focal_px, principal_px, roll_rad) @ orient_crop


def photo_translation(
    camera: Tensor,
    centre_px: Tensor,
    side_px: Tensor,
    focal_px: Tensor,
    principal_px: Tensor,
    roll_rad: Tensor,
    focal_sides: float,
) -> Tensor:
    """Position (..., 3) of the pelvis in the photo's camera, metres: on the ray through where the crop shows it.

    Body and camera are turned by ``photo_orient``, so the pelvis is seen exactly where the network saw it. Its depth
    makes lengths across the ray as long in the photo as in the crop. Away from the photo's centre a picture is
    stretched more along the radius than across it (1 / cos^2 and 1 / cos of the angle between ray and axis); the
    depth fits the geometric mean of both. In the middle of the photo this is HMR2's cam_crop_to_full.

    Args:
        camera: (..., 3) s, tx, ty.
        centre_px: (..., 2) centre of the crop.
        side_px: (...,) side of the crop.
        focal_px: (...,) of the photo.
        principal_px: (..., 2) of the photo.
        roll_rad: (...,) how far the crop is turned clockwise in the photo.
        focal_sides: focal length of the crop in its sides.
    """
    crop_m = crop_translation(camera, focal_sides)
    shown = focal_sides * crop_m[..., :2] / crop_m[..., 2:]
    turned = (rotation_about_z(roll_rad)[..., :2, :2] @ shown[..., None])[..., 0]
    pelvis_px = centre_px + side_px[..., None] * turned
    ray = (pelvis_px - principal_px) / focal_px[..., None]
    cosine = (1.0 + (ray * ray).sum(-1)).rsqrt()
    depth = focal_px * crop_m[..., 2] / (focal_sides * side_px * cosine.sqrt())
    return depth[..., None] * torch.cat([ray, torch.ones_like(ray[..., :1])], -1)


def fitted_photo_translation(
    points_crop_m: Tensor,
    camera: Tensor,
    centre_px: Tensor,
    side_px: Tensor,
    focal_px: Tensor,
    principal_px: Tensor,
    roll_rad: Tensor,
    focal_sides: float,
    deciding: Tensor | None = None,
) -> Tensor:
    """Position (..., 3) of the pelvis in the photo's camera that shows the points best where the crop shows them.

    The crop's picture is nearly orthographic, the photo's is not: of a person who is near or at the edge, near limbs
    come out larger. The points' places in the crop are carried into the photo, and the translation is the linear least
    squares solution of x (Z + t_z) = X + t_x, y (Z + t_z) = Y + t_y over them, which ``photo_translation`` approaches
    as the distance grows. Where that is no place before the camera, it is the one of ``photo_translation``.

    Args:
        points_crop_m: (..., N, 3) relative to the pelvis, in the crop's camera; two points or more that are not one.
        camera: (..., 3) s, tx, ty; the other arguments are those of ``photo_translation``.
        centre_px: (..., 2).
        side_px: (...,).
        focal_px: (...,).
        principal_px: (..., 2).
        roll_rad: (...,).
        focal_sides: focal length of the crop in its sides.
        deciding: (..., N) bool, the points that have a say; None all. Where fewer than ``MIN_DECIDING`` have, all have.
    """
    shown = project_into_crop(points_crop_m, camera, focal_sides)
    turned = (rotation_about_z(roll_rad)[..., None, :2, :2] @ shown[..., None])[..., 0]
    pixels = centre_px[..., None, :] + side_px[..., None, None] * turned
    ray = (pixels - principal_px[..., None, :]) / focal_px[..., None, None]
    rotation = photo_rotation(centre_px, focal_px, principal_px, roll_rad)
    points = points_crop_m @ rotation.transpose(-1, -2)
    if deciding is None:
        deciding = torch.ones_like(ray[..., 0], dtype=torch.bool)
    deciding = deciding | (deciding.sum(-1, keepdim=True) < MIN_DECIDING)
    fitted = fitted_translation(points, ray, deciding.to(ray))
    by_pelvis = photo_translation(camera, centre_px, side_px, focal_px, principal_px, roll_rad, focal_sides)
    return torch.where(fitted[..., 2:] <= NEAR_M, by_pelvis, fitted)  # what is not finite stays so

"""Extrinsics of a rig refined from the people it saw: bundle adjustment of their keypoints, without a body.

Six unknowns a camera, a turn and a shift, with a prior about what was stated; the keypoints of every moment are points
of their own, eliminated one by one. What keypoints cannot tell, where the whole rig stands and how large it is, the
prior keeps.

Legend: R rows, M moments, V views, N keypoints, C cameras.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fitting import so3
from fitting.folding import fold, solved
from fitting.problem import People
from fitting.rigs.inputs import Rig, Views
from fitting.rigs.settings import RigConfig
from fitting.sightings import Sightings
from fitting.stated import Stated
from model.body import skeleton

_SCALES = (20.0, 20.0, 20.0, 4.0, 4.0, 4.0, 4.0, 4.0)
"""Robust scales, in sigmas, of the steps: first wide, as in the refinement."""
_ROUNDS = 3
"""Steps that bring the points to where they are best seen."""
_MOST_MOMENTS = 256
_DOUBLE = torch.float64


def refine_extrinsics(people: People, rig: Rig, views: Views, use: Tensor, config: RigConfig) -> Rig:
    """The rig with extrinsics corrected camera by camera.

    Args:
        people: R rows, checked.
        rig: of the rows, with `camera_index`.
        views: M moments.
        use: (M, V) views that agree with each other; at most 256 moments are looked at.
        config: how far the stated extrinsics are trusted.
    """
    if rig.camera_index is None:
        raise ValueError("refine_extrinsics needs camera_index, which says what rows one camera took")
    camera = rig.camera_index.unique(return_inverse=True)[1]
    moments = torch.nonzero(use.any(1)).squeeze(1)
    if not len(moments):
        return rig
    moments = moments[:: -(-len(moments) // _MOST_MOMENTS)]
    stated_turn = rig.rotation.to(_DOUBLE)
    stated_centre = -(stated_turn.transpose(-1, -2) @ rig.translation_m.to(_DOUBLE)[..., None]).squeeze(-1)
    row, seen = views.row[moments], use[moments]
    # About the middle of the cameras, for the sake of rounding.
    origin = stated_centre[row[seen]].mean(0)
    turn = torch.eye(3, dtype=_DOUBLE, device=row.device).repeat(int(camera.max()) + 1, 1, 1)
    shift = turn.new_zeros(len(turn), 3)
    sigma = torch.tensor([config.rotation_sigma_rad] * 3 + [config.position_sigma_m] * 3).to(origin)
    precision = (people.precision[row] * seen[..., None]).to(_DOUBLE)
    precision[..., skeleton.CONTOUR] = 0  # each view has an outline of its own
    precision = precision * ((precision > 0).sum(1, keepdim=True) > 1)
    base = Sightings(
        focal_px=people.camera.focal_px[row].to(_DOUBLE),
        principal_px=people.camera.principal_px[row].to(_DOUBLE),
        rotation=stated_turn[row],
        shift_m=stated_centre[row],
        keypoints_px=people.keypoints_px[row].to(_DOUBLE),
        precision=precision,
        stated=Stated.nothing(precision[:, 0]),
    )
    for scale in _SCALES:
        rotation = turn[camera[row]] @ stated_turn[row]
        centre = stated_centre[row] + shift[camera[row]] - origin
        sightings = replace(base, rotation=rotation, shift_m=-(rotation @ centre[..., None]).squeeze(-1))
        matrix, pull = _reduced(sightings, camera[row], len(turn), scale)
        departure = torch.cat([so3.log(turn), shift], 1) / sigma.square()
        matrix.diagonal().add_((1 / sigma.square()).repeat(len(turn)))
        step = -torch.linalg.solve(matrix, pull + departure.flatten()).view(-1, 6)
        turn, shift = so3.exp(step[:, :3]) @ turn, shift + step[:, 3:]
    rotation = turn[camera] @ stated_turn
    centre = stated_centre + shift[camera]
    found = rotation, -(rotation @ centre[..., None]).squeeze(-1)
    return replace(rig, rotation=found[0].to(rig.rotation), translation_m=found[1].to(rig.translation_m))


def _reduced(sightings: Sightings, camera: Tensor, num_cameras: int, scale: float) -> tuple[Tensor, Tensor]:
    """Normal matrix (6 C, 6 C) and half the gradient (6 C,) of turns and shifts of the cameras, the points eliminated.

    Args:
        sightings: M moments in the frame of the world.
        camera: (M, V) number of each view's camera.
        num_cameras: C.
        scale: of the robust loss.
    """
    points = sightings.triangulated()
    points = torch.where(torch.isfinite(points), points, 0.0)
    for _ in range(_ROUNDS):
        step = solved(sightings.fold(points, scale))
        points = points + torch.where(torch.isfinite(step), step, 0.0)
    rows, off = sightings.linear(points, scale)
    folded = fold(rows, *off)
    known = torch.isfinite(solved(folded)).all(-1)
    xx, xy, xz, yy, yz, zz = folded.information
    matrix = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], -1).unflatten(-1, (3, 3))
    inverse = torch.linalg.inv(torch.where(known[..., None, None], matrix, torch.eye(3).to(matrix)))
    inverse = inverse * known[..., None, None]
    by_point = torch.stack([torch.stack(axis, -1) for axis in rows], -2)
    # X_v = R (X - c): a turn w of the camera moves it by w x X_v, a shift d by -R d.
    in_camera = torch.stack(sightings.in_cameras(points), -1)
    by_turn = by_point @ sightings.rotation[:, :, None].transpose(-1, -2) @ -so3.skew(in_camera)
    by_camera = torch.cat([by_turn, -by_point], -1)
    residual = torch.stack(off, -1)[..., None]
    own = (by_camera.transpose(-1, -2) @ by_camera * known[:, None, :, None, None]).sum(2)
    cross = by_camera.transpose(-1, -2) @ by_point
    pull = torch.stack(folded.pull, -1)[..., None]
    gradient = by_camera.transpose(-1, -2) @ residual - cross @ (inverse @ pull)[:, None]
    gradient = (gradient.squeeze(-1) * known[:, None, :, None]).sum(2)
    wide = cross.permute(0, 1, 3, 2, 4).flatten(1, 2)
    reduced = -(wide[..., None, :] @ inverse[:, None]).flatten(2) @ wide.flatten(2).transpose(1, 2)
    places = (6 * camera[..., None] + torch.arange(6, device=camera.device)).flatten(1)
    total = matrix.new_zeros(6 * num_cameras, 6 * num_cameras)
    total.index_put_((places[:, :, None], places[:, None]), reduced, accumulate=True)
    blocks = places.unflatten(1, (-1, 6))
    total.index_put_((blocks[..., None], blocks[:, :, None]), own, accumulate=True)
    return total, matrix.new_zeros(6 * num_cameras).index_put_((places,), gradient.flatten(1), accumulate=True)

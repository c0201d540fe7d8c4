"""Where in their groups rows are, as the plan says it now: cameras may have been calibrated anew since the parts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import image_id_of
from fitting.refine import Camera, Coarse
from model.imaging.crop_camera import view_ray_rotation


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Of N rows."""

    group: np.ndarray
    """(N,) number of the group, in the order of the plan."""
    camera: np.ndarray
    """(N,) number of the camera, over all groups."""
    frame: np.ndarray
    """(N,) number of the moment."""
    time_s: np.ndarray
    """(N,) float64."""
    world_to_camera: np.ndarray
    """(N, 3, 4), NaN where it is not known."""
    plan_row: np.ndarray
    """(N,) row of the plan that says so, the first of the photo."""

    def take(self, rows: np.ndarray) -> Places:
        """Some of the rows."""
        return Places(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def photo_rows(plan: Columns, sample_ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """(N,) rows of a plan that say what it knows of the photos of N rows: the first of each photo."""
    row_of: dict[str, int] = {}
    for row, sample_id in enumerate(plan["sample_id"]):
        row_of.setdefault(image_id_of(sample_id), row)
    return np.array([row_of[image_id_of(sample_id)] for sample_id in sample_ids], int)


def places_of(plan: Columns, sample_ids: Sequence[str] | np.ndarray) -> Places:
    """Places of rows, by the photos that their sample ids name.

    Raises:
        ValueError: A frame has no time, or was not taken after the one before.
    """
    rows = photo_rows(plan, sample_ids)
    cameras = [f"{group}\0{camera or ''}" for group, camera in zip(plan["group"], plan["camera"], strict=True)]
    extrinsics = plan["world_to_camera"].astype(np.float64)
    extrinsics[~plan.has("world_to_camera")] = np.nan
    whole = Places(
        group=_numbers(plan["group"]),
        camera=_numbers(cameras),
        frame=plan["frame"],
        time_s=plan["time_s"],
        world_to_camera=extrinsics,
        plan_row=np.arange(len(extrinsics)),
    )
    _check_times(plan, whole.take(np.unique(photo_rows(plan, plan["sample_id"]))))
    return whole.take(rows)


def _numbers(names: Sequence[str] | np.ndarray) -> np.ndarray:
    """A number (N,) for each name, by where it comes first."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], int)


def _check_times(plan: Columns, photos: Places) -> None:
    order = np.lexsort((photos.frame, photos.camera))
    ids, times = plan["sample_id"][photos.plan_row].tolist(), photos.time_s
    for row in order[~np.isfinite(times[order])]:
        raise ValueError(f"{image_id_of(ids[row])}: frame {photos.frame[row]} has no time; state when it was taken")
    for row, then in itertools.pairwise(order):
        if photos.camera[row] == photos.camera[then] and times[then] <= times[row]:
            raise ValueError(
                f"{image_id_of(ids[then])}: frame {photos.frame[then]} of its camera was taken at {times[then]:g} s, "
                f"frame {photos.frame[row]} at {times[row]:g} s; frames that follow each other need rising times"
            )


def stated_camera(plan: Columns, places: Places, camera: Camera) -> Camera:
    """The cameras that the plan states for N rows, the given ones where it states none."""
    focal, principal = (torch.from_numpy(plan[name][places.plan_row]) for name in ("focal_px", "principal_px"))
    is_stated = torch.from_numpy(plan.has("principal_px")[places.plan_row])
    return Camera(
        focal_px=torch.where(focal.isfinite(), focal, camera.focal_px),
        principal_px=torch.where(is_stated[:, None], principal, camera.principal_px),
    )


def seen_through(coarse: Coarse, boxes_xyxy: Tensor, before: Camera, after: Camera) -> Coarse:
    """Estimates made for one camera as they are for another: what is estimated is how people are turned to the line
    along which they are seen, and the camera says where that line is.

    Args:
        coarse: Of (B,) people.
        boxes_xyxy: (B, 4) px, where they are seen.
        before: The cameras of the estimates.
        after: Those that are wanted.
    """
    is_other = (before.focal_px != after.focal_px) | (before.principal_px != after.principal_px).any(1)
    rows = torch.nonzero(is_other).squeeze(1)
    if not len(rows):
        return coarse
    centre = 0.5 * (boxes_xyxy[rows, :2] + boxes_xyxy[rows, 2:]).double()
    old, new = (
        view_ray_rotation(centre, own.focal_px[rows].double(), own.principal_px[rows].double())
        for own in (before, after)
    )
    turn = (new @ old.transpose(-1, -2)).to(coarse.global_orient.dtype)

    def turned(rotation: Tensor | None) -> Tensor | None:
        if rotation is None:
            return None
        dims = [1] * (rotation.dim() - 3)
        return rotation.index_copy(0, rows, turn.view(-1, *dims, 3, 3) @ rotation[rows])

    return replace(
        coarse,
        global_orient=turned(coarse.global_orient),
        head_orient=turned(coarse.head_orient),
        wrist_orient=turned(coarse.wrist_orient),
    )

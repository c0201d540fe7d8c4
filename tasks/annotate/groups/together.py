"""The fit of groups: people in clips, views of people, and both, each with the others of the same person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fitting.clips.inputs import Clips
from fitting.clips.refine import refine_clips
from fitting.clips.views import refine_view_clips
from fitting.refine import Camera, Coarse, Observations, RefineResult
from fitting.rigs.inputs import Rig
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from model.batches import cat_rows, take_rows
from tasks.annotate.groups.places import Places
from tasks.annotate.settings import GroupsConfig

ROWS_AT_ONCE = 1024
"""Groups are fitted together as long as they have no more rows; a longer one by itself."""
_ALONE = "no other camera shows the person at this moment"

Given = tuple[Observations, Coarse, Camera]


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupFit:
    """What became of N rows."""

    result: RefineResult
    """Each in the frame of its camera."""
    views_joined: np.ndarray
    """(N,) bool."""
    frames_joined: np.ndarray
    """(N,) bool."""
    by_views: np.ndarray
    """(N,) bool: the views of several cameras were fitted together, or ``details`` say why not."""
    details: list[str | None]
    """Why a row is fitted without other views, where there are any, or, before one camera, without other frames."""
    world_to_camera: np.ndarray
    """(N, 3, 4) as they were used, with refined extrinsics where these were asked for; NaN where not known."""


def fit_groups(
    body: SparseBody, given: Given, places: Places, tracks: np.ndarray, refine: RefineConfig, config: GroupsConfig
) -> GroupFit:
    """Fits N rows, frames and views of a person together.

    Args:
        body: The body.
        given: Keypoints, estimates and cameras of the rows.
        places: Where they are.
        tracks: (N,) who it is, in all cameras of the group; below 0 where that is not known.
        refine: Settings of the refinement.
        config: How frames and views are held together.
    """
    parts: list[GroupFit] = []
    order: list[np.ndarray] = []
    for rows in _chunks(places.group):
        several = seen_by_several(places.take(rows), tracks[rows])
        for chosen, fit in ((rows[~several], _fit_clips), (rows[several], _fit_views)):
            if len(chosen):
                own = take_rows(given, torch.from_numpy(chosen))
                parts.append(fit(body, own, places.take(chosen), tracks[chosen], refine, config))
                order.append(chosen)
    back = np.argsort(np.concatenate(order))
    details = [detail for part in parts for detail in part.details]
    return GroupFit(
        result=take_rows(cat_rows([part.result for part in parts]), torch.from_numpy(back)),
        views_joined=np.concatenate([part.views_joined for part in parts])[back],
        frames_joined=np.concatenate([part.frames_joined for part in parts])[back],
        details=[details[row] for row in back],
        by_views=np.concatenate([part.by_views for part in parts])[back],
        world_to_camera=np.concatenate([part.world_to_camera for part in parts])[back],
    )


def _chunks(group: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of whole groups, as many as are fitted at once."""
    order = np.argsort(group, kind="stable")
    chunk: list[np.ndarray] = []
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if chunk and sum(map(len, chunk)) + len(rows) > ROWS_AT_ONCE:
            yield np.concatenate(chunk)
            chunk = []
        chunk.append(rows)
    if chunk:
        yield np.concatenate(chunk)


def seen_by_several(places: Places, tracks: np.ndarray) -> np.ndarray:
    """(N,) bool: rows of people that are seen by two cameras of known places at least."""
    known = np.isfinite(places.world_to_camera).all((1, 2)) & (tracks >= 0)
    person = np.unique(np.stack([places.group, tracks], 1), axis=0, return_inverse=True)[1]
    cameras = np.unique(np.stack([person, places.camera], 1)[known], axis=0)[:, 0]
    return known & (np.bincount(cameras, minlength=len(tracks))[person] > 1)


def _persons(places: Places, tracks: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (N,) of the people, within each ``of`` (N,), and who repeats another of the same photo.

    Those whose track is not known, or that of another person in the photo, are people of their own.
    """
    rows = np.arange(len(tracks))
    own = np.where(tracks < 0, -1 - rows, tracks)
    first = np.unique(np.stack([own, of, places.camera, places.frame], 1), axis=0, return_index=True)[1]
    repeats = np.isin(rows, first, invert=True)
    own = np.where(repeats, -1 - rows, own)
    return np.unique(np.stack([of, own], 1), axis=0, return_inverse=True)[1], repeats


def _details(reasons: tuple[str | None, ...] | list[str | None], repeats: np.ndarray) -> list[str | None]:
    said = "another person of the photo has the same track"
    return [said if repeated else reason for reason, repeated in zip(reasons, repeats, strict=True)]


def _fit_clips(
    body: SparseBody, given: Given, places: Places, tracks: np.ndarray, refine: RefineConfig, config: GroupsConfig
) -> GroupFit:
    """Rows before one camera each: the frames of a person are a clip."""
    clip, repeats = _persons(places, tracks, places.camera)
    order = np.lexsort((places.time_s, clip))
    clips = Clips(clip=torch.from_numpy(clip[order]), time_s=torch.from_numpy(places.time_s[order]))
    found = refine_clips(body, *take_rows(given, torch.from_numpy(order)), clips, refine, config.clips)
    back = np.argsort(order)
    return GroupFit(
        result=take_rows(found.people, torch.from_numpy(back)),
        views_joined=np.zeros(len(order), bool),
        frames_joined=found.joined.numpy()[back],
        by_views=np.zeros(len(order), bool),
        details=_details([found.reasons[row] for row in back], repeats),
        world_to_camera=places.world_to_camera,
    )


def _fit_views(
    body: SparseBody, given: Given, places: Places, tracks: np.ndarray, refine: RefineConfig, config: GroupsConfig
) -> GroupFit:
    """Rows before several cameras: the views of a moment are one body, the moments of a person a clip."""
    person, repeats = _persons(places, tracks, places.group)
    order = np.lexsort((places.frame, person))
    back = torch.from_numpy(np.argsort(order))
    moment = np.unique(np.stack([person, places.frame], 1)[order], axis=0, return_inverse=True)[1]
    extrinsics = torch.from_numpy(places.world_to_camera[order]).to(body.dtype)
    rig = Rig(
        rotation=extrinsics[:, :, :3],
        translation_m=extrinsics[:, :, 3],
        moment=torch.from_numpy(moment),
        time_s=torch.from_numpy(places.time_s[order]),
        camera_index=torch.from_numpy(places.camera[order]),
    )
    clip = torch.from_numpy(person[order])
    own = take_rows(given, torch.from_numpy(order))
    found = refine_view_clips(body, *own, rig, clip, refine, config.rigs, config.clips)
    views = np.bincount(moment)[moment][back.numpy()]
    reasons = [found.reasons[row] for row in back.tolist()]
    used = torch.cat([found.views.rig.rotation, found.views.rig.translation_m[..., None]], -1)[back]
    return GroupFit(
        result=take_rows(found.views.people, back),
        views_joined=_rows(found.views.joined, back),
        frames_joined=_rows(found.joined, back),
        by_views=np.ones(len(order), bool),
        details=_details(
            [_ALONE if number == 1 else reason for number, reason in zip(views, reasons, strict=True)], repeats
        ),
        world_to_camera=used.double().numpy(),
    )


def _rows(flags: Tensor, rows: Tensor) -> np.ndarray:
    return flags[rows].numpy()

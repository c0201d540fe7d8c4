"""The motion of a track: one person over the frames of a group, in one frame of reference that is z up.

The reference is the world of the group where the extrinsics of all its cameras are known, else the camera that found
the person most often. Its axes are turned so that z is up; ``Motion.axes_from_reference`` says how.

Legend: T frames of a motion, R rows of a track.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_FIELDS, PART_NAMES
from datasets_manifest.schema.people import found_rows
from model.body.parameters import EhmParameters
from tasks.export.filling import Filler
from tasks.posing import known_values
from tasks.tracks.labelled import Track, main_camera, track_rows
from tasks.tracks.world import Placed, up_axis, z_up

Reference = Literal["world", "camera"]
IDENTITY = ("betas", "flame_shape", "head_scale")
"""Parameters that a motion has once."""
STILL_HZ = 30.0
"""Rate of a motion of one frame, where a format wants one."""
_SAME = 1e-4
"""Coefficients that differ by less are the same."""
_EVEN = 0.1
"""Steps of time that differ from the median by less, relative to it, are even."""
_CAMERA_UP = np.array([0.0, -1.0, 0.0])


class FrameState(IntEnum):
    """Where the pose of a frame comes from."""

    FOUND = 0
    """A label of somebody who was found there."""
    BRIDGED = 1
    """A label led there from the frames around it: nobody was found."""
    FILLED = 2
    """No label: straight between those before and after."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """One person over the frames of a group."""

    name: Track
    """Group and number."""
    parameters: EhmParameters
    """T people, all of one shape and head; `transl_m` and `global_orient` in the axes of the motion."""
    frame: np.ndarray
    """(T,) numbers of the moments, those of the group from the track's first to its last."""
    time_s: np.ndarray
    """(T,) by the clock of the group."""
    start_s: float
    """When the group begins: the tracks of a group keep step."""
    state: np.ndarray
    """(T,) of ``FrameState``."""
    part_valid: np.ndarray
    """(T, 4) bool, in the order of ``PART_NAMES``."""
    reference: Reference
    camera: str | None
    """The camera that is the reference, where it has a name."""
    axes_from_reference: np.ndarray
    """(3, 3) rotation."""
    reshaped: int
    """Frames whose label has another shape or head than the motion, which has the mean."""
    body_model: Mapping[str, Any]
    """What the labels state of their body."""
    licence: str
    """Of what was labelled and of the body."""

    def __len__(self) -> int:
        """T."""
        return len(self.frame)

    @property
    def rate_hz(self) -> float:
        """Frames a second, by the median step; of a single frame a usual rate."""
        return float(1 / np.median(np.diff(self.time_s))) if len(self) > 1 else STILL_HZ

    @property
    def varies(self) -> bool:
        """Whether frames are not evenly spaced."""
        step = np.diff(self.time_s)
        return bool(np.abs(step - np.median(step)).max() > _EVEN * np.median(step))

    @property
    def axes(self) -> str:
        """The axes, in words."""
        if self.reference == "world":
            return "metres, z up: the world of the data set, turned by axes_from_reference"
        whose = f"camera {self.camera}" if self.camera else "the camera"
        return f"metres, x right, y forward, z up, as seen from {whose}, which is the origin"

    def frames_of(self, state: FrameState) -> list[list[int]]:
        """First and last frame number of every stretch of frames of a state."""
        inside = np.concatenate([[False], self.state == state, [False]])
        edges = np.flatnonzero(inside[1:] != inside[:-1]).reshape(-1, 2)
        return [[int(self.frame[first]), int(self.frame[last - 1])] for first, last in edges]


def motions_of(columns: Columns, **stated: Any) -> Iterator[Motion]:
    """The tracks of rows with groups, also those of a single frame.

    Args:
        columns: As ``tasks.export.rows`` gives them; all rows of a group.
        stated: `body_model` and `licence`, for all.
    """
    groups = columns["group"]
    for name, rows in track_rows(columns.table).items():
        yield _motion(name, columns.take(rows), columns.take(groups == name.group), **stated)


def motion_of_one(row: Columns, **stated: Any) -> Motion:
    """A person of a photo, one row, as a motion of one frame as seen from the camera."""
    people, _ = _parameters(row, np.array([True]))
    people = _turned(people, Placed.of(np.full((1, 3, 4), np.nan)), axes := z_up(_CAMERA_UP))
    return Motion(
        name=Track(str(row["image"][0]), int(row["person"][0])),
        parameters=people,
        frame=np.zeros(1, np.int64),
        time_s=np.zeros(1),
        start_s=0.0,
        state=np.full(1, FrameState.FOUND, np.uint8),
        part_valid=_part_valid(row),
        reference="camera",
        camera=None,
        axes_from_reference=axes,
        reshaped=0,
        **stated,
    )


def _part_valid(rows: Columns) -> np.ndarray:
    return np.column_stack([rows[f"{part}_valid"] for part in PART_NAMES])


def _motion(name: Track, track: Columns, group: Columns, **stated: Any) -> Motion:
    cameras, found = track["camera"], found_rows(track.table)
    is_world = bool(np.isfinite(group["world_to_camera"]).all())
    main = main_camera(cameras, found)
    chosen = _one_each(track["frame"], found, track["views_joined"], cameras == main, only_main=not is_world)
    track, found = track.take(chosen), found[chosen]
    frame, first = np.unique(group["frame"], return_index=True)
    inside = (frame >= track["frame"][0]) & (frame <= track["frame"][-1])
    frame, time_s = frame[inside], group["time_s"][first][inside]
    at = np.searchsorted(frame, track["frame"])
    state = np.full(len(frame), FrameState.FILLED, np.uint8)
    state[at] = np.where(found, FrameState.FOUND, FrameState.BRIDGED)
    part_valid = np.zeros((len(frame), len(PART_NAMES)), bool)
    part_valid[at] = _part_valid(track)
    up = up_axis(Placed.of(group["world_to_camera"]).rotation) if is_world else _CAMERA_UP
    people, reshaped = _parameters(track, found)
    placed = Placed.of(track["world_to_camera"] if is_world else np.full((len(at), 3, 4), np.nan))
    people = _turned(people, placed, axes := z_up(up))
    return Motion(
        name=name,
        parameters=_spread(people, track, at, time_s),
        frame=frame,
        time_s=time_s,
        start_s=float(group["time_s"].min()),
        state=state,
        part_valid=part_valid,
        reference="world" if is_world else "camera",
        camera=None if is_world else main,
        axes_from_reference=axes,
        reshaped=reshaped,
        **stated,
    )


def _one_each(
    frame: np.ndarray, found: np.ndarray, joined: np.ndarray, is_main: np.ndarray, *, only_main: bool
) -> np.ndarray:
    """One row of each frame, in their order: of somebody found rather than bridged, fitted with other views rather
    than alone, through the main camera rather than another."""
    rows = np.flatnonzero(is_main) if only_main else np.arange(len(frame))
    rows = rows[np.lexsort((~is_main[rows], ~joined[rows], ~found[rows], frame[rows]))]
    return rows[np.unique(frame[rows], return_index=True)[1]]


def _parameters(track: Columns, found: np.ndarray) -> tuple[EhmParameters, int]:
    """The people of rows with the mean shape and head of those who were found, and how many of these differ from it."""
    values = known_values(track)
    differs = np.zeros(len(found), bool)
    for name in IDENTITY:
        own = values[name].reshape(len(found), -1)
        known = np.isfinite(track[name]).reshape(len(found), -1).all(1)
        chosen = found & known if (found & known).any() else known
        mean = (own[chosen] if chosen.any() else own).mean(0)
        differs |= found & known & (np.abs(own - mean).max(1, initial=0) > _SAME)
        values[name] = np.broadcast_to(mean, own.shape)
    return EhmParameters.from_columns(values), int(differs.sum())


def _turned(people: EhmParameters, placed: Placed, axes: np.ndarray) -> EhmParameters:
    """People of camera frames in the axes of a motion."""
    rotation = torch.from_numpy(axes @ placed.rotation)
    place = placed.to_world(people.known("transl_m").double().numpy()[:, None])[:, 0] @ axes.T
    return dataclasses.replace(
        people,
        global_orient=(rotation @ people.global_orient.double()).float(),
        transl_m=torch.from_numpy(place).float(),
    )


def _spread(people: EhmParameters, track: Columns, at: np.ndarray, time_s: np.ndarray) -> EhmParameters:
    """The people of R rows as T, at the places (R,) of their frames; what is not known is filled in."""

    def spread(name: str, value: Tensor, is_rotation: bool) -> Tensor:
        known = np.zeros(len(time_s), bool)
        known[at] = np.isfinite(track[name]).reshape(len(at), -1).all(1)
        whole = value[:1].expand(len(time_s), *value.shape[1:]).clone()
        whole[torch.from_numpy(at)] = value
        return Filler.of(known, time_s)(whole, is_rotation)

    fields = {field.name: field.kind == "rotation" for field in LABEL_FIELDS}
    return EhmParameters(**{name: spread(name, getattr(people, name), turns) for name, turns in fields.items()})

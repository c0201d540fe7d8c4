"""New poses of a person who keeps shape, head and place: a turn on the spot, and the motion of somebody else.

Legend: T frames. Cameras look along z, with x to the right and y down.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from model.batches import choose_rows, map_tensors
from model.body.parameters import EhmParameters
from model.rotations import rotvec_to_rotmat

KEPT = ("betas", "flame_shape", "head_scale", "transl_m")
"""What is of the person, whoever's motion it is: shape, and where the pelvis is."""
WORN = tuple(f.name for f in EHM_FIELDS if f.in_labels and f.name not in KEPT)
"""What a motion may say."""
FACE = ("jaw_pose", "eye_pose", "eyelids", "flame_expression")
"""Those of them that move the face."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """Poses of somebody in T frames."""

    parameters: EhmParameters
    """(T) in the camera in which they are to be seen."""
    known: Mapping[str, Tensor]
    """(T,) bool by parameter: does the motion say it; one that is absent it never says."""
    fps: float
    """Frames a second."""
    is_seen: bool
    """Whether somebody saw the poses with a camera; those of a world are turned until the first one faces the viewer as
    the person does."""

    def __len__(self) -> int:
        """T."""
        return len(self.parameters)


def turntable(person: EhmParameters, views: int) -> EhmParameters:
    """One person (1) turned once about the camera's vertical through the pelvis: (views), the first as in the photo."""
    angles = torch.arange(views, dtype=person.betas.dtype) * (2 * math.pi / views)
    return dataclasses.replace(_repeated(person, views), global_orient=_about_vertical(angles) @ person.global_orient)


def wearing(person: EhmParameters, motion: Motion, *, face: bool) -> EhmParameters:
    """A person (1) in the poses of a motion (T).

    Shape, scale of the head and the place of the pelvis stay the person's, as does whatever the motion does not say.

    Args:
        person: Who is seen.
        motion: Whose poses.
        face: Whether jaw, eyes, eyelids and expression are the motion's too.
    """
    own, given = _repeated(person, len(motion)), motion.parameters
    names = [name for name in WORN if name in motion.known and (face or name not in FACE)]
    if not motion.is_seen and "global_orient" in names:
        turn = _about_vertical(_heading(person.global_orient) - _heading(given.global_orient[:1]))
        given = dataclasses.replace(given, global_orient=turn @ given.global_orient)
    given = given.resized(own.size)
    worn = {name: choose_rows(motion.known[name], getattr(given, name), getattr(own, name)) for name in names}
    return dataclasses.replace(own, **worn)


def _repeated(person: EhmParameters, count: int) -> EhmParameters:
    return map_tensors(person, lambda value: value.expand(count, *value.shape[1:]))


def _about_vertical(angles_rad: Tensor) -> Tensor:
    """Rotations (N, 3, 3) about the camera's vertical."""
    axis = torch.tensor([0.0, 1.0, 0.0], dtype=angles_rad.dtype)
    return rotvec_to_rotmat(angles_rad[:, None] * axis)


def _heading(orient: Tensor) -> Tensor:
    """Angle (N,) about the camera's vertical at which bodies (N, 3, 3) look; 0 is away from the camera."""
    ahead = orient[:, :, 2]
    return torch.atan2(ahead[:, 0], ahead[:, 2])

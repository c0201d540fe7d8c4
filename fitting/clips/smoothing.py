"""Smoothing of what is finished: frames of a person that were found one by one, without keypoints to fit them to.

Each frame takes the value that a parabola over time has there, fitted to the frames in reach, nearer ones with more
weight: a Savitzky-Golay filter for frames at any times, the first and the last included. Who moves at an even pace, or
at one that changes evenly, is not slowed down by it. Rotations are averaged as matrices and made rotations again;
places as the camera sees them, along its rays and in depth, of which it knows less. Up to three frames in reach of each
other stay as they are.

Legend: F frames, K frames in reach of one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import roma
import torch
from torch import Tensor

from model.body.parameters import EhmParameters
from model.imaging.camera import position_to_transl, transl_to_position

_ROUNDING = 1e-6
"""Of times, s."""
_TURNED = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "eye_pose", "head_orient")


@dataclass(frozen=True, kw_only=True, slots=True)
class Smoother:
    """Weights with which the frames of one motion make a smooth one."""

    index: Tensor
    """(F, K) int64, frames in reach of each; where there are fewer than K, others without weight."""
    weight: Tensor
    """(F, K) float64; those of a frame add up to 1, and some are negative."""

    @classmethod
    def over(cls, time_s: Tensor, reach_s: float) -> Smoother:
        """For frames at rising times (F,), each of which is made of those that are at most so far away."""
        time_s, reach_s = time_s.double().contiguous(), reach_s + _ROUNDING
        first = torch.searchsorted(time_s, time_s - reach_s)
        count = torch.searchsorted(time_s, time_s + reach_s, right=True) - first
        place = torch.arange(int(count.max()))
        index = torch.where(place < count[:, None], first[:, None] + place, 0)
        offset = (time_s[index] - time_s[:, None]) / reach_s
        near = torch.where(place < count[:, None], (1 - offset.abs() ** 3).clamp(min=0) ** 3, 0.0)  # tricube
        terms = torch.stack([torch.ones_like(offset), offset, offset.square()], -1)
        moments = torch.einsum("fk,fka,fkb->fab", near, terms, terms)
        row = torch.linalg.pinv(moments, hermitian=True, rtol=1e-12)[:, 0]
        return cls(index=index, weight=near * torch.einsum("fa,fka->fk", row, terms))

    @property
    def moves(self) -> Tensor:
        """(F,) bool: have they more frames in reach than a parabola goes through in any case."""
        return (self.weight != 0).sum(1) > 3

    def values(self, values: Tensor) -> Tensor:
        """Numbers (F, ...) of the frames, smooth."""
        flat = values.double().flatten(1)
        return torch.einsum("fk,fkn->fn", self.weight, flat[self.index]).view(values.shape).to(values.dtype)

    def rotations(self, rotations: Tensor) -> Tensor:
        """Rotations (F, ..., 3, 3) of the frames, smooth."""
        turned = roma.special_procrustes(self.values(rotations.double()))
        assert isinstance(turned, Tensor)
        return turned.to(rotations.dtype)

    def people(self, people: EhmParameters) -> EhmParameters:
        """One person in F frames, with a smooth motion and expression.

        Shape and head stay as they are. So do the eyelids: a blink is too short to be told from noise.
        """
        known = people.named()
        smooth = {name: self.rotations(known[name]) for name in _TURNED if name in known}
        if people.transl_m is not None:
            smooth["transl_m"] = position_to_transl(self.values(transl_to_position(people.transl_m)))
        return replace(people, flame_expression=self.values(people.flame_expression), **smooth)

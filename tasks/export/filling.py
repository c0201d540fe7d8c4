"""Values of frames that are not known, on the straight way between those before and after.

Legend: T frames.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.rotations import rotmat_to_rotvec, rotvec_to_rotmat


class Filler(NamedTuple):
    """From which frames each frame has its value."""

    before: Tensor
    """(T,) the last known frame up to it, the first known one before that."""
    after: Tensor
    """(T,) the next known frame from it on, the last known one after that."""
    share: Tensor
    """(T,) of the way from the one to the other."""

    @classmethod
    def of(cls, known: np.ndarray, time_s: np.ndarray) -> Filler:
        """Of frames (T,) at rising times, those that are known; none: every frame keeps its own value."""
        number = np.arange(len(known))
        own = np.flatnonzero(known if known.any() else ~known)
        after = own[np.minimum(np.searchsorted(own, number), len(own) - 1)]
        before = own[np.maximum(np.searchsorted(own, number, side="right") - 1, 0)]
        span = time_s[after] - time_s[before]
        share = np.where(span > 0, (time_s - time_s[before]) / np.where(span > 0, span, 1), 0)
        return cls(*(torch.from_numpy(value) for value in (before, after, share)))

    def __call__(self, values: Tensor, is_rotation: bool) -> Tensor:
        """The values (T, ...), or rotations (T, ..., 3, 3) along the shortest turn, of all frames."""
        first, last = values[self.before], values[self.after]
        share = self.share.to(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
        if not is_rotation:
            return first + share * (last - first)
        way = rotmat_to_rotvec(first.transpose(-1, -2) @ last)
        turned = first @ rotvec_to_rotmat(share[..., 0] * way)
        return torch.where(share == 0, first, turned)

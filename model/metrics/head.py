"""Errors of heads: as they are posed, as the head alone says they are, and the form of the face.

Legend: N people, V vertices of the head, L of the lips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from model.body.assets import EhmAssets
from model.body.flame import FLAME
from model.body.parameters import EhmParameters
from model.body.skeleton import FLAME_EYES
from model.metrics.joints import mean_distance_mm

HeadSpace = Literal["canonical", "scaled", "posed"]
"""FLAME with head and neck at rest and scale one; the same times the head's scale; the head of the posed body. All
about the midpoint of the eyes, none turned or fitted."""


def lip_rows(assets: EhmAssets) -> np.ndarray:
    """(L,) rows of the head's vertices that are lips; none where the body does not say."""
    lips = assets.regions.get("lips")
    return np.zeros(0, np.int64) if lips is None else np.flatnonzero(lips[assets.head_vertex_ids])


def rest_head(flame: FLAME, people: EhmParameters) -> Tensor:
    """(N, V, 3) vertices of FLAME about the midpoint of the eyes, metres; head and neck at rest, scale one."""
    out = flame(
        betas=people.flame_shape,
        expression=people.flame_expression,
        jaw_pose=people.jaw_pose,
        eye_pose=people.eye_pose,
        eyelids=None if flame.eyelid_dirs is None else people.eyelids,
    )
    return out.vertices - out.joints[:, FLAME_EYES].mean(1, keepdim=True)


def lip_max_mm(lips: Tensor, target: Tensor) -> Tensor:
    """Largest distance of corresponding vertices: (N, L, 3) metres, twice -> (N,) mm; NaN without any."""
    if lips.shape[1] == 0:
        return torch.full((len(lips),), torch.nan, dtype=torch.float64)
    return 1e3 * torch.linalg.vector_norm(lips.double() - target.double(), dim=-1).amax(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadErrors:
    """Errors of heads, with what they are of: neither the truth nor the space of the paper's is published, and the
    farthest of other lips is another figure."""

    space: HeadSpace
    """How the heads are posed."""
    head: str
    """The vertices that the mean is of, by the body's name and their number."""
    lips: str
    """Likewise, those of the maximum."""
    mle_mm: Tensor
    """(N,) mean distance of the head's vertices: MLE in the paper's tables, MVE in its text."""
    lve_sqrt_mm: Tensor
    """(N,) distance of the farthest lip vertex; NaN where the body does not say which are lips."""

    @property
    def lve_m2(self) -> Tensor:
        """(N,) its square in m2, whose mean over people is the lip vertex error of MeshTalk and torchmetrics."""
        return (1e-3 * self.lve_sqrt_mm).square()


def head_errors(space: HeadSpace, head: Tensor, target: Tensor, assets: EhmAssets) -> HeadErrors:
    """Errors of heads (N, V, 3) in a space, metres; the vertices are those of the body's FLAME."""
    rows, name = lip_rows(assets), assets.flame.name
    return HeadErrors(
        space=space,
        head=f"{name}, {assets.flame.num_vertices} vertices",
        lips=f"{name}, {len(rows)} lip vertices",
        mle_mm=mean_distance_mm(head, target),
        lve_sqrt_mm=lip_max_mm(head[:, rows], target[:, rows]),
    )

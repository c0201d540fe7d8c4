"""Errors of heads: as they are posed, as the head alone says they are, and the form of the face.

Legend: N people, V vertices of the head, L of the lips.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.body.assets import EhmAssets
from model.body.flame import FLAME
from model.body.parameters import EhmParameters
from model.body.skeleton import FLAME_EYES


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

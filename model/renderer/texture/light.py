"""Light from all around, as what it makes of a white surface: a polynomial of second degree in the normal.

That is all of a distant light that matt surfaces show (Ramamoorthi and Hanrahan, 2001: 98 % of it for any light).
"""

import torch
from torch import Tensor

NUM_TERMS = 9


def light_terms(normals: Tensor) -> Tensor:
    """Unit normals (..., 3) -> the terms (..., 9) whose weighted sum is the brightness."""
    x, y, z = normals.unbind(-1)
    return torch.stack([torch.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3.0 * z * z - 1.0], -1)


def brightness(light: Tensor, normals: Tensor) -> Tensor:
    """Light (B, 9), unit normals (B, S, 3) in its frame -> (B, S, 1), 0 or more."""
    return (light_terms(normals) @ light[..., None]).clamp(min=0.0)

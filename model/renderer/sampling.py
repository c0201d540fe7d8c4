"""What a picture shows at places between its pixels."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor


def sample(values: Tensor, place_px: Tensor, beyond: Literal["zeros", "border"] = "zeros") -> Tensor:
    """Bilinear values (B, N, C) of pictures (B, C, H, W).

    Args:
        values: Of the pixels.
        place_px: (B, N, 2) x, y; the middle of the first pixel is at (0.5, 0.5).
        beyond: What lies outside a picture: nothing, or its nearest pixel.
    """
    height, width = values.shape[2:]
    grid = 2.0 * place_px / place_px.new_tensor([width, height]) - 1.0
    return F.grid_sample(values, grid[:, None], padding_mode=beyond, align_corners=False)[:, :, 0].transpose(1, 2)

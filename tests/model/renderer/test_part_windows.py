"""Squares around heads and hands, and how far a prediction is from where a part is seen."""

import numpy as np
import pytest
import torch

from model.renderer.part_windows import KEYPOINTS, MARGIN, PARTS, off_share, part_window


def points(part, seen=1.0):
    """133 keypoints of which a part's lie on a line from (10, 20) to (30, 24)."""
    own = KEYPOINTS[part]
    count = own.stop - own.start
    found = np.zeros((133, 3), np.float32)
    found[own] = np.column_stack([np.linspace(10, 30, count), np.linspace(20, 24, count), np.ones(count)])
    found[own][int(seen * count) :, 2] = 0
    return found


@pytest.mark.parametrize("part", PARTS)
def test_the_square_is_about_the_parts_keypoints(part):
    assert part_window(points(part), part) == pytest.approx([20, 22, 20 * MARGIN[part]])
    assert part_window(points(part, seen=0.5), part) is None
    assert all(part_window(points(part), other) is None for other in PARTS if other != part)


def test_a_share_is_of_the_square_and_counts_what_is_seen():
    observed = torch.from_numpy(points("head"))[None]
    projected = observed[..., :2] + torch.tensor([3.0, 4.0])
    side = torch.tensor([50.0])
    assert off_share(projected, observed, "head", side) == pytest.approx([0.1])
    observed[:, KEYPOINTS["head"].start + 5, 2] = 0
    projected[:, KEYPOINTS["head"].start + 5] = torch.nan
    assert off_share(projected, observed, "head", side) == pytest.approx([0.1])

"""The tokens' own read-outs: which patch holds a keypoint, and what saying so costs."""

import math

import pytest
import torch
from torch import nn

from model.networks.sizes import PATCH_PX
from model.networks.vit import PATCH_PADDING_PX, PatchEmbedding
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.regressor.token_keypoints import OFFSET_SHARE, TokenKeypoints

CONFIG = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)
NUM_TOKENS = 4 * 3
WEIGHT = torch.ones(1)


def keypoints_at(x_px, y_px):
    """(1, 133, 3) with all points at one place of the crop."""
    place = torch.tensor([x_px, y_px]) / CONFIG.crop_px - 0.5
    return torch.cat([place.expand(1, 133, 2), torch.ones(1, 133, 1)], -1)


@pytest.fixture
def head():
    torch.manual_seed(0)
    return TokenKeypoints(CONFIG)


@pytest.mark.parametrize("place", [(8.5, 0.5), (30.5, 20.5), (31.5, 61.5), (45.5, 13.5), (53.5, 14.5)])
def test_token_is_the_one_that_sees_the_pixel(head, place):
    """Oracle: a bright pixel goes through the patch convolution itself; one token changes."""
    embed = PatchEmbedding(1)
    nn.init.ones_(embed.proj.weight)
    nn.init.zeros_(embed.proj.bias)
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, int(place[1]), int(place[0])] = 1.0
    lit = embed(image[..., 8:-8])[0, :, 0].detach().nonzero()[:, 0].tolist()
    token, _, inside = head.cells(keypoints_at(*place))
    assert [int(token[0, 0])] == lit
    assert bool(inside.all())


@pytest.mark.parametrize("place", [(5.0, 30.0), (54.5, 30.0), (30.0, -3.0), (30.0, 78.5), (math.nan, 3.0)])
def test_places_that_no_token_sees(head, place):
    *_, inside = head.cells(keypoints_at(*place))
    assert not bool(inside.any())


def test_loss_of_a_guess_and_of_the_truth(head):
    points = keypoints_at(30.5, 20.5)
    token, offset, _ = head.cells(points)
    for weights in (head.linear.weight, head.offsets.weight, head.offsets.bias):
        nn.init.zeros_(weights)
    head.requires_grad_(False)
    tokens = torch.zeros(1, NUM_TOKENS, 32)
    off = OFFSET_SHARE * float(offset[0, 0].abs().sum())
    assert off > 0.1
    assert float(head(tokens, points, WEIGHT)) == pytest.approx(math.log(NUM_TOKENS) + off)
    tokens[0, token[0, 0]] = 1.0
    nn.init.constant_(head.linear.weight, 10.0)
    assert float(head(tokens, points, WEIGHT)) == pytest.approx(off)
    head.offsets.bias.copy_(offset[0].flatten())
    assert float(head(tokens, points, WEIGHT)) == pytest.approx(0.0, abs=1e-6)
    assert float(head(tokens.flip(1), points, WEIGHT)) > 100


def test_token_and_offset_are_the_place(head):
    """Round trip: middle of the token plus offset, in the pixels of the crop."""
    points = torch.rand(2, 133, 3) - 0.5
    points[..., 0] *= 0.7
    points[..., 2] = 1.0
    token, offset, inside = head.cells(points)
    middle = torch.stack([token % head.columns, token // head.columns], -1) + 0.5
    pixels = (middle + offset) * PATCH_PX - PATCH_PADDING_PX + torch.tensor([CONFIG.side_px, 0])
    expected = (points[..., :2] + 0.5) * CONFIG.crop_px
    torch.testing.assert_close(pixels[inside], expected[inside], rtol=0, atol=1e-4)
    assert inside.float().mean() > 0.8
    assert float(offset.abs().max()) <= 0.5


def test_offset_is_read_from_the_keypoint_s_own_token(head):
    """Law: each keypoint's offset is its rows of the layer applied to the token it lies in."""
    tokens = torch.randn(2, NUM_TOKENS, 32)
    place = torch.randint(NUM_TOKENS, (2, 133))
    said = head.offset(tokens, place)
    everywhere = head.offsets(tokens).unflatten(-1, (133, 2))
    for person, keypoint in ((0, 0), (0, 91), (1, 40), (1, 132)):
        expected = everywhere[person, place[person, keypoint], keypoint]
        torch.testing.assert_close(said[person, keypoint], expected)


def test_points_that_are_not_seen_do_not_count(head):
    """NaN places and scores of 0 change neither the loss nor a gradient; nobody seen costs nothing."""
    points = keypoints_at(30.5, 20.5)
    points[:, 5:] = torch.tensor([math.nan, math.nan, 0.0])
    tokens = torch.randn(1, NUM_TOKENS, 32)
    head(tokens, points, WEIGHT).backward()
    gradient = head.linear.weight.grad
    assert gradient is not None
    assert bool(torch.isfinite(gradient).all())
    assert not bool(gradient[5:].any())
    assert bool(gradient[:5].any())
    offsets = head.offsets.weight.grad
    assert offsets is not None
    assert bool(torch.isfinite(offsets).all())
    assert not bool(offsets[10:].any())
    assert bool(offsets[:10].any())
    assert head(tokens, torch.zeros(1, 133, 3), WEIGHT).item() == 0.0

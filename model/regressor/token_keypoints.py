"""A help for training from random weights: every keypoint says which image token it lies in, and where in it.

A linear layer gives each token a score for each keypoint; over the tokens of an image the scores are a distribution
(softmax), and the loss is the negative log of what it gives to the token that the keypoint is in. A second one reads
from that token where in it the keypoint lies: a hand is two or three tokens wide, so which token says nothing about its
fingers. This teaches the backbone where things are, which the few numbers behind the decoder teach it very slowly. A
backbone that comes from a keypoint estimator knows it already. The layers are no part of the regressor and are not
given out.

Every observed point counts by its score, also one of a part whose 3D label is not valid: where it was seen in the
picture does not depend on that label.

Legend: B people, N = h x w tokens of the middle part of the crop, K keypoints, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.body.skeleton import FACE, KEYPOINT_NAMES, LEFT_HAND, RIGHT_HAND
from model.networks.sizes import PATCH_PX
from model.networks.vit import PATCH_PADDING_PX
from model.regressor.config import RegressorConfig

FACE_SHARE, HAND_SHARE = 0.2, 0.5
"""How much a point of the face or of a hand counts beside one of the body: there are many, in few tokens."""
OFFSET_SHARE = 4.0
"""Factor on the mean distance in tokens, along x plus along y; the middle of a token is half a token off on average."""


class TokenKeypoints(nn.Module):
    """Tokens to the scores of 133 keypoints.

    Args:
        config: Size of the crop and of the backbone.
    """

    shares: Tensor

    def __init__(self, config: RegressorConfig) -> None:
        super().__init__()
        shares = torch.ones(len(KEYPOINT_NAMES))
        shares[FACE] = FACE_SHARE
        shares[LEFT_HAND] = shares[RIGHT_HAND] = HAND_SHARE
        self.register_buffer("shares", shares, persistent=False)
        self.rows = config.crop_px // PATCH_PX
        self.columns = (config.crop_px - 2 * config.side_px) // PATCH_PX
        self.crop_px, self.side_px = config.crop_px, config.side_px
        # A bias would add the same to all tokens, which a softmax over the tokens does not see.
        self.linear = nn.Linear(config.vit.width, len(KEYPOINT_NAMES), bias=False)
        self.offsets = nn.Linear(config.vit.width, 2 * len(KEYPOINT_NAMES))

    def forward(self, tokens: Tensor, keypoints: Tensor, weight: Tensor) -> Tensor:
        """Mean over the B people of the mean loss over a person's seen keypoints; 0 for one without any.

        Args:
            tokens: (B, N, C) of the backbone, of any float type.
            keypoints: (B, K, 3) x, y in -0.5 .. 0.5 of the crop and a score, which weighs a keypoint; those outside
                the middle part do not count.
            weight: (B,) factor on a person.
        """
        tokens = tokens.to(self.linear.weight.dtype)
        scores = self.linear(tokens).log_softmax(1)
        place, offset, inside = self.cells(keypoints)
        loss = -scores.transpose(1, 2).gather(2, place[..., None])[..., 0]
        loss = loss + OFFSET_SHARE * (self.offset(tokens, place) - offset).abs().sum(-1)
        counted = torch.where(inside, keypoints[..., 2], 0.0) * self.shares
        person = (loss * counted).sum(1) / counted.sum(1).clamp(min=1.0)
        return (person * weight).mean()

    def offset(self, tokens: Tensor, place: Tensor) -> Tensor:
        """What the token at each index (B, K) says of that keypoint (B, K, 2): x, y from its middle, in tokens."""
        own = tokens.gather(1, place[..., None].expand(-1, -1, tokens.shape[-1]))
        weight = self.offsets.weight.unflatten(0, (-1, 2))
        return torch.einsum("bkc,kjc->bkj", own, weight) + self.offsets.bias.unflatten(0, (-1, 2))

    def cells(self, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For keypoints (B, K, 3) the index of the token that each lies in (B, K), where in it (B, K, 2), x, y from its
        middle in tokens, and whether it is seen and in any (B, K); 0 for those that are not.

        The patch convolution pads: token i sees columns 16 i - 2 to 16 i + 13 of the middle part.
        """
        padding = keypoints.new_tensor([PATCH_PADDING_PX - self.side_px, PATCH_PADDING_PX])
        reached = ((keypoints[..., :2] + 0.5) * self.crop_px + padding) / PATCH_PX
        cell = reached.floor()
        size = cell.new_tensor([self.columns, self.rows])
        inside = ((cell >= 0) & (cell < size)).all(-1) & (keypoints[..., 2] > 0)
        place = torch.where(inside, cell[..., 1] * self.columns + cell[..., 0], 0.0).long()
        offset = torch.where(inside[..., None], reached - cell - 0.5, 0.0)
        return place, offset, inside

"""The network that HMR2 and HaMeR share: a vision transformer, a decoder with one token, and linear read-outs.

One zero token reads the image; its read-outs are added to mean parameters, which lie in the checkpoint like weights:
the mean-parameter files of the upstream set-up are needed only to train.

Legend: B crops of 256 x 256 px, J joints with the root first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.networks.cross_decoder import HEAD_WIDTH, CrossDecoder
from model.networks.sizes import DecoderConfig, ViTConfig
from model.networks.vit import ViT, heads_of_width
from model.rotations import sixd_to_rotmat

CROP_PX = 256
SIDE_PX = 32
"""Columns that are dropped left and right: the transformer sees 256 x 192 px."""
NUM_BETAS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseRegressorConfig:
    """Size and names of such a network."""

    head: str
    """Name of the head in the checkpoint: ``smpl_head`` or ``mano_head``."""
    mean_pose: str
    """Name of the mean pose in it: ``init_body_pose`` or ``init_hand_pose``."""
    num_joints: int
    """Joints with the root."""
    backbone: ViTConfig
    """The vision transformer."""
    decoder: DecoderConfig
    """The decoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Regression:
    """What the network says about B crops."""

    rotations: Tensor
    """(B, J, 3, 3) root in the camera frame of the crop, others local."""
    betas: Tensor
    """(B, 10)."""
    camera: Tensor
    """(B, 3) s, tx, ty of u = s (X + tx), v = s (Y + ty) in the crop, -1..1, v down."""


class Head(nn.Module):
    """Decoder and read-outs."""

    def __init__(self, config: PoseRegressorConfig) -> None:
        super().__init__()
        self.num_joints, self.mean_pose = config.num_joints, config.mean_pose
        num_pose, width = 6 * config.num_joints, config.decoder.width
        self.transformer = CrossDecoder(config.decoder)
        self.decpose = nn.Linear(width, num_pose)
        self.decshape = nn.Linear(width, NUM_BETAS)
        self.deccam = nn.Linear(width, 3)
        self.register_buffer(config.mean_pose, torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(config.num_joints)[None])
        self.register_buffer("init_betas", torch.zeros(1, NUM_BETAS))
        self.register_buffer("init_cam", torch.tensor([[1.0, 0, 0]]))

    def mean_rotations(self) -> Tensor:
        """Mean pose (J, 3, 3)."""
        return sixd_to_rotmat(self.get_buffer(self.mean_pose).view(self.num_joints, 6))

    def forward(self, tokens: Tensor) -> Regression:
        """(B, N, C) image tokens -> parameters."""
        zero = tokens.new_zeros(len(tokens), 1, 1)
        read = self.transformer(zero, tokens)[:, 0]
        sixd = self.get_buffer(self.mean_pose) + self.decpose(read)
        return Regression(
            rotations=sixd_to_rotmat(sixd.view(-1, self.num_joints, 6)),
            betas=self.get_buffer("init_betas") + self.decshape(read),
            camera=self.get_buffer("init_cam") + self.deccam(read),
        )


class PoseRegressor(nn.Module):
    """Normalised RGB crop to pose, shape and camera."""

    def __init__(self, config: PoseRegressorConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ViT(config.backbone)
        self.add_module(config.head, Head(config))

    @property
    def head(self) -> Head:
        """The head under whatever name."""
        head = self.get_submodule(self.config.head)
        assert isinstance(head, Head)
        return head

    def forward(self, crops: Tensor) -> Regression:
        """(B, 3, 256, 256) -> parameters; the head works in its own precision, whatever the backbone's."""
        tokens = self.backbone(crops[..., SIDE_PX:-SIDE_PX].to(self.backbone.pos_embed.dtype))
        return self.head(tokens.to(self.head.decpose.weight.dtype))


def size_keys(head: str) -> tuple[str, ...]:
    """Names in a checkpoint from which the size of a network is read."""
    decoder = f"{head}.transformer"
    return (
        "backbone.pos_embed",
        f"{head}.decpose.weight",
        f"{decoder}.transformer.layers.0.1.fn.to_q.weight", f"{decoder}.transformer.layers.0.2.fn.net.0.weight",
    )  # fmt: skip


def config_of(
    tensors: Mapping[str, Tensor], *, head: str, mean_pose: str, num_joints: int, backbone_depth: int, depth: int
) -> PoseRegressorConfig:
    """Reads the size of a network off the shapes of its tensors, which must have ``size_keys``.

    Args:
        tensors: Tensors of a checkpoint.
        head: Name of its head.
        mean_pose: Name of its mean pose.
        num_joints: Joints with the root.
        backbone_depth: Blocks of the vision transformer.
        depth: Layers of the decoder.
    """
    decoder = f"{head}.transformer"
    width = tensors["backbone.pos_embed"].shape[-1]
    return PoseRegressorConfig(
        head=head,
        mean_pose=mean_pose,
        num_joints=num_joints,
        backbone=ViTConfig(
            width=width,
            depth=backbone_depth,
            heads=heads_of_width(width),
            image_size=(CROP_PX, CROP_PX - 2 * SIDE_PX),
        ),
        decoder=DecoderConfig(
            context_width=width,
            width=tensors[f"{head}.decpose.weight"].shape[1],
            depth=depth,
            heads=max(1, tensors[f"{decoder}.transformer.layers.0.1.fn.to_q.weight"].shape[0] // HEAD_WIDTH),
            hidden=tensors[f"{decoder}.transformer.layers.0.2.fn.net.0.weight"].shape[0],
        ),
    )

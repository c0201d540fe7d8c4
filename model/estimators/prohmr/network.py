"""ProHMR: a residual network, a flow over poses and a head for shape and camera, under upstream's parameter names.

Legend: B crops of 224 x 224 px, N samples a crop, 24 SMPL rotations with the root first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.networks.glow import ConditionalGlow, GlowConfig
from model.networks.resnet import ResNet, ResNetConfig
from model.rotations import sixd_to_rotmat
from model.weights import num_blocks

CROP_PX = 224
NUM_ROTATIONS = 24
NUM_BETAS = 10
FLOW = "flow.flow._transform._transforms"
"""Name of the flow's steps in a checkpoint."""
SIZE_KEYS = (
    "backbone.conv1.weight", f"{FLOW}.0.shift", f"{FLOW}.2.transform_net.initial_layer.weight",
    f"{FLOW}.2.identity_features", "flow.fc_head.layers.0.weight",
)  # fmt: skip
"""Names from which the size of the network is read."""
IGNORED = ("smpl.*", "discriminator.*", "initialized")
"""Entries of the checkpoint that estimating does not need: the body model, the training's critic, a flag."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProHMRConfig:
    """Size of the network; the defaults are the published one."""

    backbone: ResNetConfig = field(default_factory=ResNetConfig)
    """The residual network."""
    flow: GlowConfig = field(default_factory=GlowConfig)
    """The flow."""
    head: int = 1024
    """Channels inside the head for shape and camera."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Poses:
    """N poses of each of B crops."""

    rotations: Tensor
    """(B, N, 24, 3, 3) root in the camera frame of the crop, others local."""
    sixd: Tensor
    """(B, N, 144) the numbers they were made from."""
    log_prob: Tensor
    """(B, N) log density of those numbers."""
    betas: Tensor
    """(B, 10), the same for all samples."""
    camera: Tensor
    """(B, 3) s, tx, ty of u = s (X + tx), v = s (Y + ty) in the crop, -1..1, v down."""


class ShapeHead(nn.Module):
    """Image features to betas and camera."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, NUM_BETAS + 3))
        self.register_buffer("init_cam", torch.tensor([[[1.0, 0, 0]]]))
        self.register_buffer("init_betas", torch.zeros(1, 1, NUM_BETAS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) -> betas (B, 10), camera (B, 3)."""
        offset = self.layers(features)
        betas, camera = self.get_buffer("init_betas")[0], self.get_buffer("init_cam")[0]
        return offset[:, :NUM_BETAS] + betas, offset[:, NUM_BETAS:] + camera


class PoseFlow(nn.Module):
    """The flow and the head beside it."""

    def __init__(self, config: ProHMRConfig) -> None:
        super().__init__()
        self.flow = ConditionalGlow(config.flow)
        self.fc_head = ShapeHead(config.flow.context, config.head)


class ProHMRNetwork(nn.Module):
    """Normalised RGB crop to a distribution of poses. Use it in evaluation mode: it has batch norms."""

    def __init__(self, config: ProHMRConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet(config.backbone)
        self.flow = PoseFlow(config)

    def forward(self, crops: Tensor, latents: Tensor | None = None) -> Poses:
        """Poses of crops (B, 3, 224, 224) at latents (N, 144), the same for all crops; the mode without latents.

        The flow works in its own precision, whatever the backbone's: upstream found half precision unstable there.
        """
        flow_type = self.flow.fc_head.layers[0].weight.dtype
        features = self.backbone(crops.to(self.backbone.conv1.weight.dtype)).to(flow_type)
        wanted = features.new_zeros(1, self.config.flow.features) if latents is None else latents
        return self.decode(features, wanted.expand(len(features), -1, -1))

    def decode(self, features: Tensor, latents: Tensor) -> Poses:
        """Poses of features (B, K) at latents (B, N, 144)."""
        num, samples = latents.shape[:2]
        sixd, log_prob = self.flow.flow.poses(latents.flatten(0, 1), features.repeat_interleave(samples, 0))
        betas, camera = self.flow.fc_head(features)
        return Poses(
            rotations=sixd_to_rotmat(sixd.view(num, samples, NUM_ROTATIONS, 6)),
            sixd=sixd.view(num, samples, -1),
            log_prob=log_prob.view(num, samples),
            betas=betas,
            camera=camera,
        )


def config_of(tensors: Mapping[str, Tensor]) -> ProHMRConfig:
    """Reads the size of a network off the shapes of its tensors, which must have ``SIZE_KEYS``."""
    first = tensors[f"{FLOW}.2.transform_net.initial_layer.weight"]
    stages = [num_blocks(tensors, f"backbone.layer{stage}") for stage in (1, 2, 3, 4)]
    return ProHMRConfig(
        backbone=ResNetConfig(
            blocks=tuple(max(1, num) for num in stages), width=tensors["backbone.conv1.weight"].shape[0]
        ),
        flow=GlowConfig(
            features=len(tensors[f"{FLOW}.0.shift"]),
            context=first.shape[1] - len(tensors[f"{FLOW}.2.identity_features"]),
            hidden=first.shape[0],
            layers=max(1, num_blocks(tensors, FLOW) // 3),
            blocks=max(1, num_blocks(tensors, f"{FLOW}.2.transform_net.blocks")),
        ),
        head=tensors["flow.fc_head.layers.0.weight"].shape[0],
    )

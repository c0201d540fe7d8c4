"""The encoders of TEASER and SMIRK under the parameter names of their checkpoints.

Three MobileNets look at the same crop: one for head pose and camera, one for shape, one for expression, eyelids and
jaw. TEASER's file has a fourth, for the appearance tokens of its image generator: its weights are loaded, so that the
names of a file can be compared one for one, and never run.

Legend: B crops, 224 x 224 px, RGB in 0..1 without normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.networks.mobilenet import LARGE_FEATURES, SMALL_FEATURES, MobileNetV3Minimal, large, small

NUM_SHAPE = 300
NUM_EXPRESSION = 50
NUM_EYELIDS = 2
MAX_JAW_SIDE_RAD = 0.2
"""Bound of the jaw's second and third component."""
TOKEN_FEATURES = (576, 192, 384, 1024)
TOKEN_SIZE = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceParameters:
    """What the encoders say about B crops; FLAME's frame has y up and z out of the face."""

    pose_rotvec: Tensor
    """(B, 3) head rotation in the y-up frame of the crop's camera."""
    camera: Tensor
    """(B, 3) s, tx, ty of u = s (X + tx), v = -s (Y + ty) in the crop, -1..1, v down."""
    shape: Tensor
    """(B, 300)."""
    expression: Tensor
    """(B, 50)."""
    eyelids: Tensor
    """(B, 2) left, right; 0 open, 1 closed."""
    jaw_rotvec: Tensor
    """(B, 3); x opens and is never negative."""


class _Encoder(nn.Module):
    """A backbone and the name of the layer that reads its mean features."""

    encoder: MobileNetV3Minimal

    def features(self, crops: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> (B, F) features, averaged over the image."""
        return self.encoder(crops).mean((-2, -1))


class PoseEncoder(_Encoder):
    """Head rotation and camera."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = small()
        self.pose_cam_layers = nn.Sequential(nn.Linear(SMALL_FEATURES, 6))

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> (B, 6) rotation vector, then camera."""
        return self.pose_cam_layers(self.features(crops))


class ShapeEncoder(_Encoder):
    """FLAME shape."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = large()
        self.shape_layers = nn.Sequential(nn.Linear(LARGE_FEATURES, NUM_SHAPE))

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> (B, 300)."""
        return self.shape_layers(self.features(crops))


class ExpressionEncoder(_Encoder):
    """FLAME expression, eyelids and jaw."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = large()
        self.expression_layers = nn.Sequential(nn.Linear(LARGE_FEATURES, NUM_EXPRESSION + NUM_EYELIDS + 3))

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> (B, 55) without the limits of eyelids and jaw."""
        return self.expression_layers(self.features(crops))


class TokenEncoder(nn.Module):
    """TEASER's appearance tokens: parameters only."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = small()
        self.token_layers = nn.ModuleList(nn.Sequential(nn.Linear(count, TOKEN_SIZE)) for count in TOKEN_FEATURES)


class FaceEncoder(nn.Module):
    """SMIRK, or with ``tokens`` TEASER: 762 or 974 named entries."""

    def __init__(self, *, tokens: bool) -> None:
        super().__init__()
        self.pose_encoder = PoseEncoder()
        self.shape_encoder = ShapeEncoder()
        self.expression_encoder = ExpressionEncoder()
        if tokens:
            self.token_encoder = TokenEncoder()

    def forward(self, crops: Tensor) -> FaceParameters:
        """Reads faces.

        Args:
            crops: (B, 3, 224, 224) RGB in 0..1.
        """
        pose = self.pose_encoder(crops)
        face = self.expression_encoder(crops)
        expression, eyelids, jaw = face.split([NUM_EXPRESSION, NUM_EYELIDS, 3], -1)
        side = jaw[:, 1:].clamp(-MAX_JAW_SIDE_RAD, MAX_JAW_SIDE_RAD)
        return FaceParameters(
            pose_rotvec=pose[:, :3],
            camera=pose[:, 3:],
            shape=self.shape_encoder(crops),
            expression=expression,
            eyelids=eyelids.clamp(0, 1),
            jaw_rotvec=torch.cat([jaw[:, :1].relu(), side], -1),
        )

"""Size of the regressor and the camera it speaks of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from datasets_manifest.schema.ehm_fields import BodySize
from model.networks.sizes import PATCH_PX, VIT_SIZES, DecoderConfig, Stem, ViTConfig

NUM_POSE_JOINTS = 52
"""Root, 21 body joints and twice 15 finger joints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackboneConfig:
    """The vision transformer: a size of ViTPose by name, or its three figures."""

    size: str = "B"
    """S, B, L or H; empty takes the three figures below."""
    width: int = 0
    """Channels of a token."""
    depth: int = 0
    """Number of blocks."""
    heads: int = 0
    """Attention heads a block."""
    drop_path: float = 0.0
    """Share of blocks that the deepest layer skips while training, rising linearly from 0 at the first."""
    stem: Stem = "patches"
    """How pixels become tokens: ``patches``, as in every published checkpoint, or ``convolutions``, for a backbone that
    begins at random (``model.networks.sizes.Stem``)."""

    def __post_init__(self) -> None:
        figures = (self.width, self.depth, self.heads)
        if self.size and self.size not in VIT_SIZES:
            raise ValueError(f"size: expected one of {', '.join(VIT_SIZES)} or empty, got {self.size!r}")
        if self.size and any(figures):
            raise ValueError(f"size is {self.size!r}, so width, depth and heads must be left out, got {figures}")
        if not self.size and not all(figure > 0 for figure in figures):
            raise ValueError(f"without a size, width, depth and heads must be given, got {figures}")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path: expected 0 or more and below 1, got {self.drop_path}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadoutConfig:
    """The decoder with its one query."""

    width: int = 1024
    """Channels of the query."""
    depth: int = 6
    """Layers."""
    heads: int = 8
    """Attention heads a layer, of 64 channels each."""
    hidden: int = 1024
    """Channels inside the feed-forward network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegressorConfig:
    """Everything that decides which weights fit: two networks with equal settings have equal tensors."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    """Image to tokens."""
    decoder: ReadoutConfig = field(default_factory=ReadoutConfig)
    """Tokens to one vector."""
    crop_px: int = 256
    """Side of the square crop."""
    side_px: int = 32
    """Columns that are dropped left and right of it: 256 x 256 becomes 256 x 192, the format of ViTPose."""
    num_betas: int = 10
    """SMPL-X shape coefficients."""
    num_flame_shape: int = 10
    """FLAME shape coefficients."""
    num_expression: int = 10
    """FLAME expression coefficients."""
    focal_sides: float = 5000.0 / 256.0
    """Focal length of the crop's camera in sides of the crop: 5000 px at 256 px as in HMR2; PEAR's release has 12."""

    def __post_init__(self) -> None:
        width = self.crop_px - 2 * self.side_px
        if self.crop_px < PATCH_PX or self.side_px < 0 or width <= 0 or self.crop_px % PATCH_PX or width % PATCH_PX:
            raise ValueError(
                f"crop_px {self.crop_px} and what is left without {self.side_px} px on both sides ({width}) must be "
                f"positive multiples of {PATCH_PX}"
            )
        for name in ("num_betas", "num_flame_shape", "num_expression"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.focal_sides <= 0:
            raise ValueError(f"focal_sides: expected more than 0, got {self.focal_sides}")

    @property
    def size(self) -> BodySize:
        """Numbers of coefficients that it says."""
        return BodySize(
            num_betas=self.num_betas, num_flame_shape=self.num_flame_shape, num_expression=self.num_expression
        )

    @property
    def vit(self) -> ViTConfig:
        """The backbone with the image size of this crop."""
        size = (self.crop_px, self.crop_px - 2 * self.side_px)
        named = self.backbone
        if named.size:
            figures = VIT_SIZES[named.size]
        else:
            figures = ViTConfig(width=named.width, depth=named.depth, heads=named.heads)
        return dataclasses.replace(figures, image_size=size, drop_path=named.drop_path, stem=named.stem)

    @property
    def cross_decoder(self) -> DecoderConfig:
        """The decoder, which reads tokens of the backbone's width."""
        return DecoderConfig(context_width=self.vit.width, **dataclasses.asdict(self.decoder))

    def differences(self, other: RegressorConfig) -> list[str]:
        """Says where another network is not as these settings expect; empty if its weights mean the same here.

        A size by name equals its figures. How often blocks are skipped in training does not count.
        """
        expected, found = self._architecture(), other._architecture()
        return [
            f"{name} is {found[name]}, expected {expected[name]}" for name in expected if found[name] != expected[name]
        ]

    def _architecture(self) -> dict[str, Any]:
        figures = {f"backbone {name}": getattr(self.vit, name) for name in ("width", "depth", "heads", "stem")}
        figures |= {f"decoder {name}": value for name, value in dataclasses.asdict(self.decoder).items()}
        rest = {name: value for name, value in self.to_dict().items() if name not in ("backbone", "decoder")}
        return figures | rest

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they go into a checkpoint's metadata."""
        return dataclasses.asdict(self)

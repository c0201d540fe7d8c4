"""Sizes of the transformers, apart from their code: settings name them, and settings are read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

PATCH_PX = 16
"""Side of the square of pixels that becomes a token."""
Stem = Literal["patches", "convolutions"]
"""A token from a patch by one linear layer, as in every published checkpoint; or from overlapping convolutions, which
learn where things are from far fewer images where training begins at random (Xiao et al. 2021, "Early convolutions help
transformers see better")."""
STEM_SHARES = (8, 4, 2, 1)
"""The four convolutions of a stem have the width over these as channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViTConfig:
    """Size of a vision transformer."""

    width: int
    """Channels of a token."""
    depth: int
    """Number of blocks."""
    heads: int
    """Attention heads a block."""
    image_size: tuple[int, int] = (256, 192)
    """Height and width of the images, px."""
    drop_path: float = 0.0
    """Share of images for which the deepest block's branches are skipped in training; it rises linearly from 0."""
    stem: Stem = "patches"
    """How pixels become tokens."""

    def __post_init__(self) -> None:
        if self.stem not in get_args(Stem):
            raise ValueError(f"vision transformer: expected a stem of {', '.join(get_args(Stem))}, got {self.stem!r}")
        if self.stem == "convolutions" and self.width % STEM_SHARES[0]:
            raise ValueError(
                f"vision transformer: a stem of convolutions needs a width that {STEM_SHARES[0]} divides, "
                f"got {self.width}"
            )
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"vision transformer: drop_path must be 0 or more and below 1, got {self.drop_path}")
        if self.depth < 1 or self.heads < 1 or self.width % self.heads:
            raise ValueError(
                f"vision transformer: expected a depth of at least 1 and a width that its heads divide, "
                f"got depth {self.depth}, width {self.width}, heads {self.heads}"
            )
        if any(side < PATCH_PX or side % PATCH_PX for side in self.image_size):
            raise ValueError(f"vision transformer: image sides must be multiples of {PATCH_PX}, got {self.image_size}")

    @property
    def num_tokens(self) -> int:
        """Tokens of an image."""
        return self.image_size[0] // PATCH_PX * (self.image_size[1] // PATCH_PX)


VIT_SIZES = {
    "S": ViTConfig(width=384, depth=12, heads=12),
    "B": ViTConfig(width=768, depth=12, heads=12),
    "L": ViTConfig(width=1024, depth=24, heads=16),
    "H": ViTConfig(width=1280, depth=32, heads=16),
}
"""The four sizes of ViTPose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderConfig:
    """Size of a decoder; the defaults are those of HMR2 and HaMeR."""

    context_width: int = 1280
    """Channels of the image tokens."""
    width: int = 1024
    """Channels of a decoder token."""
    depth: int = 6
    """Number of layers."""
    heads: int = 8
    """Attention heads a layer, of 64 channels each."""
    hidden: int = 1024
    """Channels inside the feed-forward network."""

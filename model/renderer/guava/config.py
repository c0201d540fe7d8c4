"""Sizes of the renderer; the defaults are those of the published weights."""

from dataclasses import dataclass

from model.networks.dinov2 import DINO_B, DinoConfig

SMALLEST_PX = 8
"""A StyleUNet begins at 4 px and doubles at least once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuavaConfig:
    """Sizes."""

    dino: DinoConfig = DINO_B
    """Backbone; its side is that of the source picture."""
    image_px: int = 512
    """Side of what is drawn."""
    uv_px: int = 512
    """Side of the texture."""
    num_vertices: int = 10_595
    """SMPL-X and 120 of teeth."""
    channels: int = 32
    """Colour channels of a Gaussian, the first three are RGB."""
    pyramid_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    """Channels of the backbone's four maps, from the finest to the coarsest."""
    texture_channels: int = 32
    """Features of the source picture that are laid into the texture beside its RGB."""
    sampled_channels: int = 128
    """Features of the source picture that a vertex is given; the pyramid has half as many."""
    vertex_channels: int = 128
    """Learnt features of a vertex."""
    global_channels: int = 256
    """Features of the whole picture that every vertex is given."""
    style_channels: int = 512
    """Width of the style vectors."""
    texel_channels: int = 96
    """Features of a texel that the network computes."""
    texel_base_channels: int = 32
    """Learnt features of a texel."""
    unet_width: int = 256
    """Channels of the StyleUNets' coarse levels; from 64 px on each level has half as many as the one before."""

    def __post_init__(self) -> None:
        for name in ("image_px", "uv_px"):
            side = getattr(self, name)
            if side < SMALLEST_PX or side & (side - 1):
                raise ValueError(f"{name} must be a power of two of at least {SMALLEST_PX}, got {side}")

    @property
    def focal_px(self) -> float:
        """Focal length of the cameras that the published weights have seen: 24 half pictures."""
        return 24.0 * self.image_px / 2.0


PUBLISHED = GuavaConfig()

"""What published renderers of Gaussians do differently, as settings."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Box: TypeAlias = Literal["exact", "3 sigma"]
"""Which pixels look at a Gaussian.

`exact`: all in which its alpha reaches `alpha_min`. That is gsplat's too: its boxes of 3.33 standard deviations hold
every alpha of 1/255. `3 sigma` (Kerbl et al., 2023): of those the ones in blocks of 16 px that a square touches, half
its side three standard deviations along the longer axis, rounded up.
"""
BLOCK_PX = 16
"""Side of these blocks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conventions:
    """How Gaussians become alphas."""

    alpha_max: float = 0.99
    """No Gaussian is more opaque than this in a pixel; beyond it the derivative is 0."""
    alpha_min: float = 1.0 / 255.0
    """A Gaussian that is less opaque than this in a pixel is not there; 0 looks at every Gaussian in every pixel."""
    box: Box = "exact"
    """Which pixels look at a Gaussian at all."""
    stop_transmittance: float = 0.0
    """A Gaussian that would leave no more than this of what lies behind it is left out, with all behind it."""
    blur_px2: float = 0.3
    """Variance that is added in the picture, so that none falls between the pixels, square pixels."""
    frustum_clamp: float | None = 1.3
    """Shapes of Gaussians further off the axis than so many half pictures are those of this margin; None: their own."""
    near_m: float = 0.2
    """What is not further from the camera than this is not drawn, metres."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha_min < self.alpha_max < 1.0:
            raise ValueError(f"expected 0 <= alpha_min < alpha_max < 1, got {self.alpha_min:g} and {self.alpha_max:g}")
        if self.box not in get_args(Box):
            raise ValueError(f"expected a box of {', '.join(get_args(Box))}, got {self.box!r}")
        if not 0.0 <= self.stop_transmittance < 1.0:
            raise ValueError(f"expected a stop_transmittance in [0, 1), got {self.stop_transmittance:g}")
        if self.blur_px2 <= 0.0 or self.near_m <= 0.0:
            raise ValueError(f"expected blur_px2 and near_m above 0, got {self.blur_px2:g} and {self.near_m:g}")
        if self.frustum_clamp is not None and self.frustum_clamp < 1.0:
            raise ValueError(f"expected a frustum_clamp of at least 1 half picture, got {self.frustum_clamp:g}")


EXACT = Conventions()
"""Leaves out nothing that can be seen."""
KERBL = Conventions(box="3 sigma", stop_transmittance=1e-4)
"""Kerbl et al., 3D Gaussian Splatting (2023), and the renderers made from its code."""
GSPLAT = Conventions(alpha_max=0.999, stop_transmittance=1e-4)
"""gsplat 1.5, but for its nearest plane (0.01 m)."""

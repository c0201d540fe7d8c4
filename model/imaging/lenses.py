"""Lenses that are no pinholes: their points as a pinhole camera would show them, once, before anything is fitted.

    x_px = f D(x / z, y / z) + c,     D the distortion of the ray, f two focal lengths, c the principal point

The models are those of OpenCV, in which calibrated data sets state their cameras: `brown` (k1, k2, p1, p2, k3: GoPros
and studio cameras) and `fisheye` (k1..k4, a polynomial of the angle: Ego-Exo4D, EgoHumans).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

LensModel = Literal["brown", "fisheye"]
_NUM_COEFFICIENTS = {"brown": (4, 5), "fisheye": (4,)}
_STEPS = 20
_NEAR_M = 0.01
_NUDGE = 1e-6
_MAX_ERROR = 1e-6
"""At unit focal length: a ray that is not found to this is none that the lens shows."""
_MIN_STRETCH = 0.05
"""Where less of a ray's move is left of it in the image, the polynomial folds over: beyond the edge of the lens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lens:
    """One camera with a distorting lens, or with two focal lengths."""

    focal_px: tuple[float, float]
    """Along x and y."""
    principal_px: tuple[float, float]
    coefficients: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    """In the order of OpenCV; zeros are a pinhole."""
    model: LensModel = "brown"

    def __post_init__(self) -> None:
        if len(self.coefficients) not in _NUM_COEFFICIENTS[self.model]:
            counts = " or ".join(str(count) for count in _NUM_COEFFICIENTS[self.model])
            raise ValueError(f"a lens of the model {self.model} has {counts} coefficients, got {self.coefficients}")
        numbers = (*self.focal_px, *self.principal_px, *self.coefficients)
        if not all(math.isfinite(number) for number in numbers) or min(self.focal_px) <= 0:
            raise ValueError(f"a lens needs finite numbers and focal lengths above 0, got {numbers}")

    @property
    def pinhole_focal_px(self) -> float:
        """Of the pinhole camera that stands for it; its principal point is the lens's own."""
        return math.sqrt(self.focal_px[0] * self.focal_px[1])

    def distorted(self, ray: Tensor) -> Tensor:
        """Rays (..., 2), x / z and y / z, as the lens bends them."""
        x, y = ray.unbind(-1)
        square = x * x + y * y
        if self.model == "fisheye":
            radius = square.sqrt()
            angle = torch.atan(radius)
            bent, power = torch.ones_like(angle), angle * angle
            for k, coefficient in enumerate(self.coefficients, 1):
                bent = bent + coefficient * power**k
            return ray * torch.where(radius > 0, angle * bent / radius.clamp(min=1e-300), 1.0)[..., None]
        k1, k2, p1, p2, k3 = (*self.coefficients, 0.0)[:5]
        radial = 1 + square * (k1 + square * (k2 + square * k3))
        bent_x = x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x)
        bent_y = y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y
        return torch.stack([bent_x, bent_y], -1)

    def to_pixels(self, ray: Tensor) -> Tensor:
        """Rays (..., 2) -> pixels (..., 2) of the photo."""
        return self.distorted(ray) * torch.tensor(self.focal_px).to(ray) + torch.tensor(self.principal_px).to(ray)

    def bent(self, points_m: Tensor) -> Tensor:
        """Points (..., 3) of the camera frame, moved sideways so that the pinhole camera that stands for the lens shows
        them where the lens does; those that it does not show stay."""
        points = points_m.double()
        depth = points[..., 2:]
        ray = points[..., :2] / depth
        moved = (self.to_pixels(ray) - torch.tensor(self.principal_px).to(ray)) / self.pinhole_focal_px * depth
        is_shown = self._shows(ray, torch.linalg.det(self._slope(ray))) & (depth[..., 0] > _NEAR_M)
        return torch.where(is_shown[..., None], torch.cat([moved, depth], -1), points).to(points_m)

    def to_pinhole(self, points_px: Tensor) -> tuple[Tensor, Tensor]:
        """Points (..., 2) of the photo in the pinhole camera that stands for the lens.

        Returns:
            Points (..., 2), NaN where the lens shows nothing; and how many px a px of the photo is there (...), with
            which a standard deviation is multiplied.
        """
        principal, focal = (torch.tensor(value, dtype=torch.float64) for value in (self.principal_px, self.focal_px))
        bent = (points_px.double().cpu() - principal) / focal
        ray = bent.clone()
        for _ in range(_STEPS):
            slope = self._slope(ray)
            inverse = torch.linalg.inv(torch.where(slope.isfinite(), slope, torch.eye(2).double()))
            ray = ray + (inverse @ (bent - self.distorted(ray))[..., None]).squeeze(-1)
        stretch = torch.linalg.det(self._slope(ray))
        found = ((self.distorted(ray) - bent).abs().amax(-1) < _MAX_ERROR) & self._shows(ray, stretch)
        pinhole = torch.where(found[..., None], ray * self.pinhole_focal_px + principal, torch.nan)
        return pinhole.to(points_px), torch.where(found, stretch.rsqrt(), torch.nan).to(points_px)

    def _shows(self, ray: Tensor, stretch: Tensor) -> Tensor:
        """Which rays (...) are within the edge of the lens, by the determinant of ``_slope``."""
        return (stretch > _MIN_STRETCH) & ((ray * self.distorted(ray)).sum(-1) >= 0)

    def _slope(self, ray: Tensor) -> Tensor:
        """How a bent ray moves with the ray, (..., 2, 2)."""
        nudges = torch.eye(2, dtype=ray.dtype) * _NUDGE
        columns = [(self.distorted(ray + nudge) - self.distorted(ray - nudge)) / (2 * _NUDGE) for nudge in nudges]
        return torch.stack(columns, -1)

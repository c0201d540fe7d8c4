"""Lenses that are no pinholes: their points as a pinhole camera would show them, once, before anything is fitted.

    x_px = f D(x / z, y / z) + c,     D the distortion of the ray, f two focal lengths, c the principal point

The models are those in which calibrated data sets state their cameras. Of OpenCV: `brown` (k1, k2, p1, p2, k3: GoPros
and studio cameras) and `fisheye` (k1..k4, a polynomial of the angle: Ego-Exo4D, EgoHumans). Of Project Aria's glasses:
`fisheye624` (k1..k6 of the angle, then p1, p2 tangential and s1..s4 of a thin prism, both of the bent ray).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets_manifest.schema.lens_models import NUM_COEFFICIENTS, RADIAL, LensModel, edge_of

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
    """In the order of the model; zeros of brown are a pinhole, of a fisheye an equidistant one."""
    model: LensModel = "brown"

    def __post_init__(self) -> None:
        if len(self.coefficients) not in NUM_COEFFICIENTS[self.model]:
            counts = " or ".join(str(count) for count in NUM_COEFFICIENTS[self.model])
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
        return self._bent(self._place(ray))

    def to_pixels(self, ray: Tensor) -> Tensor:
        """Rays (..., 2) -> pixels (..., 2) of the photo."""
        return self.distorted(ray) * ray.new_tensor(self.focal_px) + ray.new_tensor(self.principal_px)

    def bent(self, points_m: Tensor) -> Tensor:
        """Points (..., 3) of the camera frame, moved sideways so that the pinhole camera that stands for the lens shows
        them where the lens does; those that it does not show stay."""
        points = points_m.double()
        depth = points[..., 2:]
        ray = points[..., :2] / depth
        moved = (self.to_pixels(ray) - ray.new_tensor(self.principal_px)) / self.pinhole_focal_px * depth
        is_shown = self._shows(self._place(ray), self._stretch(ray)) & (depth[..., 0] > _NEAR_M)
        return torch.where(is_shown[..., None], torch.cat([moved, depth], -1), points).to(points_m)

    def to_pinhole(self, points_px: Tensor) -> tuple[Tensor, Tensor]:
        """Points (..., 2) of the photo in the pinhole camera that stands for the lens.

        Returns:
            Points (..., 2), NaN where the lens shows nothing; and how many px a px of the photo is there (...), with
            which a standard deviation is multiplied.
        """
        principal, focal = (torch.tensor(value, dtype=torch.float64) for value in (self.principal_px, self.focal_px))
        bent = (points_px.double().cpu() - principal) / focal
        place = bent.clone()
        for _ in range(_STEPS):
            slope = _slope(self._bent, place)
            # Not finite where the lens has no slope: what is searched for from there is not found.
            inverse = torch.linalg.inv_ex(torch.where(slope.isfinite(), slope, torch.eye(2).double())).inverse
            place = place + (inverse @ (bent - self._bent(place))[..., None]).squeeze(-1)
        ray = self._ray(place)
        stretch = self._stretch(ray)
        found = ((self._bent(place) - bent).abs().amax(-1) < _MAX_ERROR) & self._shows(place, stretch)
        pinhole = torch.where(found[..., None], ray * self.pinhole_focal_px + principal, torch.nan)
        return pinhole.to(points_px), torch.where(found, stretch.rsqrt(), torch.nan).to(points_px)

    def _place(self, ray: Tensor) -> Tensor:
        """Rays (..., 2) as vectors of the length of which the model has a polynomial: their angle from the axis for a
        fisheye, so that its slope is mild out to 90 degrees."""
        if self.model == "brown":
            return ray
        # The least that has a slope at the axis, and moves no other ray.
        length = (ray.square().sum(-1, keepdim=True) + 1e-30).sqrt()
        return ray * (torch.atan(length) / length)

    def _ray(self, place: Tensor) -> Tensor:
        """The rays of ``_place``."""
        if self.model == "brown":
            return place
        angle = (place.square().sum(-1, keepdim=True) + 1e-30).sqrt()
        return place * (angle.tan() / angle)

    def _bent(self, place: Tensor) -> Tensor:
        """Rays as the lens bends them, of ``_place`` (..., 2)."""
        square = place.square().sum(-1, keepdim=True)
        radial, power = torch.ones_like(square), torch.ones_like(square)
        for index in RADIAL[self.model]:
            if index < len(self.coefficients):
                power = power * square
                radial = radial + self.coefficients[index] * power
        if self.model == "brown":
            (p1, p2), (x, y) = self.coefficients[2:4], place.unbind(-1)
            shift_x = 2 * p1 * x * y + p2 * (square[..., 0] + 2 * x * x)
            shift_y = p1 * (square[..., 0] + 2 * y * y) + 2 * p2 * x * y
            return place * radial + torch.stack([shift_x, shift_y], -1)
        bent = place * radial
        if self.model == "fisheye":
            return bent
        p1, p2, s1, s2, s3, s4 = self.coefficients[6:]
        tangential, prism, prism_squared = (bent.new_tensor(pair) for pair in ((p1, p2), (s1, s3), (s2, s4)))
        square = bent.square().sum(-1, keepdim=True)
        shift = square * (tangential + prism + square * prism_squared)
        return bent * (1 + 2 * (bent * tangential).sum(-1, keepdim=True)) + shift

    def _stretch(self, ray: Tensor) -> Tensor:
        """How many times the area around a ray (...) is bent to."""
        return torch.linalg.det(_slope(self.distorted, ray))

    def _shows(self, place: Tensor, stretch: Tensor) -> Tensor:
        """Which rays (...) are within the edge of the lens, by ``_place`` and ``_stretch``."""
        is_outwards = (place * self._bent(place)).sum(-1) >= 0
        return (stretch > _MIN_STRETCH) & is_outwards & (place.norm(dim=-1) < edge_of(self.model, self.coefficients))


def _slope(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """How (..., 2) moves with (..., 2), (..., 2, 2)."""
    nudges = torch.eye(2, dtype=at.dtype) * _NUDGE
    return torch.stack([(function(at + nudge) - function(at - nudge)) / (2 * _NUDGE) for nudge in nudges], -1)

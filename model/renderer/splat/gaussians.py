"""3D Gaussians before a camera."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaussians:
    """N Gaussians in each of B pictures, in the camera's frame: x right, y down, z forward, metres.

    Raises:
        ValueError: Shapes, types or devices do not fit each other, a value is not finite, an opacity is not in 0..1.
    """

    centres_m: Tensor
    """(B, N, 3)."""
    factors_m: Tensor
    """(B, N, 3, K): the covariance is factor x factor^T. Three columns are the axes times their standard deviations;
    two are enough for flat Gaussians, one for needles."""
    colours: Tensor
    """(B, N, C), any number of channels."""
    opacities: Tensor
    """(B, N), 0..1: alpha at the centre."""

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in given.items())
        leading = self.opacities.shape
        fits = len(leading) == 2 and self.centres_m.shape == (*leading, 3) and self.factors_m.dim() == 4
        fits = fits and self.factors_m.shape[:3] == (*leading, 3) and 1 <= self.factors_m.shape[3] <= 3
        fits = fits and self.colours.dim() == 3 and self.colours.shape[:2] == leading and self.colours.shape[2] > 0
        if not fits:
            raise ValueError(
                "expected centres_m (B, N, 3), factors_m (B, N, 3, 1 to 3), colours (B, N, C) and opacities (B, N), "
                f"got {shapes}"
            )
        kinds = {(tensor.dtype, tensor.device) for tensor in given.values()}
        if len(kinds) > 1 or self.opacities.dtype not in (torch.float32, torch.float64):
            found = ", ".join(f"{name} {tensor.dtype} on {tensor.device}" for name, tensor in given.items())
            raise ValueError(f"expected all in float32 or all in float64, on one device, got {found}")
        for name, tensor in given.items():
            self._check(name, "finite", torch.isfinite(tensor.detach()))
        opacities = self.opacities.detach()
        self._check("opacities", "in 0..1", (opacities >= 0) & (opacities <= 1))

    @staticmethod
    def _check(name: str, wanted: str, is_right: Tensor) -> None:
        if not is_right.all():
            wrong = ~is_right.flatten(2).all(2) if is_right.dim() > 2 else ~is_right
            picture = int(wrong.any(1).nonzero()[0, 0])
            count = int(wrong[picture].sum())
            raise ValueError(
                f"expected {name} that are {wanted}, got others in {count} of {wrong.shape[1]} Gaussians of picture "
                f"{picture}: leave that picture out"
            )

    def __len__(self) -> int:
        """B."""
        return len(self.opacities)

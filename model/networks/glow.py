"""Conditional Glow: ProHMR's normalising flow over poses, under the parameter names of its checkpoint.

Each layer is an activation norm, a linear map given by its LU decomposition and an additive coupling. The forward
direction takes poses to a standard normal latent, the inverse one makes poses. Kingma and Dhariwal, "Glow" (2018);
Dinh et al., "NICE" (2014); conditioning and names are those of the nflows fork that ProHMR was trained with.

Legend: B rows, F features, K context features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MIN_DIAGONAL = 1e-3
"""Added to the softplus of the upper diagonal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GlowConfig:
    """Size of a flow; the defaults are ProHMR's."""

    features: int = 144
    """Numbers of a pose: 24 rotations of 6."""
    context: int = 2048
    """Numbers that describe the image."""
    hidden: int = 1024
    """Channels inside a coupling's network."""
    layers: int = 4
    """Steps of norm, map and coupling."""
    blocks: int = 2
    """Residual blocks of a coupling's network."""


class _Step(nn.Module):
    """One invertible step; the dummy is an entry that upstream's base class leaves in files."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("dummy_buffer", torch.tensor(1.0))

    def log_determinant(self) -> Tensor:
        """() log |det| of the Jacobian of the forward direction, the same everywhere."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, F) towards the latent."""
        raise NotImplementedError

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """(B, F) back."""
        raise NotImplementedError


class ActNorm(_Step):
    """Scale and shift of each feature."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("initialized", torch.tensor(False))
        self.log_scale = nn.Parameter(torch.zeros(features))
        self.shift = nn.Parameter(torch.zeros(features))

    def log_determinant(self) -> Tensor:
        """() log |det|."""
        return self.log_scale.sum()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        return self.log_scale.exp() * x + self.shift

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        return (y - self.shift) / self.log_scale.exp()


class LULinear(_Step):
    """y = L U x + b; L has ones on its diagonal, U positive numbers.

    Until September 2021 the fork of nflows transposed both factors and left the shift out in the forward direction, and
    only there. The published weights are older: their densities of given poses need care, their poses do not.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        num = features * (features - 1) // 2
        self.bias = nn.Parameter(torch.zeros(features))
        self.lower_entries = nn.Parameter(torch.zeros(num))
        self.upper_entries = nn.Parameter(torch.zeros(num))
        self.unconstrained_upper_diag = nn.Parameter(torch.full((features,), math.log(math.expm1(1 - MIN_DIAGONAL))))

    def _diagonal(self) -> Tensor:
        return F.softplus(self.unconstrained_upper_diag) + MIN_DIAGONAL

    def _factors(self) -> tuple[Tensor, Tensor]:
        """L (F, F) and U (F, F)."""
        size, device = len(self.bias), self.bias.device
        lower = torch.eye(size, dtype=self.bias.dtype, device=device)
        upper = torch.diag(self._diagonal())
        rows, columns = torch.tril_indices(size, size, -1, device=device)
        lower = lower.index_put((rows, columns), self.lower_entries)
        rows, columns = torch.triu_indices(size, size, 1, device=device)
        return lower, upper.index_put((rows, columns), self.upper_entries)

    def log_determinant(self) -> Tensor:
        """() log |det|."""
        return self._diagonal().log().sum()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        lower, upper = self._factors()
        return F.linear(F.linear(x, upper), lower, self.bias)

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """(B, F) -> (B, F)."""
        lower, upper = self._factors()
        x = torch.linalg.solve_triangular(lower, (y - self.bias).T, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, x, upper=True).T


class ResidualBlock(nn.Module):
    """Norm, ReLU and linear layer, twice, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.batch_norm_layers = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(2))
        self.linear_layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, width)."""
        out = x
        for norm, linear in zip(self.batch_norm_layers, self.linear_layers, strict=True):
            out = linear(F.relu(norm(out)))
        return x + out


class CouplingNetwork(nn.Module):
    """Kept features and context to the shift of the others."""

    def __init__(self, kept: int, shifted: int, config: GlowConfig) -> None:
        super().__init__()
        self.initial_layer = nn.Linear(kept + config.context, config.hidden)
        self.blocks = nn.ModuleList(ResidualBlock(config.hidden) for _ in range(config.blocks))
        self.final_layer = nn.Linear(config.hidden, shifted)

    def forward(self, kept: Tensor, context: Tensor) -> Tensor:
        """(B, kept), (B, K) -> (B, shifted)."""
        x = self.initial_layer(torch.cat([kept, context], -1))
        for block in self.blocks:
            x = block(x)
        return self.final_layer(x)


class AdditiveCoupling(_Step):
    """Shifts every other feature by a function of the rest."""

    def __init__(self, keep_even: bool, config: GlowConfig) -> None:
        super().__init__()
        even, odd = torch.arange(0, config.features, 2), torch.arange(1, config.features, 2)
        kept, shifted = (even, odd) if keep_even else (odd, even)
        self.register_buffer("identity_features", kept)
        self.register_buffer("transform_features", shifted)
        self.transform_net = CouplingNetwork(len(kept), len(shifted), config)

    def log_determinant(self) -> Tensor:
        """() zero."""
        return self.transform_net.final_layer.bias.new_zeros(())

    def _shifted(self, x: Tensor, context: Tensor, sign: int) -> Tensor:
        kept, moved = self.get_buffer("identity_features"), self.get_buffer("transform_features")
        return x.index_add(-1, moved, self.transform_net(x[:, kept], context), alpha=sign)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, F), (B, K) -> (B, F)."""
        return self._shifted(x, context, 1)

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """(B, F), (B, K) -> (B, F)."""
        return self._shifted(y, context, -1)


class Composite(_Step):
    """Steps one after the other."""

    def __init__(self, steps: list[_Step]) -> None:
        super().__init__()
        self._transforms = nn.ModuleList(steps)

    def _steps(self) -> list[_Step]:
        return [step for step in self._transforms if isinstance(step, _Step)]

    def log_determinant(self) -> Tensor:
        """() log |det|."""
        return torch.stack([step.log_determinant() for step in self._steps()]).sum()

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, F), (B, K) -> (B, F)."""
        for step in self._steps():
            x = step(x, context)
        return x

    def inverse(self, y: Tensor, context: Tensor) -> Tensor:
        """(B, F), (B, K) -> (B, F)."""
        for step in reversed(self._steps()):
            y = step.inverse(y, context)
        return y


class ConditionalGlow(nn.Module):
    """Density of poses given an image. Use it in evaluation mode: it has batch norms."""

    def __init__(self, config: GlowConfig) -> None:
        super().__init__()
        self.config = config
        steps: list[_Step] = []
        for layer in range(config.layers):
            steps += [ActNorm(config.features), LULinear(config.features), AdditiveCoupling(layer % 2 == 0, config)]
        self._transform = Composite(steps)

    def _log_normal(self, latents: Tensor) -> Tensor:
        """(B, F) -> (B,) log density of the standard normal."""
        return -0.5 * (latents.square().sum(-1) + latents.shape[-1] * math.log(2 * math.pi))

    def log_prob(self, poses: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Log density (B,) and latents (B, F) of poses (B, F) given a context (B, K)."""
        latents = self._transform(poses, context)
        return self._log_normal(latents) + self._transform.log_determinant(), latents

    def poses(self, latents: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Poses (B, F) and their log density (B,) of latents (B, F) given a context (B, K); zero is the mode."""
        return self._transform.inverse(latents, context), (
            self._log_normal(latents) + self._transform.log_determinant()
        )

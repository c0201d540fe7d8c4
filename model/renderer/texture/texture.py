"""The looks that people have: colours of their surface, and the light that falls on it.

What is seen is the surface's own colour times the brightness of the light at its normal. Known from people are the mean
of their colours and some directions in which they differ, and the mean and spread of the light in their pictures.

Letters: B pictures, S sites, K directions, V vertices.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.renderer.texture.light import NUM_TERMS, brightness, light_terms

RIDGE = 2e-6
"""Squared difference of colour, mean over the sites, that one more standard deviation of a direction or light must
remove: what the directions cannot say (patterns of cloth) is alike over many sites, and would be taken for them."""
ROBUST = 0.08
"""Difference of colour from which on a site counts less: what lies outside the texture's space does not pull at it."""
ROUNDS = 4
"""Fits of the colours and of the light, in turn."""
MAX_SITES = 4000
"""Of more sites that are seen, about so many are fitted, evenly chosen: many more than the numbers that are sought."""


class Looks(NamedTuple):
    """What makes the colours of B people."""

    coefficients: Tensor
    """(B, K) along the directions, in standard deviations."""
    light: Tensor
    """(B, 9) weights of the terms of ``light_terms``, in the camera's frame."""


class Texture(nn.Module):
    """Colours of the surface at the sites of a mesh, 0..1, how far it lies off the mesh, and the light.

    Args:
        mean: (S, 3).
        directions: (K, S, 3), each as long as people differ along it (one standard deviation).
        offset_m: (V,) along the outward normals: what clothes and hair add.
        light_mean: (9,); None: the same from everywhere, so that colours are seen as they are.
        light_factor: (9, 9), its covariance is factor x factor^T; None: it is always the mean.

    Raises:
        ValueError: Shapes do not fit each other, or a value is not finite.
    """

    mean: Tensor
    directions: Tensor
    offset_m: Tensor
    light_mean: Tensor
    light_factor: Tensor

    def __init__(
        self,
        mean: Tensor,
        directions: Tensor,
        offset_m: Tensor,
        light_mean: Tensor | None = None,
        light_factor: Tensor | None = None,
    ) -> None:
        super().__init__()
        if light_mean is None:
            light_mean = torch.eye(NUM_TERMS)[0].to(mean)
        if light_factor is None:
            light_factor = torch.zeros(NUM_TERMS, NUM_TERMS).to(mean)
        given = {
            "mean": (mean, (*mean.shape[:1], 3)),
            "directions": (directions, (*directions.shape[:1], *mean.shape)),
            "offset_m": (offset_m, (*offset_m.shape[:1],)),
            "light_mean": (light_mean, (NUM_TERMS,)),
            "light_factor": (light_factor, (NUM_TERMS, NUM_TERMS)),
        }
        for name, (tensor, shape) in given.items():
            if tensor.shape != shape:
                raise ValueError(f"expected the {name} of a texture in shape {shape}, got {tuple(tensor.shape)}")
            if not torch.isfinite(tensor).all():
                raise ValueError(f"expected a finite {name} of the texture, got nan or inf: learn it again")
            self.register_buffer(name, tensor)

    def surface(self, coefficients: Tensor) -> Tensor:
        """(B, K) -> colours of the surface (B, S, 3), 0..1."""
        return (self.mean + torch.einsum("bk,ksc->bsc", coefficients, self.directions)).clamp(0.0, 1.0)

    def colours(self, looks: Looks, normals: Tensor) -> Tensor:
        """What is seen (B, S, 3), 0..1, of the sites with unit normals (B, S, 3) in the camera's frame."""
        return (self.surface(looks.coefficients) * brightness(looks.light, normals)).clamp(max=1.0)

    @torch.no_grad()
    def fit(self, colours: Tensor, weight: Tensor, normals: Tensor) -> Looks:
        """Looks that say best what is seen: ridge regression, robust against what is no such texture.

        Args:
            colours: (B, S, 3), 0..1.
            weight: (B, S), 0..1; 0 where a site is not seen. Somebody of whom none is seen has the looks of the mean.
            normals: (B, S, 3), unit, in the camera's frame.
        """
        found = [self._fit(*each) for each in zip(colours, weight, normals, strict=True)]
        return Looks(*map(torch.stack, zip(*found, strict=True)))

    def _fit(self, colours: Tensor, weight: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
        """One picture (S, 3), (S,), (S, 3) -> (K,), (9,)."""
        seen = torch.nonzero(weight > 0).squeeze(1)
        seen = seen[:: -(-len(seen) // MAX_SITES) or 1]
        wanted, known = colours[seen], weight[seen, None].expand(-1, 3)
        mean, directions = self.mean[seen], self.directions[:, seen].flatten(1)  # (N, 3), (K, 3 N)
        terms = light_terms(normals[seen])
        usual, unusual = terms @ self.light_mean, terms @ self.light_factor  # (N,), (N, 9)
        ridge = RIDGE * max(1, len(seen))
        coefficients, rest = mean.new_zeros(len(directions)), mean.new_zeros(NUM_TERMS)
        trust = known
        for _ in range(ROUNDS):
            lit = (usual + unusual @ rest)[:, None]
            rows = directions * lit.expand(-1, 3).flatten()
            coefficients = _ridge(rows, wanted - mean * lit, trust, ridge)
            surface = (mean + (coefficients @ directions).view(-1, 3)).clamp(0.0, 1.0)
            rows = (surface[..., None] * unusual[:, None]).flatten(0, 1).T
            rest = _ridge(rows, wanted - surface * usual[:, None], trust, ridge)
            misfit = wanted - surface * (usual + unusual @ rest)[:, None]
            trust = known / (1.0 + (misfit / ROBUST) ** 2)
        return coefficients, self.light_mean + self.light_factor @ rest

    def take(self, sites: Tensor, vertices: Tensor) -> "Texture":
        """Of some sites (N,) and vertices (M,)."""
        return Texture(
            self.mean[sites], self.directions[:, sites], self.offset_m[vertices], self.light_mean, self.light_factor
        )


def _ridge(rows: Tensor, wanted: Tensor, weight: Tensor, ridge: float) -> Tensor:
    """Numbers (K,) that make the sum of rows (K, M) what is wanted (M,), as small as that allows."""
    weighted = rows * weight.flatten()
    return torch.linalg.solve(weighted @ rows.T + ridge * torch.eye(len(rows)).to(rows), weighted @ wanted.flatten())

"""The colours that people have: a mean, and some directions in which they differ.

Letters: B pictures, S sites, K directions, V vertices.
"""

import torch
from torch import Tensor, nn

RIDGE = 1.8e-5
"""Squared difference of colour, mean over the sites, that one more standard deviation of a direction must remove: what
the directions cannot say (patterns of cloth, reflections) is alike over many sites, and would be taken for them."""
ROBUST = 0.08
"""Difference of colour from which on a site counts less: what lies outside the texture's space does not pull at it."""
ROUNDS = 3
"""Reweighted fits."""


class Texture(nn.Module):
    """Colours at the sites of a mesh, 0..1, and how far the surface that shows them lies off the mesh.

    Args:
        mean: (S, 3).
        directions: (K, S, 3), each as long as people differ along it (one standard deviation).
        offset_m: (V,) along the outward normals: what clothes and hair add.

    Raises:
        ValueError: Shapes do not fit each other, or a value is not finite.
    """

    mean: Tensor
    directions: Tensor
    offset_m: Tensor

    def __init__(self, mean: Tensor, directions: Tensor, offset_m: Tensor) -> None:
        super().__init__()
        if mean.dim() != 2 or mean.shape[1] != 3 or directions.shape[1:] != mean.shape or offset_m.dim() != 1:
            raise ValueError(
                "a texture needs mean (S, 3), directions (K, S, 3) and offset_m (V,), got "
                f"{tuple(mean.shape)}, {tuple(directions.shape)} and {tuple(offset_m.shape)}"
            )
        for name, tensor in (("mean", mean), ("directions", directions), ("offset_m", offset_m)):
            if not (tensor.is_meta or torch.isfinite(tensor).all()):
                raise ValueError(f"expected a finite {name} of the texture, got nan or inf: learn it again")
            self.register_buffer(name, tensor)

    def colours(self, coefficients: Tensor) -> Tensor:
        """(B, K), in standard deviations -> (B, S, 3), 0..1."""
        return (self.mean + torch.einsum("bk,ksc->bsc", coefficients, self.directions)).clamp(0.0, 1.0)

    @torch.no_grad()
    def fit(self, colours: Tensor, weight: Tensor) -> Tensor:
        """Coefficients (B, K) that say best what is seen: ridge regression, robust against what is no such texture.

        Args:
            colours: (B, S, 3), 0..1.
            weight: (B, S), 0..1; 0 where a site is not seen. Of somebody of whom no site is seen, all are 0.
        """
        return torch.stack([self._fit(*each) for each in zip(colours, weight, strict=True)])

    def _fit(self, colours: Tensor, weight: Tensor) -> Tensor:
        """One picture (S, 3), (S,) -> (K,)."""
        seen = torch.nonzero(weight > 0).squeeze(1)
        rows = self.directions[:, seen].flatten(1)  # (K, 3 N)
        wanted = (colours[seen] - self.mean[seen]).flatten()
        known = weight[seen].repeat_interleave(3)
        ridge = RIDGE * max(1, len(seen)) * torch.eye(len(rows)).to(rows)
        trust, found = known, rows.new_zeros(len(rows))
        for _ in range(ROUNDS):
            weighted = rows * trust
            found = torch.linalg.solve(weighted @ rows.T + ridge, weighted @ wanted)
            trust = known / (1.0 + ((wanted - found @ rows) / ROBUST) ** 2)
        return found

    def take(self, sites: Tensor, vertices: Tensor) -> "Texture":
        """Of some sites (N,) and vertices (M,)."""
        return Texture(self.mean[sites], self.directions[:, sites], self.offset_m[vertices])

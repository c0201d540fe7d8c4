"""Normal matrices in the shape of an arrow: branches that meet only in a common trunk.

The unknowns of a left hand and of a right hand never occur in the same residual. With the trunk first, the matrix is

    H = [ T   C'  ]     trunk T (t, t), branches D_1, D_2, ... (k, k) each, coupling C (k, t) a branch
        [ C   D   ]

Eliminating the branches first leaves a system of the trunk's size (its Schur complement): S = T - sum W' W with
W = L^-1 C and D = L L'. That is what a Cholesky factorisation of the whole would do as well, without the zeros.

Legend: B rows, P unknowns, t of them in the trunk, n branches of k unknowns each.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrow:
    """Where the branches lie: after the trunk, one behind the other, all of one size."""

    trunk: int
    """t."""
    num_branches: int = 0
    """n."""
    branch: int = 0
    """k."""
    reach: Tensor | None = None
    """(n, r) int64 unknowns of the trunk that each branch meets; None is all of them."""

    @property
    def is_dense(self) -> bool:
        return self.num_branches * self.branch == 0

    def branch_slices(self) -> list[slice]:
        starts = [self.trunk + number * self.branch for number in range(self.num_branches)]
        return [slice(start, start + self.branch) for start in starts]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrowFactor:
    """Cholesky factor of an arrow matrix."""

    arrow: Arrow
    trunk: Tensor
    """(B, t, t) lower factor of the Schur complement."""
    branches: Tensor
    """(B, n, k, k) lower factors L."""
    coupling: Tensor
    """(B, n, k, r) W, columns in the order of the arrow's reach."""
    solvable: Tensor
    """(B,) bool: positive definite."""


def factorise(hessian: Tensor, arrow: Arrow, lift: Tensor | None = None) -> ArrowFactor:
    """Factor of hessian (B, P, P), with `lift` (B, P) added to its diagonal; the input stays as it is."""
    t = arrow.trunk
    trunk = hessian[:, :t, :t].clone()
    if lift is not None:
        trunk.diagonal(dim1=1, dim2=2).add_(lift[:, :t])
    if arrow.is_dense:
        factor, info = torch.linalg.cholesky_ex(trunk)
        none = hessian.new_zeros(len(hessian), 0, 0, 0)
        return ArrowFactor(arrow=arrow, trunk=factor, branches=none, coupling=none, solvable=info == 0)
    slices = arrow.branch_slices()
    blocks = torch.stack([hessian[:, s, s] for s in slices], 1)
    if lift is not None:
        blocks.diagonal(dim1=2, dim2=3).add_(lift[:, t:].unflatten(1, (arrow.num_branches, arrow.branch)))
    branches, branch_info = torch.linalg.cholesky_ex(blocks)
    if arrow.reach is None:
        below = torch.stack([hessian[:, s, :t] for s in slices], 1)
    else:
        below = torch.stack([hessian[:, s, :t].index_select(2, r) for s, r in zip(slices, arrow.reach, strict=True)], 1)
    coupling = torch.linalg.solve_triangular(branches, below, upper=False)
    if arrow.reach is None:
        rows = coupling.flatten(1, 2)
        trunk = torch.baddbmm(trunk, rows.transpose(1, 2), rows, alpha=-1)
    else:
        places = (arrow.reach[:, :, None] * t + arrow.reach[:, None]).flatten()
        taken = (coupling.mT @ coupling).flatten(1)
        trunk.view(len(trunk), -1).scatter_add_(1, places.expand(len(trunk), -1), -taken)
    factor, info = torch.linalg.cholesky_ex(trunk)
    solvable = (info == 0) & (branch_info == 0).all(1)
    return ArrowFactor(arrow=arrow, trunk=factor, branches=branches, coupling=coupling, solvable=solvable)


def solve_factored(factor: ArrowFactor, right: Tensor) -> Tensor:
    """H^-1 right for right sides (B, P)."""
    t, arrow = factor.arrow.trunk, factor.arrow
    column = right[..., None]
    if arrow.is_dense:
        return torch.cholesky_solve(column, factor.trunk).squeeze(-1)
    own = column[:, t:].unflatten(1, (arrow.num_branches, arrow.branch))
    own = torch.linalg.solve_triangular(factor.branches, own, upper=False)
    pull = (factor.coupling.mT @ own).squeeze(-1)
    if arrow.reach is None:
        trunk = right[:, :t] - pull.sum(1)
    else:
        trunk = right[:, :t].scatter_add(1, arrow.reach.flatten().expand(len(right), -1), -pull.flatten(1))
    trunk = torch.cholesky_solve(trunk[..., None], factor.trunk)
    if arrow.reach is None:
        met = trunk[:, None]
    else:
        met = trunk.index_select(1, arrow.reach.flatten()).unflatten(1, (arrow.num_branches, -1))
    own = own - factor.coupling @ met
    own = torch.linalg.solve_triangular(factor.branches.mT, own, upper=True)
    return torch.cat([trunk, own.flatten(1, 2)], 1).squeeze(-1)

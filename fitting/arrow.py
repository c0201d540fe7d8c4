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

    @property
    def num_met(self) -> int:
        """Unknowns of the trunk that a branch meets."""
        return self.trunk if self.reach is None else self.reach.shape[1]

    def branch_slices(self) -> list[slice]:
        starts = [self.trunk + number * self.branch for number in range(self.num_branches)]
        return [slice(start, start + self.branch) for start in starts]


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrowFactor:
    """Cholesky factor of an arrow matrix, each block grown to T, K or R, multiples of `_ALIGNMENT`."""

    arrow: Arrow
    trunk: Tensor
    """(B, T, T) lower factor of the Schur complement."""
    branches: Tensor
    """(B, n, K, K) lower factors L."""
    coupling: Tensor
    """(B, n, K, R) W, columns in the order of the arrow's reach."""
    solvable: Tensor
    """(B,) bool: positive definite."""


_CHUNK = 32
"""Rows whose steps are solved for at once on a CPU."""
_ALIGNMENT = 16
"""LAPACK's kernels work on 64 bytes at once and treat what is before the first such border apart. Blocks are grown to
multiples of it, with ones on the diagonal, so that every person's blocks lie alike and the result does not depend, in
the last bit, on the place in the batch."""


def _grown(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _block(hessian: Tensor, part: slice, lift: Tensor | None, out: Tensor) -> None:
    """Writes a diagonal block of hessian, `lift` added to its diagonal, into zeros (B, K, K), and ones behind it."""
    size = part.stop - part.start
    out[:, :size, :size] = hessian[:, part, part]
    diagonal = out.diagonal(dim1=1, dim2=2)
    diagonal[:, size:] = 1
    if lift is not None:
        diagonal[:, :size] += lift[:, part]


def factorise(hessian: Tensor, arrow: Arrow, lift: Tensor | None = None) -> ArrowFactor:
    """Factor of hessian (B, P, P), with `lift` (B, P) added to its diagonal; the input stays as it is.

    What is no longer needed is let go at once: here a refinement needs the most memory.
    """
    count, t, n, k = len(hessian), arrow.trunk, arrow.num_branches, arrow.branch
    T, K = _grown(t), _grown(k)
    trunk = hessian.new_zeros(count, T, T)
    _block(hessian, slice(0, t), lift, trunk)
    if arrow.is_dense:
        factor, info = torch.linalg.cholesky_ex(trunk)
        none = hessian.new_zeros(count, 0, 0, 0)
        return ArrowFactor(arrow=arrow, trunk=factor, branches=none, coupling=none, solvable=info == 0)
    blocks = hessian.new_zeros(count, n, K, K)
    R = _grown(arrow.num_met)
    below = hessian.new_zeros(count, n, K, R)
    for number, part in enumerate(arrow.branch_slices()):
        _block(hessian, part, lift, blocks[:, number])
        met = hessian[:, part, :t]
        if arrow.reach is not None:
            met = met.index_select(2, arrow.reach[number])
        below[:, number, :k, : arrow.num_met] = met
    branches, branch_info = torch.linalg.cholesky_ex(blocks)
    del blocks
    coupling = torch.linalg.solve_triangular(branches, below, upper=False)
    del below
    taken = coupling.mT @ coupling
    if arrow.reach is None:
        trunk[:, :t, :t] -= taken[:, :, :t, :t].sum(1)
    else:
        # The columns that R has more hold zeros, which may be added anywhere.
        reach = torch.nn.functional.pad(arrow.reach, (0, R - arrow.num_met))
        places = (reach[:, :, None] * T + reach[:, None]).flatten()
        trunk.view(count, -1).scatter_add_(1, places.expand(count, -1), taken.neg_().flatten(1))
    del taken
    factor, info = torch.linalg.cholesky_ex(trunk)
    solvable = (info == 0) & (branch_info == 0).all(1)
    return ArrowFactor(arrow=arrow, trunk=factor, branches=branches, coupling=coupling, solvable=solvable)


def solve_factored(factor: ArrowFactor, right: Tensor) -> Tensor:
    """H^-1 right for right sides (B, P)."""
    arrow, count = factor.arrow, len(right)
    t, n, k, met = arrow.trunk, arrow.num_branches, arrow.branch, arrow.num_met
    trunk = right.new_zeros(count, factor.trunk.shape[1], 1)
    trunk[:, :t, 0] = right[:, :t]
    if arrow.is_dense:
        return torch.cholesky_solve(trunk, factor.trunk)[:, :t, 0]
    own = right.new_zeros(*factor.branches.shape[:3], 1)
    own[:, :, :k, 0] = right[:, t:].unflatten(1, (n, k))
    own = torch.linalg.solve_triangular(factor.branches, own, upper=False)
    pull = (factor.coupling.mT @ own)[:, :, :met, 0]
    if arrow.reach is None:
        trunk[:, :t, 0] -= pull.sum(1)
    else:
        trunk[..., 0].scatter_add_(1, arrow.reach.flatten().expand(count, -1), -pull.flatten(1))
    trunk = torch.cholesky_solve(trunk, factor.trunk)[:, :t]
    reached = right.new_zeros(count, n, factor.coupling.shape[-1], 1)
    if arrow.reach is None:
        reached[:, :, :met] = trunk[:, None]
    else:
        reached[:, :, :met] = trunk.index_select(1, arrow.reach.flatten()).unflatten(1, (n, -1))
    own = own - factor.coupling @ reached
    own = torch.linalg.solve_triangular(factor.branches.mT, own, upper=True)
    return torch.cat([trunk[..., 0], own[:, :, :k, 0].flatten(1)], 1)


def damped_step(
    gradient: Tensor, hessian: Tensor, damping: Tensor, arrow: Arrow | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Solves (H + damping diag H) step = -gradient; on a CPU a few rows at a time, for the sake of memory.

    Returns:
        The step (B, P), the fall of the cost that the model predicts (B,), and which rows could be solved (B,).
        A row without a solution gets a zero step.
    """
    size = _CHUNK if hessian.device.type == "cpu" else len(hessian)
    parts = [
        _damped_step(*part, arrow)
        for part in zip(gradient.split(size), hessian.split(size), damping.split(size), strict=True)
    ]
    step, predicted, solved = zip(*parts, strict=True)
    return torch.cat(step), torch.cat(predicted), torch.cat(solved)


def _damped_step(
    gradient: Tensor, hessian: Tensor, damping: Tensor, arrow: Arrow | None
) -> tuple[Tensor, Tensor, Tensor]:
    """`damped_step` of all rows at once."""
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    lift = damping[:, None] * diagonal.clamp(min=torch.finfo(hessian.dtype).tiny)
    factor = factorise(hessian, arrow or Arrow(trunk=hessian.shape[1]), lift)
    step = solve_factored(factor, -gradient)
    solved = factor.solvable & torch.isfinite(step).all(1)
    step = torch.where(solved[:, None], step, 0.0)
    predicted = (step * (lift * step - gradient)).sum(1)
    return step, predicted, solved

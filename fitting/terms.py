"""The refinement as a least-squares problem: a body, and a list of terms that each add a cost and its derivatives."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from fitting.arrow import Arrow, damped_step
from fitting.forward import Forward
from fitting.sparse_body import SparseBody
from fitting.unknowns import Layout, State, retract


class NormalEquations:
    """Normal equations of B people as one product: [J r]^T [J r] of the residuals r and their Jacobian J.

    The Gauss-Newton matrix and the gradient are parts of it, so that a term adds both with one matrix product. A
    product of a matrix with a vector would depend, in the last bit, on where a person lies in memory; this does not.
    """

    def __init__(self, count: int, size: int, like: Tensor):
        """Zeros for `count` people and P = `size` unknowns, of the type and on the device of `like`."""
        self.augmented = like.new_zeros(count, size + 1, size + 1)
        """(B, P + 1, P + 1); the last row and column belong to the residuals. Only the row is kept complete."""
        self.size = size

    @property
    def hessian(self) -> Tensor:
        """Gauss-Newton matrix (B, P, P): a view."""
        return self.augmented[:, : self.size, : self.size]

    @property
    def gradient(self) -> Tensor:
        """Half the gradient (B, P): a view."""
        return self.augmented[:, self.size, : self.size]

    def add_groups(self, group_columns: list[Tensor], blocks: Iterable[Tensor]) -> None:
        """Adds [J r]^T [J r] of rows [J r] of keypoints, group by group.

        On CUDA the products need full float32: leave TF32 off (`torch.backends.cuda.matmul.allow_tf32`), which is
        PyTorch's default. Its 10-bit mantissa would make J^T J indefinite beside the weakest priors.

        Args:
            group_columns: places (n,) in a step of the columns of each group.
            blocks: (B, N, r, n + 1) of each group, the residuals last.
        """
        flat, last = self.augmented.flatten(1), self.size
        for columns, block in zip(group_columns, blocks, strict=True):
            rows = block.flatten(1, 2)
            own = torch.nn.functional.pad(columns, (0, 1), value=last)
            places = (own[:, None] * (last + 1) + own).flatten()
            flat.scatter_add_(1, places.expand(len(flat), -1), (rows.transpose(1, 2) @ rows).flatten(1))


class Term(Protocol):
    """One residual of the problem, for a batch of people."""

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Sum of (robust) squares (B,)."""
        ...

    def add_to(self, normal: NormalEquations, state: State, forward: Forward) -> None:
        """Adds half the gradient and the Gauss-Newton matrix of the cost, in place."""
        ...

    def take_rows(self, index: Tensor) -> "Term":
        """The same term for some of the people."""
        ...


class JoinsHands:
    """Mark of a term that couples fingers with more than what keypoints of their hand move with, though not with those
    of the other hand."""


class TermSum:
    """A sum of terms over the posed body; what the solver sees."""

    def __init__(self, body: SparseBody, terms: list[Term], free: Tensor | None = None):
        """The body and the terms, all for the same people.

        Fingers may be coupled only with what keypoints of their hand move with (but for terms that `JoinsHands` marks),
        and not with those of the other hand: the solver relies on it.

        Args:
            body: tables.
            terms: the residuals.
            free: (P,) bool, the unknowns that step; the others stay where they are. None: all.
        """
        self.body, self.terms, self.free = body, terms, free
        layout = body.layout
        reach = None if any(isinstance(term, JoinsHands) for term in terms) else body.hand_reach
        self.arrow = Arrow(trunk=layout.num_common, num_branches=2, branch=layout.num_hand, reach=reach)
        self._normal: NormalEquations | None = None

    def evaluate(self, state: State) -> tuple[Tensor, Forward]:
        """Cost (B,) and forward pass."""
        forward = self.body.forward(state)
        return torch.stack([term.cost(state, forward) for term in self.terms], -1).sum(-1), forward

    def linearise(self, state: State, evaluation: Forward) -> tuple[Tensor, Tensor]:
        """Gradient (B, P) and Gauss-Newton matrix (B, P, P); the next call writes into the same memory."""
        if self._normal is None:
            self._normal = NormalEquations(len(state.position), self.body.layout.size, state.position)
        else:
            self._normal.augmented.zero_()
        for term in self.terms:
            term.add_to(self._normal, state, evaluation)
        if self.free is not None:
            held = ~self.free
            self._normal.gradient[:, held] = 0.0
            self._normal.hessian[:, held | held[:, None]] = 0.0
            self._normal.hessian.diagonal(dim1=1, dim2=2)[:, held] = 1.0
        if self.body.layout.has_eyelids:
            _hold_shut_and_open(self._normal, state, self.body.layout)
        return self._normal.gradient, self._normal.hessian

    def damped_step(self, equations: tuple[Tensor, Tensor], damping: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Step (B, P), predicted fall of the cost (B,), whether there is a solution (B,), of what `linearise` gave."""
        return damped_step(*equations, damping, self.arrow)

    def retract(self, state: State, step: Tensor, evaluation: Forward) -> State:
        """The state moved by a step (B, P), the eyelids between open and closed."""
        moved = retract(state, step, evaluation.rotations, self.body.layout)
        return replace(moved, eyelids=moved.eyelids.clamp(0, 1)) if self.body.layout.has_eyelids else moved

    def refresh(self, state: State) -> State:
        """Chooses the outline points again for the current head yaw; the same object when nothing changes.

        On an accelerator always a new one: to ask whether anything changed would be to wait for the device.
        """
        bins = self.body.contour_bin(state)
        if bins.device.type == "cpu" and torch.equal(bins, state.contour_bin):
            return state
        return replace(state, contour_bin=bins)

    def take_rows(self, index: Tensor) -> "TermSum":
        """The problem of some of the people; the memory of this one's equations is let go, they are the larger part."""
        self._normal = None
        return TermSum(self.body, [term.take_rows(index) for term in self.terms], self.free)


def _hold_shut_and_open(normal: NormalEquations, state: State, layout: Layout) -> None:
    """Holds each eyelid that is wide open or closed and whose cost would fall beyond that."""
    gradient, hessian = normal.gradient, normal.hessian
    pull = gradient[:, layout.eyelids]
    held = ((state.eyelids <= 0) & (pull > 0)) | ((state.eyelids >= 1) & (pull < 0))
    free = torch.ones_like(gradient)
    free[:, layout.eyelids] = (~held).to(free)
    gradient *= free
    hessian *= free[:, :, None] * free[:, None]
    hessian.diagonal(dim1=1, dim2=2).add_(1 - free)

"""The refinement as a least-squares problem: a body, and a list of terms that each add a cost and its derivatives."""

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from fitting.arrow import Arrow
from fitting.parameters import State, retract
from fitting.sparse_body import Forward, SparseBody


class Term(Protocol):
    """One residual of the problem, for a batch of people."""

    def cost(self, state: State, forward: Forward) -> Tensor:
        """Sum of (robust) squares (B,)."""
        ...

    def add_normal_equations(self, state: State, forward: Forward, gradient: Tensor, hessian: Tensor) -> None:
        """Adds half the gradient (B, P) and the Gauss-Newton matrix (B, P, P) of the cost, in place."""
        ...

    def take_rows(self, index: Tensor) -> "Term":
        """The same term for some of the people."""
        ...


class BodyProblem:
    """A sum of terms over the posed body; what the solver sees."""

    def __init__(self, body: SparseBody, terms: list[Term]):
        """The body and the terms, all for the same people.

        Only keypoints may couple fingers with anything else, and no term those of two hands: the solver relies on it.
        """
        self.body, self.terms = body, terms
        layout = body.layout
        self.arrow = Arrow(trunk=layout.num_common, num_branches=2, branch=layout.num_hand, reach=body.hand_reach)
        self._buffers: tuple[Tensor, Tensor] | None = None

    def evaluate(self, state: State) -> tuple[Tensor, Forward]:
        """Cost (B,) and forward pass."""
        forward = self.body.forward(state)
        return torch.stack([term.cost(state, forward) for term in self.terms]).sum(0), forward

    def linearise(self, state: State, evaluation: Forward) -> tuple[Tensor, Tensor]:
        """Gradient (B, P) and Gauss-Newton matrix (B, P, P); the next call writes into the same memory."""
        if self._buffers is None:
            B, P = len(state.position), self.body.layout.size
            self._buffers = state.position.new_empty(B, P), state.position.new_empty(B, P, P)
        gradient, hessian = self._buffers
        gradient.zero_()
        hessian.zero_()
        for term in self.terms:
            term.add_normal_equations(state, evaluation, gradient, hessian)
        return gradient, hessian

    def retract(self, state: State, step: Tensor, evaluation: Forward) -> State:
        """The state moved by a step (B, P)."""
        return retract(state, step, evaluation.rotations, self.body.layout)

    def refresh(self, state: State) -> State:
        """Chooses the outline points again for the current head yaw; the same object when nothing changes.

        On an accelerator always a new one: to ask whether anything changed would be to wait for the device.
        """
        bins = self.body.contour_bin(state)
        if bins.device.type == "cpu" and torch.equal(bins, state.contour_bin):
            return state
        return replace(state, contour_bin=bins)

    def take_rows(self, index: Tensor) -> "BodyProblem":
        """The problem of some of the people."""
        return BodyProblem(self.body, [term.take_rows(index) for term in self.terms])

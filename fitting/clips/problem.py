"""A clip as one least-squares problem: the frames' own terms, one shape of the person, and smooth motion.

Steps of rotations are taken to local coordinates, in which frames are coupled by diagonal matrices only; the unknowns
that all frames share border the band of frames (`fitting.clips.banded`), and what is left to them is their Schur
complement.

Legend: F frames, P unknowns, Q of them a frame's own, C shared by all frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fitting.clips.banded import BandFactor, factorise
from fitting.clips.motion import Motion
from fitting.forward import Forward
from fitting.shared import shared_columns
from fitting.terms import TermSum
from fitting.unknowns import COEFFICIENTS_START, State
from model.batches import map_tensors

_MOVED = slice(0, COEFFICIENTS_START)
"""Root, place, body and jaw, which have local coordinates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Equations:
    """Normal equations of a clip, motion left out of the matrices."""

    own: Tensor
    """(F, Q, Q) of the frames' own unknowns, in local coordinates."""
    cross: Tensor
    """(F, Q, C)."""
    shared: Tensor
    """(C, C), summed over frames."""
    gradient: Tensor
    """(F, Q) half the gradient, motion included."""
    shared_gradient: Tensor
    """(C,)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Elimination:
    """A clip's system with the frames eliminated."""

    factor: BandFactor
    """Of the frames."""
    along: Tensor
    """(F, Q, 1 + C): where the frames go with the shared unknowns held, and how they follow each of those, negated."""
    matrix: Tensor
    """(C, C) what is left to the shared unknowns."""


class ClipProblem:
    """F frames of one person. To the solver a clip is one row: it is accepted, damped and done as a whole."""

    def __init__(self, terms: TermSum, motion: Motion, weight: Tensor):
        """The frames' own terms, their motion, and the weights (P,) of its second differences.

        Beliefs about what the frames share belong into their terms in parts that add up to what counts once.
        """
        self.terms, self.motion = terms, motion
        layout, device = terms.body.layout, terms.body.device
        self.shared = shared_columns(layout, terms.body.num_groups).to(device)
        is_own = torch.ones(layout.size, dtype=torch.bool, device=device)
        is_own[self.shared] = False
        self.own = torch.nonzero(is_own).squeeze(1)
        self.weight = weight * is_own

    def weighted(self, weight: Tensor) -> "ClipProblem":
        """The same frames with other weights (P,) of their motion."""
        return ClipProblem(self.terms, self.motion, weight)

    def take_rows(self, index: Tensor) -> "ClipProblem":
        """The clip is the one row there is."""
        return self

    def evaluate(self, state: State) -> tuple[Tensor, Forward]:
        """Cost (1,) and forward pass of all frames."""
        cost, forward = self.terms.evaluate(state)
        return cost.sum()[None] + self.motion.cost(state, self.weight), forward

    def refresh(self, state: State) -> State:
        """Outline points for the current head yaws."""
        return self.terms.refresh(state)

    def linearise(self, state: State, evaluation: Forward) -> Equations:
        """Normal equations at a state."""
        return self._equations(state, *self._frames(state, evaluation))

    def _frames(self, state: State, forward: Forward) -> tuple[Tensor, Tensor]:
        """Gradients (F, P) and normal matrices (F, P, P) of the frames' own terms, in local coordinates."""
        gradient, hessian = self.terms.linearise(state, forward)
        change = self.motion.from_local(forward).transpose(-1, -2)
        gradient[:, _MOVED] = _changed(change, gradient[:, _MOVED, None]).squeeze(-1)
        _change(hessian, change)
        return gradient, hessian

    def _equations(self, state: State, gradient: Tensor, hessian: Tensor) -> Equations:
        rows = hessian[:, self.own]
        moved = gradient + self.motion.gradient(state, self.weight)
        return Equations(
            own=rows[:, :, self.own],
            cross=rows[:, :, self.shared],
            shared=hessian[:, self.shared[:, None], self.shared].sum(0),
            gradient=moved[:, self.own],
            shared_gradient=moved[:, self.shared].sum(0),
        )

    def eliminate(self, equations: Equations, lift: Tensor, shared_lift: Tensor) -> Elimination:
        """The frames eliminated, with `lift` (F, Q) and `shared_lift` (C,) added to the diagonals."""
        exact, usual = self.motion.number_type(lift.dtype), lift.dtype
        weight = self.weight[self.own].to(exact)
        factor = factorise(equations.own.to(exact), lift.to(exact), self.motion.band, weight)
        right = torch.cat([-equations.gradient[..., None], equations.cross], -1)
        along = factor.solve(right.to(exact)).to(usual)
        matrix = equations.shared + torch.diag(shared_lift)
        matrix = matrix - (equations.cross.mT @ along[..., 1:]).sum(0)
        return Elimination(factor=factor, along=along, matrix=(matrix + matrix.mT) / 2)

    def damped_step(self, equations: Equations, damping: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
        """Steps of the frames (F, Q), in local coordinates, and of what they share (C,)."""
        lift = damping * equations.own.diagonal(dim1=1, dim2=2)
        shared_lift = damping * equations.shared.diagonal()
        left = self.eliminate(equations, lift, shared_lift)
        ahead = left.along[..., 0]
        pull = -equations.shared_gradient - (equations.cross * ahead[..., None]).sum((0, 1))
        shared, flaw = torch.linalg.solve_ex(left.matrix, pull)
        step = ahead - left.along[..., 1:] @ shared
        solved = left.factor.solvable & (flaw == 0) & torch.isfinite(step).all()
        step, shared = torch.where(solved, step, 0.0), torch.where(solved, shared, 0.0)
        predicted = (step * (lift * step - equations.gradient)).sum()
        predicted = predicted + (shared * (shared_lift * shared - equations.shared_gradient)).sum()
        return (step, shared), predicted[None], solved[None]

    def shared_information(self, state: State, forward: Forward) -> Tensor:
        """What the clip says about what its frames share, beliefs included: (C, C), all else eliminated."""
        return self._undamped(self.linearise(state, forward)).matrix

    def _undamped(self, equations: Equations) -> Elimination:
        nothing = torch.zeros_like(equations.gradient), torch.zeros_like(equations.shared_gradient)
        return self.eliminate(equations, *nothing)

    def informed(self, state: State, forward: Forward, share: float, belief: Tensor) -> Tensor:
        """Normal matrices (F, P, P) of single frames to which the other frames, eliminated, are added in part.

        Steps are those of the frames' own terms.

        Args:
            state: of the result.
            forward: the same, posed.
            share: of what the other frames say that counts.
            belief: (F, C) precision of what a frame by itself believes of what all share, above its part in the clip.
        """
        gradient, alone = self._frames(state, forward)
        equations = self._equations(state, gradient, alone)
        alone[:, self.shared, self.shared] += belief
        change = torch.linalg.inv(self.motion.from_local(forward)).transpose(-1, -2)
        matrix = self._with_others(equations, alone, share, change)
        if (torch.linalg.cholesky_ex(matrix).info != 0).any():
            # Of a frame that shows little 32 bits may leave nothing beside the smoothness.
            exact = map_tensors(equations, torch.Tensor.double)
            matrix = self._with_others(exact, alone.double(), share, change.double()).to(matrix)
        return matrix

    def _with_others(self, equations: Equations, alone: Tensor, share: float, change: Tensor) -> Tensor:
        """Normal matrices of frames `alone` with the others added in part, in steps that `change` turns into theirs."""
        left = self._undamped(equations)
        # Their inverses span what 32 bits cannot, where a frame shows little.
        factor, info = torch.linalg.cholesky_ex(left.factor.covariances().double())
        is_sound = (info == 0)[:, None, None]
        factor = torch.where(is_sound, factor, torch.eye(factor.shape[-1]).to(factor))
        known, follow = torch.cholesky_inverse(factor).to(alone), left.along[..., 1:]
        cross = known @ follow
        matrix = torch.zeros_like(alone)
        matrix[:, self.own[:, None], self.own] = known
        matrix[:, self.own[:, None], self.shared] = cross
        matrix[:, self.shared[:, None], self.own] = cross.mT
        matrix[:, self.shared[:, None], self.shared] = left.matrix + follow.mT @ cross
        matrix = torch.where(is_sound, torch.lerp(alone, matrix, share), alone)
        _change(matrix, change)
        return matrix

    def retract(self, state: State, step: tuple[Tensor, Tensor], evaluation: Forward) -> State:
        """The state moved by steps of frames and of what they share."""
        own, shared = step
        full = own.new_zeros(len(own), self.terms.body.layout.size)
        full[:, self.own], full[:, self.shared] = own, shared
        full[:, _MOVED] = _changed(self.motion.from_local(evaluation), full[:, _MOVED, None]).squeeze(-1)
        return self.terms.retract(state, full, evaluation)


def _changed(change: Tensor, rows: Tensor) -> Tensor:
    """Rows (F, 72, n) by changes of coordinates (F, 24, 3, 3) of every three."""
    return (change @ rows.unflatten(1, (-1, 3))).flatten(1, 2)


def _change(matrix: Tensor, change: Tensor) -> None:
    """Changes the coordinates of the first unknowns of symmetric matrices (F, P, P), in place."""
    for side in (matrix, matrix.mT):
        side[:, _MOVED] = _changed(change, side[:, _MOVED])

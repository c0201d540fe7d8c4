"""How unevenly a person moves: second differences over time of all unknowns, weighted against what is usual.

Velocities are differences of neighbouring frames over the time between them, of rotations the logarithm of the turn
from one to the next; a second difference is the change of velocity at a frame. In local coordinates, in which a joint's
rotation R becomes R exp(e), the Gauss-Newton matrix is taken as that of plain differences, K (x) diag(w): frames are
coupled by diagonal matrices. The gradient is exact. Places are compared as one camera sees them, along its rays and in
depth, of which it knows less; where several cameras see the person, in metres of the world.

The weight of a second difference is the time it stands for, so that the cost is an integral over time and does not
depend on the rate of frames. Where frames are 1/30 s apart it is x_t+1 - 2 x_t + x_t-1.

Legend: F frames, P unknowns.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from fitting import so3
from fitting.clips.banded import Band
from fitting.forward import Forward
from fitting.uncertainty import place_derivative
from fitting.unknowns import BODY, JAW, NUM_TURNED, POSITION, ROOT, Layout, State, linear_coordinates
from model.imaging.camera import position_to_transl

UNIT_S = 1 / 30
"""Time between frames for which second differences are stated."""


def local_rotations(state: State) -> Tensor:
    """(F, 23, 3, 3) of root, body and jaw, in the order of a step."""
    return torch.cat([state.global_orient[:, None], state.body_pose, state.jaw_pose[:, None]], 1)


def rotation_columns(device: torch.device) -> Tensor:
    """Places (69,) in a step of the turns of root, body and jaw."""
    parts = (ROOT, BODY, JAW)
    return torch.cat([torch.arange(part.start, part.stop, device=device) for part in parts])


@dataclass(frozen=True, kw_only=True, slots=True)
class ToWorld:
    """From the camera's frame of each of F frames to one that all have in common: X_world = turn X + shift."""

    turn: Tensor
    """(F, 3, 3)."""
    shift_m: Tensor
    """(F, 3)."""


@dataclass(frozen=True)
class Motion:
    """Second differences of frames at given times."""

    layout: Layout
    """Places of the unknowns."""
    time_s: Tensor
    """(F,) of the frames, rising."""
    world: ToWorld | None = None
    """Where the cameras of the frames stand; None where it is one camera's frame in which motion is smooth."""

    @cached_property
    def _gains(self) -> tuple[Tensor, Tensor]:
        """Factors (F - 2,) of the differences before and after each frame but the first and the last."""
        step = self.time_s.diff() / UNIT_S
        middle = (step[:-1] + step[1:]) / 2
        scale = middle.rsqrt()  # 1 / middle, and the root of the time that it stands for
        return scale / step[:-1], scale / step[1:]

    def number_type(self, usual: torch.dtype) -> torch.dtype:
        """In which the frames are solved for: the closer they are, the more smoothness outweighs what each shows."""
        is_dense = bool((self.time_s.diff() < UNIT_S / 3).any())
        return torch.float64 if is_dense else usual

    def far_apart(self, among: Tensor) -> Tensor:
        """(F,) bool: of the frames `among` (F,) those that are about `UNIT_S` apart, or more."""
        chosen, last = torch.zeros_like(among), -torch.inf
        for frame in torch.nonzero(among).flatten().tolist():
            if float(self.time_s[frame]) - last > 0.9 * UNIT_S:
                chosen[frame], last = True, float(self.time_s[frame])
        return chosen

    @cached_property
    def band(self) -> Band:
        """K of the second differences."""
        before, after = self._gains
        count = len(self.time_s)
        rows = self.time_s.new_zeros(max(count - 2, 0), count)
        rows.diagonal()[:] = before
        rows.diagonal(1)[:] = -(before + after)
        rows.diagonal(2)[:] = after
        return Band.of(rows)

    def _steps(self, state: State) -> Tensor:
        """Differences (F - 1, P) of neighbouring frames."""
        flat = linear_coordinates(state, self.layout)
        if self.world is not None:
            state = replace(state, global_orient=self.world.turn @ state.global_orient)
            place = (self.world.turn @ position_to_transl(state.position)[..., None]).squeeze(-1)
            flat[:, POSITION] = place + self.world.shift_m
        rotation = local_rotations(state)
        turn = so3.log(rotation[:-1].transpose(-1, -2) @ rotation[1:])
        step = flat.diff(dim=0)
        step[:, rotation_columns(step.device)] = turn.flatten(1)
        return step

    def residual(self, state: State) -> Tensor:
        """Second differences (F - 2, P)."""
        return self._second(self._steps(state))

    def _second(self, steps: Tensor) -> Tensor:
        before, after = (gain.to(steps)[:, None] for gain in self._gains)
        return after * steps[1:] - before * steps[:-1]

    def from_local(self, forward: Forward) -> Tensor:
        """Steps of the solver by local ones (F, 24, 3, 3): of root, place, body and jaw, the first 72 unknowns."""
        turns = forward.rotations[:, :NUM_TURNED]
        if self.world is None:
            place = torch.eye(3, dtype=turns.dtype, device=turns.device).expand(len(turns), 3, 3)
        else:
            place = torch.linalg.inv(self.world.turn @ place_derivative(forward))
        return torch.cat([turns[:, :1], place[:, None], turns[:, 1:]], 1)

    def cost(self, state: State, weight: Tensor) -> Tensor:
        """() weighted sum of squares, for weights (P,)."""
        return (weight * self.residual(state).square()).sum()

    def gradient(self, state: State, weight: Tensor) -> Tensor:
        """Half the gradient (F, P) of the cost in local coordinates."""
        steps = self._steps(state)
        second = self._second(steps) * weight
        before, after = (gain.to(steps)[:, None] for gain in self._gains)
        pull = torch.zeros_like(steps)
        pull[1:] += after * second
        pull[:-1] -= before * second
        # A turn e of the later frame moves the logarithm by Jr^-1 e, one of the earlier frame by -Jr^-1' e.
        columns = rotation_columns(steps.device)
        inverse = so3.right_jacobian_inverse(steps[:, columns].unflatten(1, (NUM_TURNED, 3)))
        turns = pull[:, columns].unflatten(1, (NUM_TURNED, 3))[..., None]
        later, earlier = pull.clone(), pull.clone()
        later[:, columns] = (inverse.transpose(-1, -2) @ turns).flatten(1)
        earlier[:, columns] = (inverse @ turns).flatten(1)
        gradient = pull.new_zeros(len(state.position), pull.shape[1])
        gradient[1:] += later
        gradient[:-1] -= earlier
        return gradient

"""The unknowns of one person and the layout of a step of them.

A state is a point on the manifold of poses; a step is a flat vector (B, P) of tangent coordinates:

    root 3 | position 3 | body 63 | jaw 3 | coefficients C | log head scale 3 | eyelids E | left hand K | right hand K

Of the hands' 45 coordinates a layout may step the first K only, and of the eyelids both or none; the others then stay
where they are.

Rotation steps are world-frame left perturbations: the global rotation G_j of a joint becomes exp(d) G_j while the
local rotations of all its descendants stay. Hands step in PCA coordinates.
"""

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from fitting import so3
from fitting.carried import Carried
from fitting.inputs import Coarse
from model.body import skeleton

NUM_TURNED = skeleton.JAW + 1
"""Root, 21 body joints and jaw: the joints that step as rotations (SMPL-X joints 0..22)."""
HAND_DIM = 45
"""PCA coordinates of one hand."""
ROOT, POSITION, BODY, JAW = slice(0, 3), slice(3, 6), slice(6, 69), slice(69, 72)
COEFFICIENTS_START = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """Pose, shape and place of B people."""

    global_orient: Tensor
    """(B, 3, 3) pelvis rotation in the camera frame."""
    body_pose: Tensor
    """(B, 21, 3, 3) local rotations of SMPL-X joints 1..21."""
    jaw_pose: Tensor
    """(B, 3, 3)."""
    hand_pca: Tensor
    """(B, 2, 45) left, right; coordinates about the mean hand."""
    coefficients: Tensor
    """(B, C) betas, then FLAME expression, then FLAME shape."""
    log_head_scale: Tensor
    """(B, 3)."""
    position: Tensor
    """(B, 3) pelvis: x/z, y/z, log z."""
    eye_pose: Tensor
    """(B, 2, 3, 3); not optimised."""
    eyelids: Tensor
    """(B, 2) 0 open .. 1 closed."""
    contour_bin: Tensor
    """(B,) int64 row of the contour tables that the face outline uses; a discrete choice, refreshed now and then."""
    carried: Carried | None = None
    """Coefficients that are not optimised, beyond those above; None where there are none."""

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the state."""
        return self.position.dtype


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where each group of unknowns lies in a step."""

    num_coefficients: int
    """Number of linear coefficients C: shape, expression and what else moves points by plain addition."""
    num_hand: int = HAND_DIM
    """Number of PCA coordinates K of each hand that step, 0..45."""
    has_eyelids: bool = False
    """Whether the two eyelids step."""

    def __post_init__(self) -> None:
        if not 0 <= self.num_hand <= HAND_DIM:
            raise ValueError(f"a hand steps 0..{HAND_DIM} coordinates, got {self.num_hand}")

    @property
    def coefficients(self) -> slice:
        return slice(COEFFICIENTS_START, COEFFICIENTS_START + self.num_coefficients)

    @property
    def log_head_scale(self) -> slice:
        return slice(self.coefficients.stop, self.coefficients.stop + 3)

    @property
    def eyelids(self) -> slice:
        return slice(self.log_head_scale.stop, self.num_common)

    @property
    def num_common(self) -> int:
        """Unknowns that any keypoint may depend on: all but the fingers."""
        return self.log_head_scale.stop + 2 * self.has_eyelids

    @property
    def hands(self) -> slice:
        return slice(self.num_common, self.size)

    def hand(self, side: int) -> slice:
        """Stepped coordinates of the left (0) or right (1) hand."""
        start = self.num_common + side * self.num_hand
        return slice(start, start + self.num_hand)

    @property
    def size(self) -> int:
        """Length P of a step."""
        return self.num_common + 2 * self.num_hand


def own_parameters(people: Coarse | State) -> dict[str, Tensor]:
    """The parameters that coarse estimates and a state have under one name."""
    names = (field.name for field in dataclasses.fields(State))
    return {name: getattr(people, name) for name in names if name in LABEL_PARAMETERS}


def turned_rad(before: State, after: State) -> Tensor:
    """Angle (B, 22) between the local rotations of root and body joints of two states."""
    root = so3.angle_between(before.global_orient, after.global_orient)
    return torch.cat([root[:, None], so3.angle_between(before.body_pose, after.body_pose)], 1)


def linear_coordinates(state: State, layout: Layout) -> Tensor:
    """The additive unknowns of a state in the places of a step (B, P); zeros where rotations stand."""
    flat = state.position.new_zeros(len(state.position), layout.size)
    flat[:, POSITION] = state.position
    flat[:, layout.coefficients] = state.coefficients
    flat[:, layout.log_head_scale] = state.log_head_scale
    flat[:, layout.eyelids] = state.eyelids[:, : 2 * layout.has_eyelids]
    flat[:, layout.hands] = state.hand_pca[:, :, : layout.num_hand].flatten(1)
    return flat


def retract(state: State, step: Tensor, rotations: Tensor, layout: Layout) -> State:
    """Moves a state by a step (B, P).

    Args:
        state: where to start.
        step: tangent coordinates in the order of `Layout`.
        rotations: (B, J, 3, 3) global joint rotations of the state.
        layout: places of the groups.
    """
    world = torch.cat([step[:, ROOT], step[:, BODY], step[:, JAW]], 1).unflatten(1, (NUM_TURNED, 3))
    # G^T d, summed over the rows of G, with the people last in memory as the forward pass made it.
    local = (rotations[:, :NUM_TURNED].movedim(0, -1) * world.movedim(0, -1)[:, :, None]).sum(1)
    turn = torch.stack(so3.exp_entries(*local.unbind(1)), 1).unflatten(1, (3, 3))
    before = torch.cat([state.global_orient[:, None], state.body_pose, state.jaw_pose[:, None]], 1).movedim(0, -1)
    after = so3.product_last(before.contiguous(), turn).movedim(-1, 0)
    fingers = step[:, layout.hands].unflatten(1, (2, layout.num_hand))
    return State(
        global_orient=after[:, 0],
        body_pose=after[:, 1:22],
        jaw_pose=after[:, 22],
        hand_pca=state.hand_pca + F.pad(fingers, (0, HAND_DIM - layout.num_hand)),
        coefficients=state.coefficients + step[:, layout.coefficients],
        log_head_scale=state.log_head_scale + step[:, layout.log_head_scale],
        position=state.position + step[:, POSITION],
        eye_pose=state.eye_pose,
        eyelids=state.eyelids + step[:, layout.eyelids] if layout.has_eyelids else state.eyelids,
        contour_bin=state.contour_bin,
        carried=state.carried,
    )

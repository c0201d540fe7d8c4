"""Lays the rest surface of SMPL-X on that of SMPL: a robust least-squares problem over pose, shape and place.

Shapes: N matched vertices, 21 body joints, S and S' shape coefficients of SMPL-X and SMPL, P = 63 + S + 3
parameters. Metres, radians, rest frame (y up).
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fitting import so3
from fitting.arrow import damped_step
from model.body import skeleton
from model.body.assets import BodyAssets
from model.body.skinned import SkinnedBody
from model.body.surface_map import SurfaceMap

NUM_JOINTS = skeleton.NUM_BODY_JOINTS
NUM_SMPL_BETAS = 10
_NUM_TURNS = 3 * NUM_JOINTS
_DIRECTIONS_AT_ONCE = 8
"""Derivatives that are propagated together: more are no faster and take more memory."""
_LIMB_JOINTS = [
    skeleton.SMPLX_JOINT_NAMES.index(f"{side}_{part}")
    for side in ("left", "right")
    for part in ("hip", "knee", "ankle", "foot", "shoulder", "elbow")
]
_UNMATCHED_JOINTS = [
    *skeleton.SMPLX_HEAD_JOINTS,
    *skeleton.WRISTS,
    *range(skeleton.SMPLX_LEFT_HAND.start, skeleton.NUM_SMPLX_JOINTS),
]
"""Head, eyes and hands: the two models differ there in shape, not in pose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignConfig:
    """How the rest surfaces are aligned."""

    num_betas: int = 10
    """Shape coefficients of SMPL-X that SMPL's are mapped to; fewer where the model has fewer."""
    num_align_betas: int = 40
    """Shape coefficients that move while the pose is found: what shape cannot explain, pose would."""
    limb_weight: float = 3.0
    """Weight of a limb vertex relative to one of the trunk."""
    robust_m: float = 0.003
    """Distance beyond which a vertex counts linearly rather than by its square."""
    limb_prior_m: float = 3e-4
    """Root mean square distance that a limb joint turned by one radian is as bad as."""
    trunk_prior_m: float = 1e-3
    """The same for spine, neck, collars, head and wrists. These hardly show on the surface, or on a part that is left
    out: with less, misfit of two millimetres turns collar against shoulder by ten degrees."""
    shape_prior_m: float = 5e-5
    """The same for one unit of a shape coefficient."""

    def __post_init__(self) -> None:
        for name in (
            "num_betas",
            "num_align_betas",
            "limb_weight",
            "robust_m",
            "limb_prior_m",
            "trunk_prior_m",
            "shape_prior_m",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")


def vertex_weights(smplx: BodyAssets, limb_weight: float) -> NDArray[np.float64]:
    """(V,) weight of each SMPL-X vertex: 0 where most of its skin hangs on head, eyes or hands, more on the limbs."""
    of_joint = np.ones(smplx.num_joints)
    of_joint[_LIMB_JOINTS] = limb_weight
    of_joint[_UNMATCHED_JOINTS] = 0
    skin = smplx.skin_weights.astype(np.float64)
    return np.where(skin[:, _UNMATCHED_JOINTS].sum(1) > 0.5, 0, skin @ of_joint)


def surface_points(surface: SurfaceMap, smpl_vertices: Tensor) -> Tensor:
    """Counterparts (..., N, 3) of the matched SMPL-X vertices on a SMPL mesh (..., V, 3), posed or not."""
    weights = torch.as_tensor(surface.smpl_weights).to(smpl_vertices)
    return (smpl_vertices[..., torch.as_tensor(surface.smpl_ids), :] * weights[..., None]).sum(-2)


@dataclass(frozen=True, kw_only=True, slots=True)
class RestState:
    """SMPL-X in a pose near its rest."""

    rotations: Tensor
    """(1, 21, 3, 3)."""
    betas: Tensor
    """(1, S)."""
    transl: Tensor
    """(1, 3) of the pelvis joint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestProblem:
    """One row for `fitting.solver`. A step is 63 right-hand rotation vectors, S shape coefficients, 3 of place."""

    body: SkinnedBody
    """With the matched vertices only."""
    target: Tensor
    """(N, 3) where SMPL has these vertices."""
    target_dirs: Tensor
    """(N, 3, S') how the shape of SMPL moves them."""
    weights: Tensor
    """(N,) sum to 1."""
    config: AlignConfig

    def in_pose(self, rotations: Tensor | None = None) -> RestState:
        """The state of a pose (1, 21, 3, 3), or of rest, with shape and place by linear least squares."""
        if rotations is None:
            rotations = torch.eye(3, dtype=self.target.dtype).expand(1, NUM_JOINTS, 3, 3)
        betas, transl = self.target.new_zeros(1, self.body.num_betas), self.target[:1]
        state = RestState(rotations=rotations, betas=betas, transl=transl)
        change = self._shape_and_place_for(state, (self.target - self.points(state))[..., None]).T
        return dataclasses.replace(state, betas=change[:, :-3], transl=transl + change[:, -3:])

    def points(self, state: RestState) -> Tensor:
        """(N, 3) the matched vertices."""
        return self.body(body_pose=state.rotations, betas=state.betas, transl=state.transl).vertices[0]

    def mean_distance(self, state: RestState) -> float:
        """Mean distance of the matched vertices, m."""
        return float((self.points(state) - self.target).norm(dim=-1).mean())

    def evaluate(self, state: RestState) -> tuple[Tensor, None]:
        """Weighted pseudo-Huber cost of the distances, and the priors."""
        robust_sq = self.config.robust_m**2
        distance_sq = (self.points(state) - self.target).square().sum(-1)
        data = 2 * robust_sq * ((1 + distance_sq / robust_sq).sqrt() - 1) @ self.weights
        return (data + (self._prior_weights() * self._prior_values(state).square()).sum())[None], None

    def linearise(self, state: RestState, evaluation: None, needed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Gradient and Gauss-Newton matrix of half the cost, the robust weights held."""
        offset = self.points(state) - self.target
        scale = self.weights / (1 + offset.square().sum(-1) / self.config.robust_m**2).sqrt()
        jacobian = self._jacobian(state)
        weighted = jacobian * scale[:, None, None]
        prior = self._prior_weights()
        gradient = torch.einsum("ncp,nc->p", weighted, offset) + prior * self._prior_values(state)
        hessian = torch.einsum("ncp,ncq->pq", weighted, jacobian) + prior.diag()
        return gradient[None], hessian[None]

    def damped_step(self, equations: tuple[Tensor, Tensor], damping: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The step (1, P) of a full matrix."""
        return damped_step(*equations, damping)

    def retract(self, state: RestState, step: Tensor, evaluation: None) -> RestState:
        """The state moved by a step (1, P)."""
        turn, betas, transl = step.split([_NUM_TURNS, self.body.num_betas, 3], dim=1)
        rotations = state.rotations @ so3.exp(turn.unflatten(1, (NUM_JOINTS, 3)))
        return RestState(rotations=rotations, betas=state.betas + betas, transl=state.transl + transl)

    def refresh(self, state: RestState) -> RestState:
        """Nothing here is discrete."""
        return state

    def take_rows(self, index: Tensor) -> "RestProblem":
        """There is one row."""
        return self

    def shape_map(self, state: RestState) -> Tensor:
        """(S, S') change of the SMPL-X shape that moves the matched vertices as one unit of each SMPL coefficient."""
        return self._shape_and_place_for(state, self.target_dirs)[:-3]

    def _shape_and_place_for(self, state: RestState, displacement: Tensor) -> Tensor:
        """Changes of shape and place (S + 3, K) that move the matched vertices as nearly as can be by (N, 3, K).

        With the pose held the vertices are linear in shape and place, so one solve is exact.
        """
        columns = self._jacobian(state, first=_NUM_TURNS).flatten(0, 1)
        scaled = columns * self.weights.repeat_interleave(3)[:, None]
        normal = scaled.T @ columns + self._prior_weights()[_NUM_TURNS:].diag()
        return torch.linalg.solve(normal, scaled.T @ displacement.flatten(0, 1))

    def _jacobian(self, state: RestState, first: int = 0) -> Tensor:
        """(N, 3, P - first) derivatives of the matched vertices by the parts of a step from `first` on."""
        zero = self.target.new_zeros(_NUM_TURNS + self.body.num_betas + 3)

        def moved(step: Tensor) -> Tensor:
            return self.points(self.retract(state, step[None], None))

        def derivative(direction: Tensor) -> Tensor:
            return torch.func.jvp(moved, (zero,), (direction,))[1]

        directions = torch.eye(len(zero), dtype=zero.dtype)[first:]
        return torch.func.vmap(derivative, out_dims=-1, chunk_size=_DIRECTIONS_AT_ONCE)(directions)

    def _prior_weights(self) -> Tensor:
        """(P,) factors of the squared parameters."""
        turns = self.target.new_full((NUM_JOINTS,), self.config.trunk_prior_m)
        turns[[joint - 1 for joint in _LIMB_JOINTS]] = self.config.limb_prior_m
        betas = self.target.new_full((self.body.num_betas,), self.config.shape_prior_m)
        return torch.cat([turns.repeat_interleave(3), betas, self.target.new_zeros(3)]).square()

    def _prior_values(self, state: RestState) -> Tensor:
        rotvec = so3.log(state.rotations[0]).flatten()
        return torch.cat([rotvec, state.betas[0], torch.zeros_like(state.transl[0])])


def rest_problem(
    smpl: BodyAssets, smplx: BodyAssets, surface: SurfaceMap, config: AlignConfig, num_betas: int
) -> RestProblem:
    """The problem over the vertices that count, with `num_betas` shape coefficients or as many as there are."""
    weights = vertex_weights(smplx, config.limb_weight)[surface.smplx_ids]
    kept = np.flatnonzero(weights > 0)
    if len(kept) == 0:
        raise ValueError(f"The surface map matches no vertex of trunk or limbs of {smplx.name}.")
    used = SurfaceMap(
        smplx_ids=surface.smplx_ids[kept], smpl_ids=surface.smpl_ids[kept], smpl_weights=surface.smpl_weights[kept]
    )
    template, dirs = (
        torch.from_numpy(array.astype(np.float64)) for array in (smpl.v_template, smpl.shapedirs[..., :NUM_SMPL_BETAS])
    )
    body = SkinnedBody(smplx, num_betas=min(num_betas, smplx.shapedirs.shape[-1]), num_expression=0).double()
    body.keep_vertices(torch.from_numpy(used.smplx_ids))
    return RestProblem(
        body=body,
        target=surface_points(used, template),
        target_dirs=surface_points(used, dirs.movedim(-1, 0)).movedim(0, -1),
        weights=torch.from_numpy(weights[kept] / weights[kept].sum()),
        config=config,
    )

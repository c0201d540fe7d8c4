"""Delta-theta: SMPL body poses become SMPL-X body poses by aligning the two rest surfaces.

SMPL and SMPL-X rest in slightly different poses, so a copied pose leaves arms and legs a few degrees off. SMPL-X is
posed here so that its surface meets SMPL's at rest; the rotations found, A_j in the model frame, say how part j of
SMPL-X has to be turned to lie on part j of SMPL, and carry any pose over:

    conjugate   R'_j = A_parent(j)^T R_j A_j       part j of SMPL-X is turned like part j of SMPL, for any pose
    additive    rotvec'_j = rotvec_j + dtheta_j    paper eq. 9; dtheta_j = log(A_parent(j)^T A_j); first order only
    copy        R'_j = R_j                         for comparison

The pelvis keeps its rotation (`global_orient` is copied, A_pelvis = I). Skeletons are not compared: the joints of the
two models sit at other places inside the same flesh.

Shapes: B any batch, 21 body joints (SMPL-X joints 1..21), N matched vertices, S and S' shape coefficients of SMPL-X and
SMPL. Metres, radians, rest frame (y up).
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fitting import so3
from fitting.rest_alignment import NUM_JOINTS, AlignConfig, rest_problem
from fitting.settings import Composition, SolverConfig
from fitting.solver import solve
from model.body import skeleton
from model.body.assets import BodyAssets
from model.body.surface_map import SurfaceMap

_FORMAT = 1
_PARENTS = list(skeleton.SMPLX_PARENTS[1 : NUM_JOINTS + 1])


@dataclass(frozen=True, kw_only=True, slots=True)
class DeltaTheta:
    """What carries SMPL parameters over to SMPL-X. Arrays are float64."""

    key: str
    """Hash of everything it was computed from; see `cache_key`."""
    smpl_sha256: str
    """Hash of the SMPL body."""
    smplx_sha256: str
    """Hash of the SMPL-X body."""
    surface_sha256: str
    """Hash of the correspondence."""
    alignment: NDArray[np.float64]
    """(22, 3, 3) A_j of pelvis and body joints; the first is the identity."""
    dtheta_rad: NDArray[np.float64]
    """(21, 3) the pose of SMPL-X that is SMPL's rest pose, axis-angle."""
    betas_offset: NDArray[np.float64]
    """(S,) SMPL-X shape of the average SMPL body."""
    betas_matrix: NDArray[np.float64]
    """(S, S') change of the SMPL-X shape per unit of each SMPL coefficient."""
    smpl_pelvis_m: NDArray[np.float64]
    """(3, 1 + S') rest pelvis of SMPL: at zero shape, then per unit of each coefficient."""
    smplx_pelvis_m: NDArray[np.float64]
    """(3, 1 + S) the same of SMPL-X."""
    pelvis_offset_m: NDArray[np.float64]
    """(3,) from the pelvis joint of SMPL to that of SMPL-X inside the aligned rest surfaces."""
    copied_error_m: float
    """Mean distance of matched vertices at rest with the pose copied, shape and place fitted."""
    aligned_error_m: float
    """The same after alignment."""

    def __post_init__(self) -> None:
        num_betas, num_smpl = len(self.betas_offset), self.betas_matrix.shape[-1]
        expected = {
            "alignment": (NUM_JOINTS + 1, 3, 3),
            "dtheta_rad": (NUM_JOINTS, 3),
            "betas_offset": (num_betas,),
            "betas_matrix": (num_betas, num_smpl),
            "smpl_pelvis_m": (3, 1 + num_smpl),
            "smplx_pelvis_m": (3, 1 + num_betas),
            "pelvis_offset_m": (3,),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"delta-theta: {name} has shape {array.shape} or NaN, expected finite {shape}.")

    def apply(self, smpl_pose: Tensor, composition: Composition = "conjugate") -> Tensor:
        """SMPL body pose -> SMPL-X body pose; `global_orient` is to be copied.

        Args:
            smpl_pose: (..., 23, 3, 3), or (..., 21, 3, 3) without SMPL's two hand joints, which SMPL-X lacks.
            composition: see the head of this file.

        Returns:
            (..., 21, 3, 3).
        """
        if smpl_pose.shape[-2:] != (3, 3) or smpl_pose.dim() < 3 or smpl_pose.shape[-3] not in (NUM_JOINTS, 23):
            raise ValueError(f"smpl_pose has shape {tuple(smpl_pose.shape)}, expected (..., 23 or 21, 3, 3).")
        pose = smpl_pose[..., :NUM_JOINTS, :, :]
        if composition == "copy":
            return pose
        if composition == "additive":
            return so3.exp(so3.log(pose) + _like(self.dtheta_rad, pose))
        if composition == "conjugate":
            alignment = _like(self.alignment, pose)
            return alignment[_PARENTS].transpose(-1, -2) @ pose @ alignment[1:]
        raise ValueError(f"composition must be conjugate, additive or copy, got {composition!r}.")

    def smpl_pose(self, smplx_pose: Tensor) -> Tensor:
        """SMPL-X body pose (..., 21, 3, 3) -> SMPL body pose, the inverse of the composition `conjugate`."""
        alignment = _like(self.alignment, smplx_pose)
        return alignment[_PARENTS] @ smplx_pose @ alignment[1:].transpose(-1, -2)

    def smpl_betas(self, smplx_betas: Tensor) -> Tensor:
        """SMPL-X shape (..., S'' <= S) -> the SMPL shape (..., S') that `betas` brings nearest to it."""
        missing = len(self.betas_offset) - smplx_betas.shape[-1]
        centred = torch.nn.functional.pad(smplx_betas, (0, missing)) - _like(self.betas_offset, smplx_betas)
        return centred @ torch.linalg.pinv(_like(self.betas_matrix, smplx_betas)).mT

    def betas(self, smpl_betas: Tensor) -> Tensor:
        """SMPL shape (..., S'' <= S') -> SMPL-X shape (..., S): coefficients of one space mean nothing in the other."""
        num = smpl_betas.shape[-1]
        if num > self.betas_matrix.shape[1]:
            raise ValueError(f"smpl_betas has {num} coefficients, at most {self.betas_matrix.shape[1]} are mapped.")
        return _like(self.betas_offset, smpl_betas) + smpl_betas @ _like(self.betas_matrix[:, :num].T, smpl_betas)

    def pelvis_m(self, smpl_transl_m: Tensor, smpl_betas: Tensor) -> Tensor:
        """Where SMPL puts the pelvis joint: this project's `transl` of both bodies.

        Args:
            smpl_transl_m: (..., 3) translation as SMPL defines it, added to the posed body.
            smpl_betas: (..., S').
        """
        return smpl_transl_m + _affine(self.smpl_pelvis_m, smpl_betas)

    def smplx_transl_m(self, smpl_transl_m: Tensor, smpl_betas: Tensor) -> Tensor:
        """Translation (..., 3) as SMPL-X defines it: transl + J0_smpl(betas) - J0_smplx(mapped betas)."""
        return self.pelvis_m(smpl_transl_m, smpl_betas) - _affine(self.smplx_pelvis_m, self.betas(smpl_betas))

    def to_arrays(self) -> dict[str, NDArray]:
        """Plain arrays by field name, for a file."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> "DeltaTheta":
        """The inverse of `to_arrays`.

        Raises:
            KeyError: An array is missing.
            ValueError: An array has another shape or type.
        """
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            value = np.asarray(arrays[field.name])
            if field.type is str:
                values[field.name] = str(value.item())
            else:
                values[field.name] = float(value) if field.type is float else value.astype(np.float64)
        return cls(**values)


def cache_key(smpl: BodyAssets, smplx: BodyAssets, surface: SurfaceMap, config: AlignConfig) -> str:
    """Hash of both bodies, their correspondence and the settings: another key, another delta-theta."""
    settings = json.dumps(dataclasses.asdict(config), sort_keys=True)
    parts = (str(_FORMAT), smpl.sha256, smplx.sha256, surface.sha256, settings)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def compute_delta_theta(
    smpl: BodyAssets, smplx: BodyAssets, surface: SurfaceMap, config: AlignConfig | None = None
) -> DeltaTheta:
    """Aligns SMPL-X with SMPL at rest: 21 rotations, shape and place by robust least squares on matched vertices.

    Raises:
        ValueError: A body is of the wrong kind, or the correspondence does not belong to the two.
    """
    config = AlignConfig() if config is None else config
    if smpl.kind != "smpl":
        raise ValueError(f"delta-theta needs a SMPL body, got {smpl.name} ({smpl.kind}).")
    surface.check(smpl, smplx)
    fine = rest_problem(smpl, smplx, surface, config, config.num_align_betas)
    solution = solve(fine, fine.in_pose(), SolverConfig(max_iterations=60, tolerance=1e-7))
    problem = rest_problem(smpl, smplx, surface, config, config.num_betas)
    copied, state = problem.in_pose(), problem.in_pose(solution.state.rotations)
    rotations = state.rotations[0]
    smpl_pelvis = rest_pelvis(smpl, problem.target_dirs.shape[-1])
    return DeltaTheta(
        key=cache_key(smpl, smplx, surface, config),
        smpl_sha256=smpl.sha256,
        smplx_sha256=smplx.sha256,
        surface_sha256=surface.sha256,
        alignment=_world(rotations).numpy(),
        dtheta_rad=so3.log(rotations).numpy(),
        betas_offset=state.betas[0].numpy(),
        betas_matrix=problem.shape_map(state).numpy(),
        smpl_pelvis_m=smpl_pelvis,
        smplx_pelvis_m=rest_pelvis(smplx, state.betas.shape[-1]),
        pelvis_offset_m=state.transl[0].numpy() - smpl_pelvis[:, 0],
        copied_error_m=problem.mean_distance(copied),
        aligned_error_m=problem.mean_distance(state),
    )


def _world(rotations: Tensor) -> Tensor:
    """Local rotations (21, 3, 3) -> rotations in the model frame of pelvis and body joints (22, 3, 3)."""
    world = [torch.eye(3, dtype=rotations.dtype)]
    for rotation, parent in zip(rotations, _PARENTS, strict=True):
        world.append(world[parent] @ rotation)
    return torch.stack(world)


def rest_pelvis(body: BodyAssets, num_betas: int) -> NDArray[np.float64]:
    """(3, 1 + num_betas) rest pelvis at zero shape, then per unit of each coefficient."""
    row = body.joint_regressor[skeleton.PELVIS].astype(np.float64)
    return np.column_stack([row @ body.v_template, np.einsum("v,vcs->cs", row, body.shapedirs[..., :num_betas])])


def _affine(coefficients: NDArray[np.float64], betas: Tensor) -> Tensor:
    """Constant and directions (3, 1 + n), betas (..., m <= n) -> (..., 3)."""
    matrix = _like(coefficients, betas)
    return matrix[:, 0] + betas @ matrix[:, 1 : 1 + betas.shape[-1]].T


def _like(array: NDArray[np.float64], tensor: Tensor) -> Tensor:
    return torch.from_numpy(array).to(tensor)

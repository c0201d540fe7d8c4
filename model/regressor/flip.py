"""Left and right exchanged: the parameters of the person whom the mirrored photo shows.

Mirror plane is x = 0 of the camera, of the body at rest and of every joint (M = diag(-1, 1, 1)): a rotation becomes
M R M, and left and right joints swap. Shape and expression coefficients have no such rule. The mirrored shape of
coefficients c has the coefficients A c where the basis allows it; A comes from the body's own vertices by least
squares, and its residual says how well that holds.

Legend: B people, S, F, E numbers of SMPL-X shape, FLAME shape and expression coefficients, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from datasets_manifest.schema.ehm_fields import EHM_FIELDS, BodySize
from model.body.assets import EhmAssets
from model.body.parameters import EhmParameters
from model.body.skeleton import SMPLX_FLIP
from model.estimators.base import Array
from model.rotations import mirror_rotmat

MAX_RESIDUAL = 0.1
"""Root mean square distance between the mirrored shape and the best one of the basis, over the size of the shape's
offsets: above it the basis has no mirror of its own."""
_BODY_FLIP = [k - 1 for k in SMPLX_FLIP[1:22]]
_NUM_SEEN = 22


@dataclass(frozen=True, kw_only=True, slots=True)
class CoefficientMirror:
    """Linear maps from the coefficients of a person to those of the mirror image, and how well they hold."""

    betas: Tensor
    """(S, S)."""
    flame_shape: Tensor
    """(F, F)."""
    flame_expression: Tensor
    """(E, E)."""
    betas_residual: float
    """Relative: 0 is exact, 1 is no mirror at all. The same for the next two."""
    shape_residual: float
    """Of the FLAME shape."""
    expression_residual: float
    """Of the FLAME expression."""

    @property
    def body_allowed(self) -> bool:
        """Whether the betas of a mirrored person are known."""
        return self.betas_residual <= MAX_RESIDUAL

    @property
    def face_allowed(self) -> bool:
        """Whether shape and expression of a mirrored face are known; if not, mirrored faces must not supervise."""
        return max(self.shape_residual, self.expression_residual) <= MAX_RESIDUAL

    @classmethod
    def of(cls, assets: EhmAssets, size: BodySize) -> CoefficientMirror:
        """Fits the maps to a body.

        Args:
            assets: The body of the labels.
            size: Numbers of coefficients S, F, E; a body with fewer leaves the rest as they are.
        """
        body, head = assets.smplx, assets.flame
        betas, betas_residual = _fit(body.v_template, body.shapedirs, size.num_betas)
        shape, shape_residual = _fit(head.v_template, head.shapedirs, size.num_flame_shape)
        expression, expression_residual = _fit(head.v_template, head.exprdirs, size.num_expression)
        return cls(
            betas=betas,
            flame_shape=shape,
            flame_expression=expression,
            betas_residual=betas_residual,
            shape_residual=shape_residual,
            expression_residual=expression_residual,
        )


def mirror_parameters(parameters: EhmParameters, mirror: CoefficientMirror) -> EhmParameters:
    """The people of the mirrored photo.

    Args:
        parameters: B people, orientations relative to the camera that is mirrored.
        mirror: Maps of the coefficients.
    """
    own: dict[str, Tensor] = {}
    for field in EHM_FIELDS:
        value = getattr(parameters, field.name)
        if value is None:
            continue
        if field.kind == "rotation":
            own[field.name] = mirror_rotmat(value)
        elif field.kind == "coefficients":
            own[field.name] = value @ getattr(mirror, field.name).to(value).T
        else:
            own[field.name] = value
    sides = {
        "body_pose": own["body_pose"][:, _BODY_FLIP],
        "left_hand_pose": own["right_hand_pose"],
        "right_hand_pose": own["left_hand_pose"],
        "eye_pose": own["eye_pose"].flip(1),
        "eyelids": own["eyelids"].flip(1),
    }
    if parameters.transl_m is not None:
        sides["transl_m"] = parameters.transl_m * parameters.transl_m.new_tensor([-1.0, 1.0, 1.0])
    return EhmParameters(**own | sides)


def mirror_joint_flags(flags: Array) -> Array:
    """Flags (..., 22) of root and body joints, left and right exchanged."""
    return flags[..., SMPLX_FLIP[:_NUM_SEEN]]


def mirrored_vertices(template: Array) -> Array:
    """For each vertex (V, 3) of a symmetric body at rest, the one nearest to its mirror image (V,)."""
    vertices = np.asarray(template, np.float64)
    return cKDTree(vertices).query(vertices * [-1.0, 1.0, 1.0])[1]


def _fit(template: Array, directions: Array, count: int) -> tuple[Tensor, float]:
    """The map (count, count) and its relative residual for directions (V, 3, K)."""
    used = min(count, directions.shape[-1])
    full = np.eye(count)
    if not used:
        return torch.from_numpy(full).float(), 0.0
    basis = np.asarray(directions[..., :used], np.float64)
    mirrored = basis[mirrored_vertices(template)] * np.array([-1.0, 1.0, 1.0])[:, None]
    flat, wanted = basis.reshape(-1, used), mirrored.reshape(-1, used)
    full[:used, :used] = np.linalg.lstsq(flat, wanted, rcond=None)[0]
    residual = np.linalg.norm(flat @ full[:used, :used] - wanted) / max(float(np.linalg.norm(wanted)), 1e-12)
    return torch.from_numpy(full).float(), float(residual)

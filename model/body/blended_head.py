"""The `blended` definition of EHM-s as tables: where FLAME's head acts on the SMPL-X body, and by how much.

`model.body.ehms` says what the definition is and poses it; bodies cut down to a few points take the same tables.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.schema.ehm_fields import BodySize
from model.body import skeleton
from model.body.assets import EhmAssets

_FLAME_HEAD_JOINT = skeleton.FLAME_JOINT_NAMES.index("neck")
"""FLAME's neck joint is where SMPL-X has its head joint."""
_FLAME_OF_SMPLX_JOINT = {skeleton.JAW: 2, skeleton.LEFT_EYE: 3, skeleton.RIGHT_EYE: 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class BlendedBasis:
    """The `blended` rest body before scaling, as one linear map of [betas, flame shape, expression, eyelids]."""

    template: NDArray[np.float64]
    """(V, 3)."""
    dirs: NDArray[np.float64]
    """(V, 3, K) with K = S + Sf + E + 2."""
    joint_template: NDArray[np.float64]
    """(55, 3)."""
    joint_dirs: NDArray[np.float64]
    """(55, 3, K)."""
    head_weight: NDArray[np.float64]
    """(V,) w(v): how much of the FLAME offset and of the head scale a vertex takes."""


def head_weight(assets: EhmAssets) -> NDArray[np.float64]:
    """Smooth step of the head, jaw and eye skin weights (V,), 0 outside the FLAME region."""
    weight = assets.smplx.skin_weights[:, list(skeleton.SMPLX_HEAD_JOINTS)].astype(np.float64).sum(1).clip(0.0, 1.0)
    inside = np.zeros(assets.smplx.num_vertices, dtype=bool)
    inside[assets.head_vertex_ids] = True
    return np.where(inside, weight * weight * (3.0 - 2.0 * weight), 0.0)


def blended_basis(assets: EhmAssets, size: BodySize) -> BlendedBasis:
    """Build the linear part of the `blended` definition; the tables of a sparse forward come from here as well."""
    body, head = assets.smplx, assets.flame
    num_betas, weight = size.num_betas, head_weight(assets)
    shape = body.shapedirs[..., :num_betas].astype(np.float64)
    flame = [head.shapedirs[..., : size.num_flame_shape], head.exprdirs[..., : size.num_expression]]
    flame_dirs = np.concatenate(flame, axis=-1).astype(np.float64)
    flame_joint_dirs = np.einsum("jv,vck->jck", head.joint_regressor.astype(np.float64), flame_dirs)
    eyelids = np.zeros((head.num_vertices, 3, 2)) if head.eyelid_dirs is None else head.eyelid_dirs.astype(np.float64)
    offsets = np.concatenate([flame_dirs - flame_joint_dirs[_FLAME_HEAD_JOINT], eyelids], axis=-1)
    head_dirs = np.zeros((body.num_vertices, 3, offsets.shape[-1]))
    head_dirs[assets.head_vertex_ids] = offsets
    regressor = body.joint_regressor.astype(np.float64)
    joint_dirs = np.zeros((body.num_joints, 3, num_betas + offsets.shape[-1]))
    joint_dirs[..., :num_betas] = np.einsum("jv,vck->jck", regressor, shape)
    flame_columns = slice(num_betas, num_betas + flame_dirs.shape[-1])
    for joint, flame_joint in _FLAME_OF_SMPLX_JOINT.items():
        joint_dirs[joint, :, flame_columns] = flame_joint_dirs[flame_joint] - flame_joint_dirs[_FLAME_HEAD_JOINT]
    return BlendedBasis(
        template=body.v_template.astype(np.float64),
        dirs=np.concatenate([shape, weight[:, None, None] * head_dirs], axis=-1),
        joint_template=regressor @ body.v_template,
        joint_dirs=joint_dirs,
        head_weight=weight,
    )

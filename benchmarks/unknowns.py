"""The unknowns of the first-order baselines: plain tensors an optimiser can step, and the state they stand for."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from benchmarks.full_mesh import FullMesh, Mesh
from fitting import so3
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.imaging import camera

Unknowns: TypeAlias = dict[str, Tensor]
Pose: TypeAlias = Callable[[State], Mesh]
"""A forward pass."""
GROUPS = ("betas", "expression", "flame_shape", "surface")
"""Groups of linear coefficients in the order of a state; the last one may be absent."""


def unknowns_of(body: SparseBody, state: State) -> Unknowns:
    """Leaf tensors that start at a state. Rotations are axis-angle; the root turns on from where it is.

    root (B, 3), body (B, 21, 3), jaw (B, 3), hands (B, 2, 45) PCA coordinates, translation (B, 3) metres,
    log_head_scale (B, 3), and the groups of coefficients.
    """
    values = {
        "root": torch.zeros_like(state.position),
        "body": so3.log(state.body_pose),
        "jaw": so3.log(state.jaw_pose),
        "hands": state.hand_pca,
        "translation": camera.position_to_transl(state.position),
        "log_head_scale": state.log_head_scale,
    }
    groups = state.coefficients.split(list(body.num_groups), 1)
    values |= dict(zip(GROUPS[: len(groups)], groups, strict=True))
    return {name: value.detach().clone().requires_grad_(True) for name, value in values.items()}


def state_of(unknowns: Unknowns, start: State) -> State:
    """The state that unknowns stand for; what they leave open is taken from the start."""
    return replace(
        start,
        global_orient=so3.exp(unknowns["root"]) @ start.global_orient,
        body_pose=so3.exp(unknowns["body"]),
        jaw_pose=so3.exp(unknowns["jaw"]),
        hand_pca=unknowns["hands"],
        coefficients=torch.cat([unknowns[name] for name in GROUPS if name in unknowns], 1),
        log_head_scale=unknowns["log_head_scale"],
        position=camera.transl_to_position(unknowns["translation"]),
    )


def sparse_pose(body: SparseBody) -> Pose:
    """The sparse forward pass as a `Pose`; its mesh is the keypoints."""

    def pose(state: State) -> Mesh:
        forward = body.forward(state)
        points = forward.points_cam
        return Mesh(keypoints=points, joints=forward.joints + forward.translation[:, None], vertices=points)

    return pose


def mesh_pose(mesh: FullMesh) -> Pose:
    """The full mesh as a `Pose`."""
    return mesh.forward

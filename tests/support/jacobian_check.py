"""The analytic Jacobian of the keypoints against automatic differentiation."""

import torch

from fitting.jacobian import dense, keypoint_jacobian
from fitting.sparse_body import SparseBody
from fitting.unknowns import State, retract
from model.batches import take_rows
from model.imaging import camera


def autodiff(body: SparseBody, state: State, row: int) -> torch.Tensor:
    """d (x/z, y/z) / d step by forward-mode differentiation of the composed functions: (N, 2, P)."""
    single = take_rows(state, torch.tensor([row]))
    rotations = body.forward(single).rotations

    def rays(step: torch.Tensor) -> torch.Tensor:
        moved = retract(single, step[None], rotations, body.layout)
        return camera.ray(body.forward(moved).points_cam)[0]

    return torch.func.jacfwd(rays)(torch.zeros(body.layout.size, dtype=body.dtype))


def check_state(body: SparseBody, state: State) -> None:
    forward = body.forward(state)
    ray = camera.ray(forward.points_cam)
    blocks = keypoint_jacobian(body, state, forward, ray, torch.ones_like(ray[..., 0]))
    jacobian = dense(blocks, body.group_columns, body.layout)
    for row in range(3):
        expected = autodiff(body, state, row)
        assert expected.abs().max() > 0.01
        assert (jacobian[row] - expected).abs().max() < 1e-6

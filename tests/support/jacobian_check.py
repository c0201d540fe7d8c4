"""The analytic Jacobian of the keypoints against automatic differentiation."""

import torch

from fitting.jacobian import dense, keypoint_jacobian
from fitting.sparse_body import SparseBody
from fitting.unknowns import State, retract
from model.imaging import camera


def autodiff(body: SparseBody, state: State, step: torch.Tensor) -> torch.Tensor:
    """Derivative of (x/z, y/z) along a step (B, P) by forward-mode differentiation of the composed functions."""
    rotations = body.forward(state).rotations

    def rays(step: torch.Tensor) -> torch.Tensor:
        return camera.ray(body.forward(retract(state, step, rotations, body.layout)).points_cam)

    return torch.func.jvp(rays, (torch.zeros_like(step),), (step,))[1]


def check_state(body: SparseBody, state: State) -> None:
    """Along random steps: where a single entry is wrong, all of them are wrong, as good as surely."""
    forward = body.forward(state)
    ray = camera.ray(forward.points_cam)
    blocks = keypoint_jacobian(body, state, forward, ray, torch.ones_like(ray[..., 0]))
    jacobian = dense(blocks, body.group_columns, body.layout)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        step = torch.randn(len(ray), body.layout.size, generator=generator, dtype=body.dtype)
        expected = autodiff(body, state, step)
        assert expected.abs().max() > 0.01
        assert ((jacobian @ step[:, None, :, None]).squeeze(-1) - expected).abs().max() < 1e-6

"""The analytic Jacobian against automatic differentiation."""

import torch
from toy_bodies import random_state

from fitting import camera
from fitting.jacobian import dense, keypoint_jacobian
from fitting.parameters import State, retract
from fitting.rows import take_rows
from fitting.sparse_body import SparseBody


def autodiff(body: SparseBody, state: State, row: int) -> torch.Tensor:
    """d (x/z, y/z) / d step by forward-mode differentiation of the composed functions: (N, 2, P)."""
    single = take_rows(state, torch.tensor([row]))
    rotations = body.forward(single).rotations

    def rays(step: torch.Tensor) -> torch.Tensor:
        moved = retract(single, step[None], rotations, body.layout)
        return camera.ray(body.forward(moved).points_cam)[0]

    return torch.func.jacfwd(rays)(torch.zeros(body.layout.size, dtype=body.dtype))


def check(body: SparseBody) -> None:
    state = random_state(body, 3)
    forward = body.forward(state)
    ray = camera.ray(forward.points_cam)
    blocks = keypoint_jacobian(body, state, forward, ray, torch.ones_like(ray[..., 0]))
    jacobian = dense(blocks, body.group_columns, body.layout)
    for row in range(3):
        expected = autodiff(body, state, row)
        assert expected.abs().max() > 0.01
        assert (jacobian[row] - expected).abs().max() < 1e-6


def test_jacobian_of_a_random_body_equals_autodiff(toy_body: SparseBody) -> None:
    check(toy_body)


def test_jacobian_of_the_open_body_equals_autodiff(open_body_f64: SparseBody) -> None:
    check(open_body_f64)

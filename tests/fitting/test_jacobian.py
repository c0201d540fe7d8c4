"""The analytic Jacobian against automatic differentiation."""

import math
from dataclasses import replace

import torch
from toy_bodies import random_state

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


def check(body: SparseBody, depth_m: float | None = None) -> None:
    state = random_state(body, 3)
    if depth_m is not None:
        position = state.position.clone()
        position[:, 2] = math.log(depth_m)
        state = replace(state, position=position)
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


def test_jacobian_of_a_random_body_in_the_papers_fusion_equals_autodiff(toy_paper_body: SparseBody) -> None:
    check(toy_paper_body)


def test_jacobian_of_the_open_body_in_the_papers_fusion_equals_autodiff(open_paper_body_f64: SparseBody) -> None:
    check(open_paper_body_f64)


def test_jacobian_before_the_near_plane_equals_autodiff(toy_body: SparseBody) -> None:
    """A body that the camera stands inside of: some points are in front of it, some closer than it projects."""
    depth = toy_body.forward(random_state(toy_body, 3)).points[..., 2] + 0.2
    assert (depth < camera.NEAR_M).any()
    assert (depth > camera.NEAR_M).any()
    check(toy_body, depth_m=0.2)

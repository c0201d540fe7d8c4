"""The analytic Jacobian against automatic differentiation."""

import math
from dataclasses import replace

from jacobian_check import check_state
from toy_bodies import random_state

from fitting.sparse_body import SparseBody
from model.imaging import camera


def check(body: SparseBody, depth_m: float | None = None) -> None:
    state = random_state(body, 3)
    if depth_m is not None:
        position = state.position.clone()
        position[:, 2] = math.log(depth_m)
        state = replace(state, position=position)
    check_state(body, state)


def test_jacobian_of_a_random_body_equals_autodiff(toy_body: SparseBody) -> None:
    check(toy_body)


def test_jacobian_of_the_open_body_equals_autodiff(open_body_f64: SparseBody) -> None:
    check(open_body_f64)


def test_jacobian_of_a_random_body_in_the_papers_fusion_equals_autodiff(toy_paper_body: SparseBody) -> None:
    check(toy_paper_body)


def test_jacobian_of_the_open_body_in_the_papers_fusion_equals_autodiff(open_paper_body_f64: SparseBody) -> None:
    check(open_paper_body_f64)


def test_jacobian_with_eyelids_equals_autodiff(toy_body: SparseBody, toy_paper_body: SparseBody) -> None:
    for body in (toy_body, toy_paper_body):
        check(body.with_eyelids())


def test_jacobian_before_the_near_plane_equals_autodiff(toy_body: SparseBody) -> None:
    """A body that the camera stands inside of: some points are in front of it, some closer than it projects."""
    depth = toy_body.forward(random_state(toy_body, 3)).points[..., 2] + 0.2
    assert (depth < camera.NEAR_M).any()
    assert (depth > camera.NEAR_M).any()
    check(toy_body, depth_m=0.2)

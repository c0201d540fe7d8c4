"""Standard deviations from the normal matrix: against slow oracles, and as laws."""

from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import SyntheticPeople, keep_keypoints, make_people
from fitting import so3
from fitting.refine import RefineResult, refine
from fitting.sparse_body import SparseBody
from fitting.uncertainty import (
    joint_derivative,
    joint_roots_m,
    marginal_roots,
    similarity_directions,
    uncertainty,
    whitening,
)
from fitting.unknowns import Layout, retract
from model.metrics.joints import mean_distance_mm, pa_mpjpe_mm, similarity_align


def spd(count: int, size: int, seed: int = 0) -> torch.Tensor:
    rows = torch.randn(count, size, 2 * size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    scale = torch.logspace(-3, 3, size, dtype=torch.float64)
    return scale[:, None] * (rows @ rows.transpose(1, 2)) * scale


def normal_matrix(count: int, layout: Layout, seed: int = 0) -> torch.Tensor:
    """Random, with left and right fingers uncoupled as in the problem."""
    matrix = spd(count, layout.size, seed)
    left, right = layout.hand(0), layout.hand(1)
    matrix[:, left, right], matrix[:, right, left] = 0, 0
    matrix.diagonal(dim1=1, dim2=2).mul_(2)
    return matrix


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, 24, seed=41)


@pytest.fixture(scope="module")
def refined(open_body: SparseBody, people: SyntheticPeople) -> RefineResult:
    return refine(open_body, people.observations, people.coarse, people.camera)


@pytest.mark.parametrize("size", [1, 5, 16, 17, 111])
def test_whitening_is_a_root_of_the_inverse(size: int) -> None:
    matrix = spd(3, size)
    root, good = whitening(matrix)
    assert good.all()
    assert torch.allclose(root @ matrix @ root.transpose(1, 2), torch.eye(size, dtype=torch.float64), atol=1e-8)
    assert torch.equal(root, root.tril())


def test_a_matrix_without_an_inverse_is_told_and_touches_nobody() -> None:
    matrix = spd(3, 40)
    expected, _ = whitening(matrix)
    matrix[1, 30, 30] = -1
    root, good = whitening(matrix)
    assert good.tolist() == [True, False, True]
    assert torch.equal(root[[0, 2]], expected[[0, 2]])


def test_marginals_are_those_of_the_full_inverse(open_body_f64: SparseBody) -> None:
    layout = open_body_f64.layout
    matrix = normal_matrix(2, layout)
    root, fingers = marginal_roots(matrix, layout)
    covariance = torch.linalg.inv(matrix)[:, : layout.num_common, : layout.num_common]
    found = root.transpose(1, 2) @ root
    size = covariance.diagonal(dim1=1, dim2=2).sqrt()
    assert ((found - covariance) / size[:, :, None] / size[:, None]).abs().max() < 1e-6
    own = layout.hand(1)
    assert torch.allclose(fingers[:, 1], torch.linalg.inv(matrix[:, own, own]).diagonal(dim1=1, dim2=2), rtol=1e-6)


def test_derivative_of_the_joints_is_that_of_small_steps(open_body_f64: SparseBody) -> None:
    body = open_body_f64
    state = make_people(body, 2, seed=42).truth
    forward = body.forward(state)
    derivative = joint_derivative(body, forward)
    step = torch.randn(2, body.layout.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    length = 1e-6
    moved = [
        body.forward(retract(state, sign * length * step, forward.rotations, body.layout)).joints[:, :22]
        for sign in (1, -1)
    ]
    numeric = (moved[0] - moved[1]).flatten(1) / (2 * length)
    analytic = (derivative @ step[:, : derivative.shape[2], None]).squeeze(-1)
    assert (numeric - analytic).abs().max() < 1e-6


def test_similarity_moves_are_what_alignment_takes_away() -> None:
    generator = torch.Generator().manual_seed(1)
    joints = torch.randn(4, 22, 3, dtype=torch.float64, generator=generator)
    change = 1e-5 * torch.randn(4, 22, 3, dtype=torch.float64, generator=generator)
    whole = similarity_directions(joints)
    left = change.flatten(1)[..., None] - whole @ (whole.transpose(1, 2) @ change.flatten(1)[..., None])
    aligned = similarity_align(joints + change, joints) - joints
    assert (left.squeeze(-1) - aligned.flatten(1)).abs().max() < 1e-8


def test_expected_errors_are_those_of_people_drawn_from_the_covariance(open_body_f64: SparseBody) -> None:
    body = open_body_f64
    forward = body.forward(make_people(body, 3, seed=43).truth)
    matrix = torch.diag_embed(torch.full((3, body.layout.size), 400.0, dtype=torch.float64))
    prior = torch.full((3, body.layout.size), 100.0, dtype=torch.float64)
    found = uncertainty(matrix, prior, body, forward)
    root, _ = marginal_roots(matrix, body.layout)
    spread, _ = joint_roots_m(root, body, forward)
    generator = torch.Generator().manual_seed(2)
    joints = forward.joints[:, :22]
    draws = []
    for _ in range(300):
        luck = torch.randn(3, spread.shape[2], 1, dtype=torch.float64, generator=generator)
        other = joints + (spread @ luck).unflatten(1, (22, 3)).squeeze(-1)
        draws.append([mean_distance_mm(other, joints), pa_mpjpe_mm(other, joints)])
    metric, aligned = (torch.stack([draw[k] for draw in draws]) for k in range(2))
    assert torch.allclose(found.mpjpe_mm, metric.mean(0), rtol=0.12)
    assert torch.allclose(found.pa_mpjpe_mm, aligned.mean(0), rtol=0.12)
    assert torch.allclose(found.pa_mpjpe_spread_mm, aligned.std(0), rtol=0.35)
    assert torch.allclose(found.joint_ratio, torch.full_like(found.joint_ratio, 0.5))
    assert torch.allclose(found.joint_sigma_rad, torch.full_like(found.joint_sigma_rad, 0.05))


def test_what_was_not_seen_is_not_determined(open_body: SparseBody, people: SyntheticPeople) -> None:
    upper = keep_keypoints(people.observations, [slice(0, 11), slice(23, 91)])
    ratio = refine(open_body, upper, people.coarse, people.camera).uncertainty
    assert ratio.joint_ratio[:, [4, 5, 7, 8, 10, 11]].median() > 0.999
    assert ratio.joint_ratio[:, [16, 17, 18, 19]].mean() < 0.9


def test_what_the_keypoints_say_is_determined(refined: RefineResult) -> None:
    ratio = refined.uncertainty.joint_ratio
    assert ratio[:, 0].mean() < 0.6
    by_person = ratio[:, 1:].mean(1)
    assert 0 < by_person.min() < by_person.max() < 1


def test_wide_priors_leave_the_say_to_the_keypoints(open_body: SparseBody, people: SyntheticPeople) -> None:
    wide = replace(people.coarse, sigma_rad=torch.full((24, 22), 0.6))
    ratio = refine(open_body, people.observations, wide, people.camera).uncertainty.joint_ratio
    assert ratio[:, 0].mean() < 0.5
    assert ratio[:, [1, 2, 4, 5, 16, 17, 18, 19]].mean() < 0.65


def test_stated_sigmas_are_those_of_the_errors(people: SyntheticPeople, refined: RefineResult) -> None:
    """Error over stated sigma, root mean square over all people and joints; 1 is right."""
    truth, spread = people.truth, refined.uncertainty
    turn = so3.log(refined.parameters.body_pose.transpose(-1, -2) @ truth.body_pose).square().mean(-1)
    assert 0.85 < (turn / spread.joint_sigma_rad[:, 1:].square()).mean().sqrt() < 1.15
    depth = (refined.parameters.transl_m[:, 2].log() - truth.position[:, 2]) / spread.log_depth_sigma
    assert 0.7 < depth.square().mean().sqrt() < 1.3

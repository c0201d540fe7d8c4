"""Every term of the problem: its gradient against automatic differentiation, and its laws."""

import pytest
import torch
from toy_bodies import random_state

from fitting import so3
from fitting.keypoint_term import KeypointTerm, geman_mcclure, precision_of
from fitting.prior_terms import (
    GaussianTerm,
    OrientationTerm,
    PoseNearnessTerm,
    RotvecTerm,
    beyond_limits,
    mixture_loss,
)
from fitting.priors import Gaussian, merge_gaussians
from fitting.settings import WrongJoints
from fitting.sparse_body import SparseBody
from fitting.terms import NormalEquations, Term
from fitting.unknowns import State, retract
from model.body.joint_limits import JOINT_LIMITS_RAD
from model.imaging import camera
from model.imaging.camera import Camera

COUNT = 3


def make_term(kind: str, body: SparseBody) -> Term:
    other = random_state(body, COUNT, seed=7)
    if kind == "keypoints":
        focal = torch.full((COUNT,), 900.0, dtype=torch.float64)
        view = Camera(focal_px=focal, principal_px=focal[:, None].expand(-1, 2))
        target = camera.project(body.forward(other).points_cam, view)
        return KeypointTerm(body, target, torch.rand(COUNT, 133).double() / 50, view, 4.0)
    if kind in ("pose", "pose or wrong"):
        wrong = WrongJoints(share=0.1, factor=6.0) if kind == "pose or wrong" else None
        sigma = 0.1 + torch.rand(COUNT, 22).double()
        return PoseNearnessTerm(other.global_orient, other.body_pose, sigma, wrong)
    if kind == "rotvec":
        return RotvecTerm(0.05, so3.log(other.jaw_pose), torch.tensor([0.2, 0.05, 0.05]).double())
    if kind == "orientation":
        reference = so3.exp(torch.randn(COUNT, 3, 3, dtype=torch.float64))
        return OrientationTerm((15, 20, 21), reference, torch.rand(COUNT, 3, dtype=torch.float64))
    size = (COUNT, body.layout.size)
    precision = torch.rand(size, dtype=torch.float64)
    precision[:, 0:3] = precision[:, 6:72] = 0
    return GaussianTerm(body.layout, Gaussian(mean=torch.randn(size, dtype=torch.float64), precision=precision))


def cost_after(term: Term, body: SparseBody, state: State, rotations: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    moved = retract(state, step, rotations, body.layout)
    return term.cost(moved, body.forward(moved))


@pytest.mark.parametrize("kind", ["keypoints", "pose", "pose or wrong", "rotvec", "orientation", "gaussian"])
def test_gradient_of_a_term_is_half_that_of_its_cost(kind: str, toy_body: SparseBody) -> None:
    torch.manual_seed(0)
    term, state = make_term(kind, toy_body), random_state(toy_body, COUNT)
    forward = toy_body.forward(state)
    P = toy_body.layout.size
    normal = NormalEquations(COUNT, P, state.position)
    term.add_to(normal, state, forward)
    gradient, hessian = normal.gradient, normal.hessian
    step = torch.zeros(COUNT, P, dtype=torch.float64, requires_grad=True)
    cost_after(term, toy_body, state, forward.rotations, step).sum().backward()
    assert step.grad is not None
    scale = step.grad.abs().max().clamp(min=1.0)
    assert (gradient - step.grad / 2).abs().max() / scale < 1e-8
    assert torch.allclose(hessian, hessian.transpose(1, 2))
    assert torch.linalg.eigvalsh(hessian).min() > -1e-6 * hessian.abs().max()


@pytest.mark.parametrize("kind", ["keypoints", "pose", "pose or wrong", "rotvec", "orientation", "gaussian"])
def test_rows_of_a_term_are_independent(kind: str, toy_body: SparseBody) -> None:
    torch.manual_seed(0)
    term, state = make_term(kind, toy_body), random_state(toy_body, COUNT)
    from model.batches import take_rows

    index = torch.tensor([2, 0])
    part = take_rows(state, index)
    expected = term.cost(state, toy_body.forward(state))[index]
    assert torch.allclose(term.take_rows(index).cost(part, toy_body.forward(part)), expected)


def test_geman_mcclure_is_quadratic_near_zero_and_bounded_far_away() -> None:
    squared = torch.tensor([1e-6, 1e9]).double()
    loss, weight = geman_mcclure(squared, 4.0)
    assert torch.allclose(loss, torch.tensor([1e-6, 16.0]).double(), rtol=1e-4)
    assert torch.allclose(weight, torch.tensor([1.0, 0.0]).double(), atol=1e-6)


def test_geman_mcclure_weight_is_the_derivative_of_the_loss() -> None:
    squared = torch.linspace(0, 50, 20, dtype=torch.float64, requires_grad=True)
    loss, weight = geman_mcclure(squared, 3.0)
    (slope,) = torch.autograd.grad(loss.sum(), squared)
    assert torch.allclose(slope, weight)


def test_the_mixture_is_the_logarithm_of_its_density() -> None:
    squared, wrong = (
        torch.linspace(0, 400, 50, dtype=torch.float64, requires_grad=True),
        WrongJoints(share=0.1, factor=6),
    )
    loss, weight = mixture_loss(squared, wrong)
    density = 0.9 * torch.exp(-squared / 2) + 0.1 / 6**3 * torch.exp(-squared / 72)
    assert torch.allclose(loss, -2 * torch.log(density / (0.9 + 0.1 / 6**3)))
    (slope,) = torch.autograd.grad(loss.sum(), squared)
    assert torch.allclose(slope, weight)
    assert weight[0] > 0.99
    assert weight[-1].item() == pytest.approx(1 / 36)


def test_without_wrong_joints_the_loss_is_quadratic() -> None:
    squared = torch.tensor([0.0, 3.0, 1e4])
    loss, weight = mixture_loss(squared, None)
    assert torch.equal(loss, squared)
    assert torch.equal(weight, torch.ones(3))


def test_keypoints_that_cannot_be_used_have_no_precision() -> None:
    sigma = torch.tensor([[2.0, torch.inf, torch.nan, 0.0, -1.0, 2.0]])
    points = torch.zeros(1, 6, 2)
    points[0, 5] = torch.nan
    assert precision_of(sigma, points).tolist() == [[0.5, 0.0, 0.0, 0.0, 0.0, 0.0]]


def test_limits_are_free_inside_and_signed_outside() -> None:
    low, high = torch.from_numpy(JOINT_LIMITS_RAD).unbind(-1)
    inside = (low + high) / 2
    assert beyond_limits(inside, low, high).abs().max() == 0
    assert (beyond_limits(high + 0.1, low, high) > 0).all()
    assert (beyond_limits(low - 0.1, low, high) < 0).all()


def test_two_gaussians_merge_into_their_product() -> None:
    first = Gaussian(mean=torch.tensor([0.0]), precision=torch.tensor([1.0]))
    second = Gaussian(mean=torch.tensor([4.0]), precision=torch.tensor([3.0]))
    both = merge_gaussians([first, second])
    assert both.mean.item() == pytest.approx(3.0)
    assert both.precision.item() == pytest.approx(4.0)

"""A clip's normal equations against the dense matrix, and its gradient against finite differences."""

from typing import Any

import pytest
import torch
from toy_bodies import random_state

from fitting import so3
from fitting.clips.motion import UNIT_S, Motion, ToWorld
from fitting.clips.problem import ClipProblem, Equations
from fitting.prior_terms import GaussianTerm, PoseNearnessTerm, RotvecTerm
from fitting.priors import Gaussian
from fitting.shared import shared_values, with_shared
from fitting.sparse_body import SparseBody
from fitting.terms import TermSum
from fitting.unknowns import State

FRAMES = 4


@pytest.fixture(params=["one camera", "cameras of a world"])
def clip(request: pytest.FixtureRequest, toy_body: SparseBody) -> tuple[ClipProblem, State]:
    """A clip of priors, and a state that is of one person."""
    generator = torch.Generator().manual_seed(0)
    size, other = (FRAMES, toy_body.layout.size), random_state(toy_body, FRAMES, seed=5)
    precision = torch.rand(size, dtype=torch.float64, generator=generator)
    precision[:, 0:3] = precision[:, 6:72] = 0
    mean = torch.randn(size, dtype=torch.float64, generator=generator)
    sigma = torch.full((FRAMES, 22), 0.4, dtype=torch.float64)
    terms = [
        PoseNearnessTerm(other.global_orient, other.body_pose, sigma),
        RotvecTerm(0.05, so3.log(other.jaw_pose), sigma[0, :3]),
        GaussianTerm(toy_body.layout, Gaussian(mean=mean, precision=precision)),
    ]
    world = None
    if request.param != "one camera":
        turn = so3.exp(torch.randn(FRAMES, 3, dtype=torch.float64, generator=generator))
        world = ToWorld(turn=turn, shift_m=torch.randn(FRAMES, 3, dtype=torch.float64, generator=generator))
    time = torch.tensor([0.0, 1.0, 3.0, 3.5], dtype=torch.float64) * UNIT_S
    weight = 5 * torch.rand(size[1], dtype=torch.float64, generator=generator)
    problem = ClipProblem(TermSum(toy_body, terms), Motion(toy_body.layout, time, world), weight)
    state = random_state(toy_body, FRAMES)
    shape = shared_values(state, toy_body.layout, problem.shared)[:1].expand(FRAMES, -1)
    return problem, with_shared(state, toy_body.layout, problem.shared, shape)


def dense(problem: ClipProblem, equations: Equations) -> torch.Tensor:
    """The normal matrix of all frames' own unknowns, then the shared ones."""
    own = len(problem.own)
    band, weight = problem.motion.band, torch.diag(problem.weight[problem.own])
    number = torch.diag(band.here) + sum(
        torch.diag(part, at) + torch.diag(part, -at) for at, part in ((1, band.next), (2, band.second))
    )
    blocks = torch.einsum("st,pq->sptq", number, weight)
    for frame in range(FRAMES):
        blocks[frame, :, frame] += equations.own[frame]
    whole = torch.zeros(FRAMES * own + len(problem.shared), FRAMES * own + len(problem.shared), dtype=torch.float64)
    whole[: FRAMES * own, : FRAMES * own] = blocks.reshape(FRAMES * own, FRAMES * own)
    whole[: FRAMES * own, FRAMES * own :] = equations.cross.reshape(FRAMES * own, -1)
    whole[FRAMES * own :, : FRAMES * own] = whole[: FRAMES * own, FRAMES * own :].T
    whole[FRAMES * own :, FRAMES * own :] = equations.shared
    return whole


def test_the_gradient_is_that_of_the_cost_along_every_step(clip: tuple[ClipProblem, State]) -> None:
    problem, state = clip
    forward = problem.evaluate(state)[1]
    equations = problem.linearise(state, forward)
    gradient, shared = equations.gradient.clone(), equations.shared_gradient.clone()
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        own = torch.randn(gradient.shape, dtype=torch.float64, generator=generator)
        same = torch.randn(shared.shape, dtype=torch.float64, generator=generator)
        costs = [
            problem.evaluate(problem.retract(state, (small * own, small * same), forward))[0] for small in (1e-5, -1e-5)
        ]
        expected = (gradient * own).sum() + (shared * same).sum()
        assert torch.isclose((costs[0] - costs[1]) / 4e-5, expected, rtol=1e-5)


def test_a_step_solves_the_whole_system(clip: tuple[ClipProblem, State]) -> None:
    problem, state = clip
    equations = problem.linearise(state, problem.evaluate(state)[1])
    damping = torch.tensor([0.01], dtype=torch.float64)
    (own, shared), predicted, solved = problem.damped_step(equations, damping)
    whole = dense(problem, equations)
    lift = 0.01 * torch.cat([equations.own.diagonal(dim1=1, dim2=2).flatten(), equations.shared.diagonal()])
    gradient = torch.cat([equations.gradient.flatten(), equations.shared_gradient])
    expected = -torch.linalg.solve(whole + torch.diag(lift), gradient)
    assert solved
    assert torch.allclose(torch.cat([own.flatten(), shared]), expected, atol=1e-8)
    assert torch.isclose(predicted, (expected * (lift * expected - gradient)).sum())


def test_frames_told_all_have_the_covariance_of_the_whole(clip: tuple[ClipProblem, State]) -> None:
    problem, state = clip
    forward = problem.evaluate(state)[1]
    own, size = len(problem.own), problem.terms.body.layout.size
    covariance = torch.linalg.inv(dense(problem, problem.linearise(state, forward)))
    nothing = torch.zeros(FRAMES, len(problem.shared), dtype=torch.float64)
    found = torch.linalg.inv(problem.informed(state, forward, 1.0, nothing))
    by_step = torch.zeros(size, size, dtype=torch.float64)
    for frame in range(FRAMES):
        rows = torch.cat([frame * own + torch.arange(own), FRAMES * own + torch.arange(len(problem.shared))])
        places = torch.cat([problem.own, problem.shared])
        by_step[places[:, None], places] = covariance[rows[:, None], rows]
        change = torch.block_diag(*problem.motion.from_local(forward)[frame], torch.eye(size - 72).double())
        assert torch.allclose(found[frame], change @ by_step @ change.T, rtol=1e-6, atol=1e-9)


def test_where_32_bits_leave_no_covariance_64_do(
    open_body: SparseBody, open_body_f64: SparseBody, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of frames that show little beside the smoothness, whose bodies would be of no quality."""
    whole = ClipProblem._with_others

    def rounded(self: ClipProblem, equations: Equations, alone: torch.Tensor, *more: Any) -> torch.Tensor:
        matrix = whole(self, equations, alone, *more)
        return matrix if matrix.dtype == torch.float64 else -matrix

    monkeypatch.setattr(ClipProblem, "_with_others", rounded)
    found = []
    for body in (open_body, open_body_f64):
        state = random_state(body, FRAMES)
        known = torch.ones(FRAMES, body.layout.size, dtype=body.dtype)
        terms = [GaussianTerm(body.layout, Gaussian(mean=torch.zeros_like(known), precision=known))]
        motion = Motion(body.layout, torch.arange(FRAMES).to(body.dtype) * UNIT_S, None)
        problem = ClipProblem(TermSum(body, terms), motion, torch.full((body.layout.size,), 5.0, dtype=body.dtype))
        nothing = torch.zeros(FRAMES, len(problem.shared), dtype=body.dtype)
        found.append(problem.informed(state, problem.evaluate(state)[1], 1.0, nothing))
    assert found[0].dtype == torch.float32
    assert (torch.linalg.cholesky_ex(found[0]).info == 0).all()
    assert torch.allclose(found[0].double(), found[1], rtol=1e-3, atol=1e-4)

"""The refinement off the CPU: the same code on CUDA, and nothing in its loop that makes the host wait."""

from dataclasses import replace

import pytest
import torch

from fitting import initialise, so3
from fitting.arrow import Arrow, factorise, solve_factored
from fitting.beliefs import pose_sigma_rad
from fitting.camera import Camera
from fitting.inputs import Coarse
from fitting.priors import GaussianTerm, PoseNearnessTerm, RotvecTerm
from fitting.problem import BodyProblem
from fitting.refine import RefineConfig, RefineResult, Status, refine
from fitting.residuals import KeypointTerm
from fitting.rows import map_tensors, take_rows
from fitting.solver import SolverConfig, solve
from fitting.sparse_body import SparseBody
from fitting.synthetic import SyntheticPeople, make_people
from model.body.assets import EhmAssets

FIXED = RefineConfig(solver=SolverConfig(plan="fixed"))


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, 32, seed=1)


def pixels_apart(one: RefineResult, other: RefineResult) -> torch.Tensor:
    """(B, 133)."""
    return (one.keypoints_px.double() - other.keypoints_px.double()).norm(dim=-1)


@pytest.mark.parametrize("num_hand", [45, 12])
def test_the_fixed_plan_runs_on_a_device_that_cannot_be_asked(open_body: SparseBody, num_hand: int) -> None:
    """Tensors of the meta device have shapes but no values: reading one raises, and so does mixing devices."""
    body, meta = open_body.with_hand_components(num_hand).to("meta"), torch.device("meta")
    coarse = Coarse.unknown(4, device=meta)
    view = Camera(focal_px=torch.ones(4, device=meta), principal_px=torch.zeros(4, 2, device=meta))
    seen, precision = torch.zeros(4, 133, 2, device=meta), torch.ones(4, 133, device=meta)
    start = initialise.start_state(body, coarse, torch.zeros(4, 6, device=meta), RefineConfig())
    start = initialise.place(body, start, seen, precision, view)
    size = (4, body.layout.size)
    terms = [
        KeypointTerm(body, seen, precision, view, 4.0),
        PoseNearnessTerm(start.global_orient, start.body_pose, pose_sigma_rad(coarse, RefineConfig())),
        RotvecTerm(0.05, so3.log(start.jaw_pose), torch.ones(3, device=meta)),
        GaussianTerm(body.layout, torch.zeros(size, device=meta), torch.ones(size, device=meta)),
    ]
    active = torch.ones(4, dtype=torch.bool, device=meta)
    solution = solve(BodyProblem(body, terms), start, SolverConfig(max_iterations=7), active)
    assert solution.cost.device == meta
    assert solution.state.body_pose.shape == (4, 21, 3, 3)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        solve(BodyProblem(body, terms), start, SolverConfig(max_iterations=7, plan="adaptive"), active)


def test_the_fixed_plan_ends_where_the_adaptive_one_does(open_body: SparseBody, people: SyntheticPeople) -> None:
    adaptive = refine(open_body, people.observations, people.coarse, people.camera)
    fixed = refine(open_body, people.observations, people.coarse, people.camera, FIXED)
    apart = pixels_apart(adaptive, fixed) * 512 / people.height_px[:, None]
    assert apart.median() < 0.1
    assert torch.quantile(apart, 0.95) < 0.5
    assert (fixed.status == Status.CONVERGED).double().mean() > 0.95
    assert fixed.cost.mean() < 1.01 * adaptive.cost.mean()


def test_float32_and_float64_agree(open_body: SparseBody, open_body_f64: SparseBody, people: SyntheticPeople) -> None:
    """They stop within the tolerance of the same minimum: a hundredth of a pixel for most keypoints."""
    single = refine(open_body, people.observations, people.coarse, people.camera)
    double = refine(open_body_f64, people.observations, people.coarse, people.camera)
    apart = pixels_apart(single, double)
    assert apart.median() < 0.01
    assert apart.max() < 1.0
    assert ((single.cost - double.cost).abs() < 2e-3 * double.cost).all()
    assert torch.equal(single.status, double.status)


def test_twelve_hand_components_leave_the_rest_at_the_estimate(open_body: SparseBody, people: SyntheticPeople) -> None:
    config = RefineConfig(num_hand_components=12)
    result = refine(open_body, people.observations, people.coarse, people.camera, config)
    hands = torch.stack([result.parameters.left_hand_pose, result.parameters.right_hand_pose], 1)
    moved = open_body.hand_coordinates(hands) - open_body.hand_coordinates(people.coarse.hand_pose)
    assert moved[..., 12:].abs().max() < 1e-3
    assert moved[..., :12].abs().mean() > 0.02
    assert result.converged.double().mean() > 0.95


@pytest.mark.parametrize("reach", [None, torch.tensor([[0, 1, 2, 4], [6, 1, 2, 3]])])
def test_an_arrow_is_solved_like_the_dense_matrix(reach: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    arrow = Arrow(trunk=7, num_branches=2, branch=4, reach=reach)
    root = torch.randn(5, 15, 15, dtype=torch.float64)
    dense = torch.zeros(5, 15, 15, dtype=torch.float64)
    left, right = torch.arange(11), torch.cat([torch.arange(7), torch.arange(11, 15)])
    for columns in (left, right):
        block = root[:, :, columns]
        dense[:, columns[:, None], columns] += block.transpose(1, 2) @ block
    if reach is not None:
        dense *= 0.1
        for branch, met in zip(arrow.branch_slices(), reach, strict=True):
            apart = torch.ones(7, dtype=torch.bool)
            apart[met] = False
            dense[:, branch, :7] *= ~apart
            dense[:, :7, branch] *= (~apart)[:, None]
        dense += 20 * torch.eye(15, dtype=torch.float64)
    lift = torch.rand(5, 15, dtype=torch.float64)
    vector = torch.randn(5, 15, dtype=torch.float64)
    expected = torch.linalg.solve(dense + torch.diag_embed(lift), vector)
    assert torch.allclose(solve_factored(factorise(dense, arrow, lift), vector), expected)


def batch_independence(body: SparseBody, count: int) -> torch.Tensor:
    """Largest difference (R,) of each healthy row's parameters between a batch with bad rows and being alone."""
    people = make_people(body, count, seed=3)
    config = RefineConfig(batch_size=count)
    keypoints, pose = people.observations.keypoints_px.clone(), people.coarse.body_pose.clone()
    keypoints[3::20] = torch.nan
    pose[13::20, 4] = torch.nan
    seen, coarse = replace(people.observations, keypoints_px=keypoints), replace(people.coarse, body_pose=pose)
    together = refine(body, seen, coarse, people.camera, config)
    bad = torch.zeros(count, dtype=torch.bool)
    bad[3::20] = bad[13::20] = True
    assert (together.status[bad] != Status.CONVERGED).all()
    healthy = torch.nonzero(~bad).squeeze(1)
    assert (together.status[healthy] == Status.CONVERGED).double().mean() > 0.99
    view = take_rows(people.camera, healthy)
    alone = refine(body, take_rows(seen, healthy), take_rows(coarse, healthy), view, config)
    worst = torch.zeros(len(healthy), dtype=body.dtype)
    for one, other in zip(alone.parameters.rotvecs().values(), together.parameters.rotvecs().values(), strict=True):
        worst = torch.maximum(worst, (one - other[healthy]).abs().flatten(1).amax(1))
    return worst


def test_bad_rows_do_not_touch_healthy_ones_in_float32(open_body: SparseBody) -> None:
    assert batch_independence(open_body, 40).max() < 1e-4


@pytest.mark.slow
def test_a_tenth_of_bad_rows_does_not_touch_the_others(open_body: SparseBody, open_body_f64: SparseBody) -> None:
    """In float32 products round differently in batches of another size, which moves a row in a hundred whose stopping
    or acceptance was a matter of the last digits; in float64 no row differs.
    """
    assert batch_independence(open_body_f64, 256).max() < 1e-4
    assert (batch_independence(open_body, 256) < 1e-4).double().mean() > 0.98


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives(open_assets: EhmAssets, open_body: SparseBody, people: SyntheticPeople) -> None:
    assert not torch.backends.cuda.matmul.allow_tf32
    body = open_body.to("cuda")
    there = [
        map_tensors(lambda value: value.cuda(), batch) for batch in (people.observations, people.coarse, people.camera)
    ]
    expected = refine(open_body, people.observations, people.coarse, people.camera, FIXED)
    result = refine(body, there[0], there[1], there[2], FIXED)
    apart = (result.keypoints_px.cpu() - expected.keypoints_px).norm(dim=-1)
    assert apart.median() < 0.01
    assert torch.equal(result.status.cpu(), expected.status)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_loop_never_waits_for_cuda(open_body: SparseBody, people: SyntheticPeople) -> None:
    body = open_body.to("cuda")
    start = map_tensors(lambda value: value.cuda(), people.truth)
    view = map_tensors(lambda value: value.cuda(), people.camera)
    target, sigma = people.observations.keypoints_px.cuda(), people.observations.sigma_px.cuda()
    ones = torch.ones(32, body.layout.size, device="cuda")
    problem = BodyProblem(
        body, [KeypointTerm(body, target, 1 / sigma, view, 4.0), GaussianTerm(body.layout, 0 * ones, ones)]
    )
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        solve(problem, start, SolverConfig(max_iterations=7))
    finally:
        torch.cuda.set_sync_debug_mode("default")

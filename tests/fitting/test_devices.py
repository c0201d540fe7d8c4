"""The refinement off the CPU: the same code on CUDA, and nothing in its loop that makes the host wait."""

from dataclasses import replace

import pytest
import torch

from benchmarks.clip_people import make_clips, make_view_clips
from benchmarks.rig_people import make_rig_people
from benchmarks.synthetic_people import SyntheticPeople, make_people
from fitting import initialise, so3
from fitting.clips.refine import ClipResult, refine_clips
from fitting.clips.views import refine_view_clips
from fitting.inputs import Coarse
from fitting.keypoint_term import KeypointTerm
from fitting.prior_terms import GaussianTerm, PoseNearnessTerm, RotvecTerm
from fitting.priors import Gaussian, pose_sigma_rad
from fitting.refine import RefineConfig, RefineResult, Status, refine
from fitting.rigs.refine import RigResult, refine_views
from fitting.settings import SolverConfig
from fitting.solver import solve
from fitting.sparse_body import SparseBody
from fitting.terms import TermSum
from model.batches import map_tensors
from model.body.assets import EhmAssets
from model.imaging.camera import Camera

pytestmark = pytest.mark.long

FIXED = RefineConfig(solver=SolverConfig(plan="fixed"))


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, 32, seed=1)


def pixels_apart(one: RefineResult, other: RefineResult) -> torch.Tensor:
    """(B, 133)."""
    return (one.keypoints_px.double() - other.keypoints_px.double()).norm(dim=-1)


@pytest.mark.long
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
        GaussianTerm(
            body.layout, Gaussian(mean=torch.zeros(size, device=meta), precision=torch.ones(size, device=meta))
        ),
    ]
    active = torch.ones(4, dtype=torch.bool, device=meta)
    steps = SolverConfig(max_iterations=3, refresh_every=2)
    solution = solve(TermSum(body, terms), start, steps, active)
    assert solution.cost.device == meta
    assert solution.state.body_pose.shape == (4, 21, 3, 3)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        solve(TermSum(body, terms), start, replace(steps, plan="adaptive"), active)


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_what_the_cpu_gives(open_assets: EhmAssets, open_body: SparseBody, people: SyntheticPeople) -> None:
    assert not torch.backends.cuda.matmul.allow_tf32
    body, there = open_body.to("cuda"), map_tensors(people, lambda value: value.cuda())
    expected = refine(open_body, people.observations, people.coarse, people.camera, FIXED)
    result = refine(body, there.observations, there.coarse, there.camera, FIXED)
    apart = (result.keypoints_px.cpu() - expected.keypoints_px).norm(dim=-1)
    assert apart.median() < 0.01
    assert torch.equal(result.status.cpu(), expected.status)


def assert_agree(there: RefineResult, here: RefineResult) -> None:
    """Results on CUDA and on a CPU: sums in another order, and where a rule just met turns over, one person in ten."""
    assert there.keypoints_px.is_cuda
    assert (there.keypoints_px.cpu() - here.keypoints_px).norm(dim=-1).median() < 0.05
    assert (there.status.cpu() == here.status).double().mean() >= 0.9


def assert_same_rows(there: RigResult | ClipResult, here: RigResult | ClipResult) -> None:
    """All rows are fitted together on both, for the same reasons, and agree."""
    assert here.joined.all()
    assert torch.equal(there.joined.cpu(), here.joined)
    assert there.reasons == here.reasons
    assert_agree(there.people, here.people)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_of_several_cameras_what_the_cpu_gives(open_body: SparseBody) -> None:
    here = make_rig_people(open_body, 8, 4, seed=1)
    there = map_tensors(here, lambda value: value.cuda())
    expected, found = (
        refine_views(body, people.observations, people.coarse, people.camera, people.rig, FIXED)
        for body, people in ((open_body, here), (open_body.to("cuda"), there))
    )
    assert_same_rows(found, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_of_clips_what_the_cpu_gives(open_body: SparseBody) -> None:
    """One gap and a hidden hand in each."""
    here = make_clips(open_body, 2, 16, seed=1, gaps=((5, 2),), hand_gaps=((10, 3, 0),))
    there = map_tensors(here, lambda value: value.cuda())
    expected, found = (
        refine_clips(body, people.observations, people.coarse, people.camera, people.clips, FIXED)
        for body, people in ((open_body, here), (open_body.to("cuda"), there))
    )
    assert_same_rows(found, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_of_clips_of_several_cameras_what_the_cpu_gives(open_body: SparseBody) -> None:
    here = make_view_clips(open_body, 1, 8, 3, seed=1)
    there = map_tensors(here, lambda value: value.cuda())
    expected, found = (
        refine_view_clips(body, people.observations, people.coarse, people.camera, people.rig, clip, FIXED)
        for body, (people, clip) in ((open_body, here), (open_body.to("cuda"), there))
    )
    assert expected.joined.all()
    assert torch.equal(found.joined.cpu(), expected.joined)
    assert found.reasons == expected.reasons
    assert_agree(found.views.people, expected.views.people)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_loop_never_waits_for_cuda(open_body: SparseBody, people: SyntheticPeople) -> None:
    body = open_body.to("cuda")
    start = map_tensors(people.truth, lambda value: value.cuda())
    view = map_tensors(people.camera, lambda value: value.cuda())
    target, sigma = people.observations.keypoints_px.cuda(), people.observations.sigma_px.cuda()
    ones = torch.ones(32, body.layout.size, device="cuda")
    problem = TermSum(
        body,
        [
            KeypointTerm(body, target, 1 / sigma, view, 4.0),
            GaussianTerm(body.layout, Gaussian(mean=0 * ones, precision=ones)),
        ],
    )
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        solve(problem, start, SolverConfig(max_iterations=7))
    finally:
        torch.cuda.set_sync_debug_mode("default")

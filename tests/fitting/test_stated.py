"""Places in 3D that are known but for a shift: the shift eliminated is the shift as a free variable."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from toy_bodies import random_state

from benchmarks.synthetic_people import SyntheticPeople, make_people
from fitting.forward import Forward
from fitting.inputs import Observations
from fitting.jacobian import dense, point_jacobian
from fitting.point_rows import FoldedRows
from fitting.points_3d import with_points
from fitting.refine import RefineResult, refine
from fitting.sightings import Sightings
from fitting.sightings_term import JointsTerm, ShiftTerm, SightingsTerm
from fitting.sparse_body import SparseBody
from fitting.stated import Stated
from fitting.terms import NormalEquations, Term
from fitting.uncertainty import joint_derivative, place_derivative
from fitting.unknowns import POSITION, State, retract
from model.batches import take_rows
from model.imaging.camera import Camera

PEOPLE, SCALE = 2, 4.0
BODY_POINTS = torch.arange(133) < 23
EVERYBODY = torch.ones(PEOPLE, dtype=torch.bool)


def stated_of(body: SparseBody, state: State, which: torch.Tensor, relative: torch.Tensor | None) -> Stated:
    """Places of some of the 133 points and of half of the joints, some off by more than noise, from origins of their
    own where they are relative."""
    generator = torch.Generator().manual_seed(5)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    forward = body.forward(state)
    joints = forward.joints[:, :22] + forward.translation[:, None]
    origin = random(PEOPLE, 1, 3) if relative is not None else 0.0
    return Stated(
        points_m=forward.points_cam + origin + 0.02 * random(PEOPLE, 133, 3),
        point_precision=50.0 * which * (random(PEOPLE, 133) > -1),
        joints_m=joints + origin + 0.02 * random(PEOPLE, 22, 3),
        joint_precision=50.0 * (random(PEOPLE, 22) > 0),
        is_relative=relative,
    )


def terms_of(body: SparseBody, stated: Stated) -> list[Term]:
    """Nothing is seen, so that the places are all there is."""
    nothing = stated.points_m.new_zeros(PEOPLE, 133)
    camera = Camera(focal_px=nothing[:, 0] + 900, principal_px=nothing[:, :2])
    seen = Sightings.of_one_camera(camera, nothing[..., None].expand(-1, -1, 2), nothing, stated)
    kinds = [SightingsTerm, JointsTerm] + [ShiftTerm] * (stated.is_relative is not None)
    return [kind(body, seen, SCALE) for kind in kinds]


def equations(body: SparseBody, terms: Iterable[Term], state: State, forward: Forward) -> NormalEquations:
    normal = NormalEquations(PEOPLE, body.layout.size, state.position)
    for term in terms:
        term.add_to(normal, state, forward)
    return normal


def jacobian(body: SparseBody, state: State, forward: Forward) -> torch.Tensor:
    """Derivative (B, 133 + 22, 3, P) of points and joints, row by row."""
    one = torch.ones(133, PEOPLE, dtype=torch.float64)
    unit = FoldedRows(xx=one, xy=0 * one, xz=0 * one, yy=one, yz=0 * one, zz=one)
    points = dense(point_jacobian(body, state, forward, unit), body.group_columns, body.layout)

    joints = torch.zeros(PEOPLE, 22, 3, body.layout.size, dtype=torch.float64)
    joints[..., : body.layout.coefficients.stop] = joint_derivative(body, forward).unflatten(1, (22, 3))
    joints[..., POSITION] = place_derivative(forward)[:, None]
    return torch.cat([points, joints], 1)


def test_the_gradient_is_that_of_the_cost(toy_body: SparseBody) -> None:
    state = random_state(toy_body, PEOPLE)
    terms = terms_of(toy_body, stated_of(toy_body, state, torch.ones(133), EVERYBODY))
    gradient = equations(toy_body, terms, state, toy_body.forward(state)).gradient
    single, row = take_rows(state, torch.tensor([1])), torch.tensor([1])
    rotations, own = toy_body.forward(single).rotations, [term.take_rows(row) for term in terms]

    def cost(step: torch.Tensor) -> torch.Tensor:
        moved = retract(single, step[None], rotations, toy_body.layout)
        forward = toy_body.forward(moved)
        return torch.stack([term.cost(moved, forward)[0] for term in own]).sum() / 2

    expected = torch.func.grad(cost)(torch.zeros(toy_body.layout.size, dtype=torch.float64))
    assert expected.abs().max() > 1
    assert (gradient[1] - expected).abs().max() < 1e-4 * expected.abs().max()


def test_a_step_is_that_of_a_shift_that_is_free(toy_body: SparseBody) -> None:
    """The shift as three unknowns more, of a problem of few points."""
    state = random_state(toy_body, PEOPLE)
    forward, relative = toy_body.forward(state), stated_of(toy_body, state, BODY_POINTS, EVERYBODY)
    found = equations(toy_body, terms_of(toy_body, relative), state, forward)
    joints = forward.joints[:, :22] + forward.translation[:, None]
    met = relative.met_by(forward.points_cam, joints, SCALE)
    plain = equations(toy_body, terms_of(toy_body, replace(met, is_relative=None)), state, forward)
    weight = torch.cat(met.weights(forward.points_cam, joints, SCALE), 1)
    moved = (weight[..., None, None] * jacobian(toy_body, state, forward)).sum(1)
    off = torch.cat([forward.points_cam - met.points_m, joints - met.joints_m], 1)
    pull = (weight[..., None] * off).sum(1)
    size = toy_body.layout.size
    both = torch.zeros(PEOPLE, size + 3, size + 3, dtype=torch.float64)
    both[:, :size, :size] = plain.hessian + torch.eye(size)
    both[:, size:, :size], both[:, :size, size:] = -moved, -moved.mT
    both[:, size:, size:] = weight.sum(1)[:, None, None] * torch.eye(3)
    expected = torch.linalg.solve(both, torch.cat([plain.gradient, -pull], 1))[:, :size]
    step = torch.linalg.solve(found.hessian + torch.eye(size), found.gradient)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(step, expected, rtol=1e-7, atol=1e-9)


def test_fingers_leave_the_matrix_above_that_of_a_free_shift_and_hands_apart(toy_body: SparseBody) -> None:
    state, layout = random_state(toy_body, PEOPLE), toy_body.layout
    forward, relative = toy_body.forward(state), stated_of(toy_body, state, torch.ones(133), EVERYBODY)
    found = equations(toy_body, terms_of(toy_body, relative), state, forward).hessian
    joints = forward.joints[:, :22] + forward.translation[:, None]
    weight = torch.cat(relative.met_by(forward.points_cam, joints, SCALE).weights(forward.points_cam, joints, SCALE), 1)
    rows = jacobian(toy_body, state, forward)
    rows = (rows - (weight[..., None, None] * rows).sum(1, keepdim=True) / weight.sum(1)[:, None, None, None]).flatten(
        1, 2
    )
    exact = rows.mT @ (weight.repeat_interleave(3, 1)[..., None] * rows)
    scale = exact.abs().max()
    assert torch.linalg.eigvalsh(found - exact).min() > -1e-9 * scale
    hands = slice(0, layout.hands.start)
    no_fingers = torch.linalg.matrix_norm((found - exact)[:, hands, hands])
    assert (no_fingers < 1e-9 * scale).all()
    assert not found[:, layout.hand(0), layout.hand(1)].any()


def test_the_place_of_the_body_is_not_its_matter(toy_body: SparseBody) -> None:
    state = random_state(toy_body, PEOPLE)
    stated = stated_of(toy_body, state, BODY_POINTS, EVERYBODY)
    found = equations(toy_body, terms_of(toy_body, stated), state, toy_body.forward(state))
    assert found.hessian[:, POSITION].abs().max() < 1e-9 * found.hessian.abs().max()
    assert found.gradient[:, POSITION].abs().max() < 1e-9 * found.gradient.abs().max()


# --- people -----------------------------------------------------------------------------------------------------------
COUNT, SIGMA_M = 6, 0.02


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, COUNT, seed=4)


def coco(body: SparseBody, people: SyntheticPeople) -> torch.Tensor:
    """(B, 17, 3) with noise."""
    points = body.forward(people.truth).points_cam[:, :17]
    return points + SIGMA_M * torch.randn(points.shape, generator=torch.Generator().manual_seed(7))


def relative_to_root(people: SyntheticPeople, places: torch.Tensor, known: torch.Tensor | None = None) -> Observations:
    sigma = torch.full(places.shape[:2], SIGMA_M)
    if known is not None:
        sigma[~known] = torch.inf
    relative = torch.ones(len(places), dtype=torch.bool)
    return with_points(people.observations, "coco", places, sigma, relative)


def fitted(body: SparseBody, people: SyntheticPeople, observations: Observations) -> RefineResult:
    return refine(body, observations, people.coarse, people.camera)


def joint_errors_mm(body: SparseBody, people: SyntheticPeople, result: RefineResult) -> torch.Tensor:
    """(B,) of the 22 joints, pelvis on pelvis."""
    parameters, truth = result.parameters, people.truth
    own = {"global_orient": parameters.global_orient, "body_pose": parameters.body_pose}
    coefficients = torch.cat([parameters.betas, truth.coefficients[:, 10:]], 1)
    off = body.forward(replace(truth, **own, coefficients=coefficients)).joints - body.forward(truth).joints
    return 1e3 * off[:, :22].square().sum(-1).sqrt().mean(1)


@pytest.fixture(scope="module")
def result(open_body: SparseBody, people: SyntheticPeople) -> RefineResult:
    return fitted(open_body, people, relative_to_root(people, coco(open_body, people)))


@pytest.fixture(scope="module")
def alone(open_body: SparseBody, people: SyntheticPeople) -> RefineResult:
    return fitted(open_body, people, people.observations)


def test_points_relative_to_the_root_find_the_pose(
    open_body: SparseBody, people: SyntheticPeople, result: RefineResult, alone: RefineResult
) -> None:
    known, guessed = (joint_errors_mm(open_body, people, one).mean() for one in (result, alone))
    assert known < 0.7 * guessed
    assert (result.uncertainty.mpjpe_mm < alone.uncertainty.mpjpe_mm).all()
    assert (result.uncertainty.log_depth_sigma < alone.uncertainty.log_depth_sigma).all()


def test_where_the_origin_is_does_not_matter(
    open_body: SparseBody, people: SyntheticPeople, result: RefineResult
) -> None:
    origin = torch.randn(COUNT, 1, 3, generator=torch.Generator().manual_seed(1)) * 3
    moved = fitted(open_body, people, relative_to_root(people, coco(open_body, people) + origin))
    torch.testing.assert_close(moved.parameters.body_pose, result.parameters.body_pose, rtol=0, atol=2e-5)
    torch.testing.assert_close(moved.parameters.transl_m, result.parameters.transl_m, rtol=0, atol=2e-5)


def test_points_that_are_far_off_do_not_count(open_body: SparseBody, people: SyntheticPeople) -> None:
    places = coco(open_body, people)
    places[:, [7, 10, 16]] += torch.tensor([0.4, -0.5, 0.6])
    found = fitted(open_body, people, relative_to_root(people, places))
    assert joint_errors_mm(open_body, people, found).mean() < 22


def test_nobody_else_is_fitted_otherwise(open_body: SparseBody, people: SyntheticPeople, alone: RefineResult) -> None:
    is_known = torch.arange(COUNT) % 2 == 0
    observations = relative_to_root(people, coco(open_body, people), is_known[:, None].expand(-1, 17))
    found = fitted(open_body, people, observations)
    assert torch.equal(found.parameters.body_pose[~is_known], alone.parameters.body_pose[~is_known])
    assert torch.equal(found.keypoints_px[~is_known], alone.keypoints_px[~is_known])
    assert not torch.equal(found.keypoints_px[is_known], alone.keypoints_px[is_known])


def test_places_and_places_but_for_a_shift_go_together(
    open_body: SparseBody, people: SyntheticPeople, result: RefineResult
) -> None:
    places = coco(open_body, people)
    is_relative = torch.arange(COUNT) % 2 == 0
    sigma = torch.full((COUNT, 17), SIGMA_M)
    found = fitted(open_body, people, with_points(people.observations, "coco", places, sigma, is_relative))
    depth = found.parameters.known("transl_m")[:, 2] - open_body.forward(people.truth).translation[:, 2]
    assert depth[~is_relative].abs().max() < 0.03
    torch.testing.assert_close(found.parameters.body_pose[is_relative], result.parameters.body_pose[is_relative])


def test_points_that_are_no_numbers_are_not_known(open_body: SparseBody, people: SyntheticPeople) -> None:
    places, known = coco(open_body, people), torch.ones(COUNT, 17, dtype=torch.bool)
    known[:, 9] = False
    without = fitted(open_body, people, relative_to_root(people, places, known))
    places[:, 9, 1] = torch.nan
    assert torch.equal(
        fitted(open_body, people, relative_to_root(people, places)).parameters.body_pose, without.parameters.body_pose
    )


def test_a_single_point_says_nothing(open_body: SparseBody, people: SyntheticPeople) -> None:
    one = torch.arange(17).expand(COUNT, -1) == 9
    stated = Stated.of(relative_to_root(people, coco(open_body, people), one), torch.float32)
    assert stated is not None
    assert not stated.point_precision.any()
    two = Stated.of(relative_to_root(people, coco(open_body, people), one | one.roll(1, 1)), torch.float32)
    assert two is not None
    assert (two.point_precision > 0).sum(1).tolist() == [2] * COUNT


@pytest.mark.parametrize(
    "degenerate", ["a mirror", *(pytest.param(name, marks=pytest.mark.long) for name in ("one spot", "millimetres"))]
)
def test_points_of_nobody_leave_what_the_image_says(
    open_body: SparseBody, people: SyntheticPeople, alone: RefineResult, degenerate: str
) -> None:
    places = coco(open_body, people)
    middle = places.mean(1, keepdim=True)
    places = {
        "one spot": middle.expand_as(places),
        "a mirror": places * torch.tensor([-1.0, 1, 1]),
        "millimetres": places * 1000,
    }[degenerate]
    found = fitted(open_body, people, relative_to_root(people, places))
    assert torch.isfinite(found.parameters.body_pose).all()
    errors, guessed = (joint_errors_mm(open_body, people, one).median() for one in (found, alone))
    assert errors < 2.5 * guessed


def test_who_is_not_seen_in_the_image_stands_nowhere(open_body: SparseBody, people: SyntheticPeople) -> None:
    observations = relative_to_root(people, coco(open_body, people))
    blind = replace(observations, sigma_px=torch.full_like(observations.sigma_px, torch.inf))
    found = fitted(open_body, people, blind)
    assert not found.part_valid.any()
    assert torch.isfinite(found.parameters.body_pose).all()


def test_points_of_two_origins_are_refused(open_body: SparseBody, people: SyntheticPeople) -> None:
    observations = relative_to_root(people, coco(open_body, people))
    places, sigma = torch.zeros(COUNT, 24, 3), torch.full((COUNT, 24), SIGMA_M)
    with pytest.raises(ValueError, match="those of one origin"):
        with_points(observations, "smpl", places, sigma, torch.zeros(COUNT, dtype=torch.bool))
    both = with_points(observations, "smpl", places, sigma)
    assert both.points_are_relative is not None
    assert both.points_are_relative.all()

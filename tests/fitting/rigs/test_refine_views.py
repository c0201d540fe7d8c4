"""People seen by several cameras: laws of the joint fit, and what becomes of views that do not belong."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.rig_people import RigPeople, disturbed, make_rig_people, other_person
from fitting import so3
from fitting.refine import RefineResult, refine
from fitting.rigs.inputs import Rig
from fitting.rigs.refine import RigResult, refine_views
from fitting.rigs.settings import RigConfig
from fitting.sparse_body import SparseBody
from model.batches import take_rows, tensors_of

PEOPLE, VIEWS = 8, 4


def fitted(body: SparseBody, people: RigPeople, rig: Rig | None = None, **settings: Any) -> RigResult:
    return refine_views(body, people.observations, people.coarse, people.camera, rig or people.rig, **settings)


def alone(body: SparseBody, people: RigPeople) -> RefineResult:
    return refine(body, people.observations, people.coarse, people.camera)


def all_equal(first: RefineResult, second: RefineResult) -> bool:
    """To the bit, in everything that a result says."""
    pairs = zip(tensors_of(first), tensors_of(second), strict=True)
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


def mean_error_mm(body: SparseBody, people: RigPeople, result: RefineResult) -> float:
    """Mean distance of the keypoints from where they truly are, in the frame of each camera."""
    truth = body.forward(people.truth).points_cam
    pixels = (truth[..., :2] / truth[..., 2:]) * people.camera.focal_px[:, None, None]
    off = result.keypoints_px - pixels - people.camera.principal_px[:, None]
    depth = truth[..., 2] / people.camera.focal_px[:, None]
    across = (off * depth[..., None]).square().sum(-1)
    along = result.parameters.known("transl_m")[:, 2] - body.forward(people.truth).translation[:, 2]
    return float(1e3 * (across + along.square()[:, None]).sqrt().mean())


def same_person(first: RefineResult, second: RefineResult, tolerance: float) -> bool:
    """Whether two results are of the same bodies at the same places."""
    names = ("global_orient", "body_pose", "left_hand_pose", "betas", "head_scale", "transl_m")
    pairs = [(getattr(first.parameters, name), getattr(second.parameters, name)) for name in names]
    return all((a - b).abs().max() < tolerance for a, b in pairs)


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> RigPeople:
    return make_rig_people(open_body, PEOPLE, VIEWS)


@pytest.fixture(scope="module")
def single(open_body: SparseBody, people: RigPeople) -> RefineResult:
    return alone(open_body, people)


@pytest.fixture(scope="module")
def joint(open_body: SparseBody, people: RigPeople) -> RigResult:
    return fitted(open_body, people)


def test_one_view_is_the_single_view_fit_to_the_bit(
    open_body: SparseBody, people: RigPeople, single: RefineResult
) -> None:
    apart = replace(people.rig, moment=torch.arange(PEOPLE * VIEWS).flip(0))
    result = fitted(open_body, people, apart)
    assert all_equal(result.people, single)
    assert not result.joined.any()
    assert set(result.reasons) == {None}


def test_several_views_know_depth_and_are_one_body(
    open_body: SparseBody, people: RigPeople, joint: RigResult, single: RefineResult
) -> None:
    assert joint.joined.all()
    assert mean_error_mm(open_body, people, joint.people) < 0.1 * mean_error_mm(open_body, people, single)
    assert joint.people.converged.all()
    assert joint.people.part_valid[:, 0].all()
    assert (joint.people.uncertainty.log_depth_sigma < 0.1 * single.uncertainty.log_depth_sigma).all()
    for name in ("body_pose", "left_hand_pose", "betas", "head_scale"):
        views = getattr(joint.people.parameters, name).unflatten(0, (PEOPLE, VIEWS))
        assert torch.equal(views, views[:, :1].expand_as(views)), name
    turn, spread = people.rig.rotation.float().transpose(-1, -2), joint.people.uncertainty
    place = (turn @ spread.place_covariance_m2 @ turn.transpose(-1, -2)).unflatten(0, (PEOPLE, VIEWS))
    assert (place - place[:, :1]).abs().max() < 1e-3 * place.abs().max()
    world = (turn @ joint.people.parameters.global_orient).unflatten(0, (PEOPLE, VIEWS))
    assert (world - world[:, :1]).abs().max() < 1e-5


def test_the_laws_of_a_rig(open_body_f64: SparseBody) -> None:
    """Order of the views, motion of the whole rig, and a view that sees nothing change nothing."""
    people = make_rig_people(open_body_f64, 3, 3)
    usual = fitted(open_body_f64, people).people
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    mixed = fitted(open_body_f64, take_rows(people, order)).people
    assert same_person(mixed, take_rows(usual, order), 1e-6)

    turn = so3.exp(torch.tensor([0.4, -1.0, 0.3], dtype=torch.float64))
    shift = people.rig.translation_m + people.rig.rotation @ torch.tensor([20.0, -3.0, 7.0], dtype=torch.float64)
    moved = replace(people.rig, rotation=people.rig.rotation @ turn, translation_m=shift)
    assert same_person(fitted(open_body_f64, people, moved).people, usual, 1e-6)

    seeing, blind = torch.arange(9).view(3, 3)[:, :2].flatten(), torch.arange(9) % 3 == 2
    two = fitted(open_body_f64, take_rows(people, seeing)).people
    sigma = torch.where(blind[:, None], torch.inf, people.observations.sigma_px)
    hidden = replace(people, observations=replace(people.observations, sigma_px=sigma))
    assert same_person(take_rows(fitted(open_body_f64, hidden).people, seeing), two, 1e-6)


@pytest.mark.long
def test_a_view_of_another_person_is_dropped_and_told(open_body: SparseBody, people: RigPeople) -> None:
    wrong = torch.arange(PEOPLE * VIEWS) % VIEWS == 1
    mixed = other_person(people, VIEWS, 1)
    result = fitted(open_body, mixed)
    assert torch.equal(result.joined, ~wrong)
    assert all_equal(
        take_rows(result.people, torch.nonzero(wrong).squeeze(1)),
        take_rows(alone(open_body, mixed), torch.nonzero(wrong).squeeze(1)),
    )
    for row, reason in enumerate(result.reasons):
        assert ("somebody else" in (reason or "")) == bool(wrong[row])


@pytest.mark.long
def test_two_views_of_two_people_are_fitted_apart(open_body: SparseBody) -> None:
    pairs = other_person(make_rig_people(open_body, PEOPLE, 2, arc_deg=90.0), 2, 1)
    result = fitted(open_body, pairs)
    assert not result.joined.any()
    assert all_equal(result.people, alone(open_body, pairs))
    assert all("two views agree" in (reason or "") for reason in result.reasons)


def in_millimetres(rig: Rig) -> Rig:
    return replace(rig, translation_m=1e3 * rig.translation_m)


def from_camera_to_world(rig: Rig) -> Rig:
    back = rig.rotation.transpose(-1, -2)
    return replace(rig, rotation=back, translation_m=-(back @ rig.translation_m[..., None]).squeeze(-1))


def mirrored(rig: Rig) -> Rig:
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=rig.rotation.dtype)
    return replace(rig, rotation=flip[:, None] * rig.rotation, translation_m=flip * rig.translation_m)


def of_opengl(rig: Rig) -> Rig:
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=rig.rotation.dtype)
    return replace(rig, rotation=flip[:, None] * rig.rotation, translation_m=flip * rig.translation_m)


def one_after_the_other(rig: Rig) -> Rig:
    return replace(rig, time_s=torch.arange(len(rig.time_s)) * 0.033)


def unknown(rig: Rig) -> Rig:
    return replace(rig, translation_m=rig.translation_m * torch.nan)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (in_millimetres, "times as long as people's: extrinsics are in metres"),
        pytest.param(from_camera_to_world, "not from world to camera", marks=pytest.mark.long),
        pytest.param(mirrored, "is a mirror", marks=pytest.mark.long),
        pytest.param(of_opengl, "not from world to camera", marks=pytest.mark.long),
        (one_after_the_other, "ms from the other views of its moment"),
        pytest.param(unknown, "not finite", marks=pytest.mark.long),
    ],
)
def test_a_wrong_rig_is_told_and_gives_the_single_view_results(
    open_body: SparseBody, people: RigPeople, single: RefineResult, broken: Any, words: str
) -> None:
    turned = so3.exp(torch.tensor([0.3, 0.8, -0.4], dtype=torch.float64))
    shift = people.rig.translation_m + people.rig.rotation @ torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    rig = broken(replace(people.rig, rotation=people.rig.rotation @ turned, translation_m=shift))
    first = torch.arange(3 * VIEWS)
    some = take_rows(people, first)
    result = fitted(open_body, some, take_rows(rig, first))
    lone = ~result.joined
    # Of views that are taken one after the other, the middle one is alone as well.
    assert lone.all()
    assert all_equal(result.people, take_rows(single, first))
    assert sum(words in (reason or "") for reason in result.reasons) > 0.6 * len(first)


def test_a_rig_about_its_first_camera_that_is_inverse_is_told(open_body: SparseBody) -> None:
    """Such a rig agrees with itself on a person mirrored in depth."""
    people = make_rig_people(open_body, 3, 3, arc_deg=40.0)
    result = fitted(open_body, people, from_camera_to_world(people.rig))
    assert not result.joined.any()
    assert all_equal(result.people, alone(open_body, people))
    assert all("put near what the estimates" in (reason or "") for reason in result.reasons)


def test_views_along_one_line_say_nothing_of_depth(open_body: SparseBody) -> None:
    people = make_rig_people(open_body, 2, 2)
    rig = replace(people.rig, rotation=people.rig.rotation[[0, 0, 2, 2]], translation_m=people.rig.translation_m * 0)
    observations = take_rows(people.observations, torch.tensor([0, 0, 2, 2]))
    result = refine_views(open_body, observations, people.coarse, people.camera, rig)
    assert not result.joined.any()
    assert all("along one line" in (reason or "") for reason in result.reasons)


def test_a_rig_without_times_is_refused(people: RigPeople) -> None:
    with pytest.raises(ValueError, match="needs the time of every row"):
        replace(people.rig, time_s=people.rig.time_s * torch.nan)
    with pytest.raises(ValueError, match="needs rotation"):
        replace(people.rig, rotation=people.rig.rotation[:3])


def test_extrinsics_are_refined_from_the_people(open_body: SparseBody) -> None:
    people = make_rig_people(open_body, 1, VIEWS, frames=10, seed=2)
    off = disturbed(people.rig, 0.5, 0.01)
    result = fitted(open_body, people, off, rig_config=RigConfig(rotation_sigma_deg=0.3, refine_extrinsics=True))

    def between(rig: Rig) -> float:
        turn = rig.rotation[:VIEWS]
        true = people.rig.rotation[:VIEWS]
        pairs = (turn[1:] @ turn[0].T, true[1:] @ true[0].T)
        return float(so3.angle_between(*pairs).mean())

    assert between(result.rig) < 0.5 * between(off)
    assert mean_error_mm(open_body, people, result.people) < 0.6 * mean_error_mm(
        open_body, people, fitted(open_body, people, off).people
    )
    nameless = replace(off, camera_index=None)
    with pytest.raises(ValueError, match="camera_index"):
        fitted(open_body, people, nameless, rig_config=RigConfig(refine_extrinsics=True))


def test_moments_of_a_person_share_shape_and_scale(open_body: SparseBody) -> None:
    people = make_rig_people(open_body, 2, 2, arc_deg=90.0, frames=3)
    index = torch.arange(2).repeat_interleave(6)
    result = fitted(open_body, people, person_index=index)
    for name in ("betas", "head_scale"):
        rows = getattr(result.people.parameters, name).unflatten(0, (2, 6))
        assert torch.equal(rows, rows[:, :1].expand_as(rows)), name
        assert (rows[0] - rows[1]).abs().max() > 0.05, name

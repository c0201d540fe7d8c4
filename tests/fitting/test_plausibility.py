"""Parts that a fit comes near to and that are nobody's are refused with a reason; those of people are kept."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch

from benchmarks import validity
from benchmarks.synthetic_people import StudyConfig, SyntheticPeople, keep_keypoints, make_people
from datasets_manifest.schema.labels import ErrorCode
from fitting import so3
from fitting.inputs import is_rotation
from fitting.keypoint_term import precision_of
from fitting.refine import RefineConfig, RefineResult, Status, refine
from fitting.sparse_body import SparseBody
from model.body import skeleton
from model.imaging.camera import Camera

COUNT = 48


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, COUNT, seed=21)


@pytest.fixture(scope="module")
def refined(open_body: SparseBody, people: SyntheticPeople) -> RefineResult:
    return refine(open_body, people.observations, people.coarse, people.camera)


@pytest.fixture(scope="module")
def changed(open_body: SparseBody, people: SyntheticPeople) -> Callable[[str], RefineResult]:
    """The people with a part wrong, refined; once each."""

    @cache
    def of(name: str) -> RefineResult:
        keypoints = people.observations.keypoints_px.clone()
        validity.WRONG[name][0](keypoints, people)
        return refine(open_body, replace(people.observations, keypoints_px=keypoints), people.coarse, people.camera)

    return of


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name != "hands swapped" else [])
        for name, (_, parts) in validity.WRONG.items()
        if parts != (validity.BODY,)
    ],
)
def test_wrong_parts_are_refused(changed: Callable[[str], RefineResult], name: str) -> None:
    parts = validity.WRONG[name][1]
    result = changed(name)
    # Of hands that touch each other, or whose wrists were not seen, the fingers alone tell whose they are.
    allowed = 0.04 if "hand" in name and "spot" not in name and "pixel" not in name else 0.0
    assert result.part_valid[:, parts].double().mean() <= allowed
    good = [part for part in range(4) if part not in parts and part != validity.BODY]
    assert result.part_valid[:, good].double().mean() > 0.95


@pytest.mark.long
@pytest.mark.parametrize("name", ["torso off the limbs", "somebody else's legs", "somebody else's upper half"])
def test_a_body_half_of_which_is_elsewhere_is_none(changed: Callable[[str], RefineResult], name: str) -> None:
    assert not changed(name).part_valid[:, validity.BODY].any()


def test_a_wrong_estimate_of_a_body_that_is_met_is_no_doubt(open_body: SparseBody, people: SyntheticPeople) -> None:
    """Turned by three standard deviations, the body is what its keypoints show."""
    assert people.coarse.sigma_rad is not None
    angle = 3 * 3**0.5 * people.coarse.sigma_rad[:, 0]
    turn = so3.exp(angle[:, None] * torch.tensor([0.0, 1.0, 0.0]).to(angle))
    coarse = replace(people.coarse, global_orient=people.coarse.global_orient @ turn)
    result = refine(open_body, people.observations, coarse, people.camera)
    assert result.part_valid[:, validity.BODY].double().mean() > 0.95


def test_good_parts_are_held_to_nothing_new(people: SyntheticPeople, refined: RefineResult) -> None:
    """No part of people who are seen as usual is refused as implausible."""
    doubts = [refined.reprojection.doubt(row, part) for row in range(COUNT) for part in range(4)]
    assert not [doubt for doubt in doubts if doubt is not None and doubt.code == ErrorCode.FIT_IMPLAUSIBLE]
    assert refined.part_valid.double().mean() > 0.96


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(
            "hand on one pixel", "half of its points within 0 mm of their middle, needed 16 mm", marks=pytest.mark.long
        ),
        ("the other hand's points", "standard deviations from its estimate, allowed 1.2"),
        pytest.param("face 2.2 times as large", "standard deviations from 1, allowed 3", marks=pytest.mark.long),
        pytest.param("somebody else's legs", "hips, knees or shoulders missed, and turned", marks=pytest.mark.long),
    ],
)
def test_what_is_implausible_says_why(changed: Callable[[str], RefineResult], name: str, said: str) -> None:
    (part, *_), result = validity.WRONG[name][1], changed(name)
    doubts = [result.reprojection.doubt(row, part) for row in range(COUNT)]
    sentences = [doubt.detail for doubt in doubts if doubt is not None and doubt.code == ErrorCode.FIT_IMPLAUSIBLE]
    assert [sentence for sentence in sentences if said in sentence]


@pytest.mark.long
def test_a_body_that_no_person_has_makes_nothing_valid(open_body: SparseBody, people: SyntheticPeople) -> None:
    coarse = replace(people.coarse, betas=torch.full_like(people.coarse.betas, 1e4))
    assert not refine(open_body, people.observations, coarse, people.camera).part_valid.any()


def test_a_hand_alone_on_one_pixel_is_refused(open_body: SparseBody, people: SyntheticPeople) -> None:
    """Nothing else says how far away it is: it could be a large one far off."""
    keypoints = people.observations.keypoints_px.clone()
    keypoints[:, skeleton.LEFT_HAND] = keypoints[:, skeleton.LEFT_HAND.start, None]
    alone = keep_keypoints(replace(people.observations, keypoints_px=keypoints), [skeleton.LEFT_HAND])
    assert not refine(open_body, alone, people.coarse, people.camera).part_valid.any()


# --- misfits ----------------------------------------------------------------------------------------------------------
def test_a_fit_far_from_its_keypoints_is_a_misfit(open_body: SparseBody, people: SyntheticPeople) -> None:
    noise = torch.randn(COUNT, 133, 2, generator=torch.Generator().manual_seed(0)) * people.height_px[:, None, None]
    lost = replace(people.observations, keypoints_px=people.observations.keypoints_px + noise)
    result = refine(open_body, lost, people.coarse, people.camera)
    assert (result.status == Status.MISFIT).all()
    assert not result.converged.any()
    assert not result.part_valid.any()


def test_people_who_are_met_are_no_misfits(refined: RefineResult) -> None:
    assert (refined.status == Status.CONVERGED).all()


# --- inputs -----------------------------------------------------------------------------------------------------------
def test_a_stated_position_that_shows_nothing_is_dropped(
    open_body: SparseBody, people: SyntheticPeople, refined: RefineResult
) -> None:
    places = [(0.0, 0.0, -3.0), (0.0, 0.0, 0.0), (0.0, 0.0, 1e6), (1e5, 0.0, 5.0), (0.0, 0.0, 1e30)]
    coarse = replace(people.coarse, transl_m=torch.tensor(places)[torch.arange(COUNT) % len(places)])
    result = refine(open_body, people.observations, coarse, people.camera)
    assert torch.equal(result.keypoints_px, refined.keypoints_px)


def test_a_stated_position_that_shows_the_person_is_kept(open_body: SparseBody) -> None:
    people = make_people(open_body, 32, seed=4, config=StudyConfig(log_depth_error=0.2))
    result = refine(
        open_body, people.observations, people.coarse, people.camera, RefineConfig(graduated_iterations=0, iterations=0)
    )
    assert people.coarse.transl_m is not None
    assert (result.parameters.known("transl_m") - people.coarse.transl_m).abs().max() < 1e-4


@pytest.mark.long
def test_one_absurd_keypoint_is_a_missing_one(
    open_body: SparseBody, people: SyntheticPeople, refined: RefineResult
) -> None:
    sigma = people.observations.sigma_px.clone()
    sigma[:, 7] = torch.inf
    missing = refine(open_body, replace(people.observations, sigma_px=sigma), people.coarse, people.camera)
    keypoints = people.observations.keypoints_px.clone()
    keypoints[:, 7] = torch.tensor([1e30, -1e12, 1e6])[torch.arange(COUNT) % 3, None]
    absurd = refine(open_body, replace(people.observations, keypoints_px=keypoints), people.coarse, people.camera)
    assert torch.equal(absurd.keypoints_px, missing.keypoints_px)
    assert torch.equal(absurd.status, missing.status)


def test_feet_of_a_close_up_are_not_absurd(people: SyntheticPeople) -> None:
    sigma = people.observations.sigma_px.clone()
    sigma[:, 5:15] = sigma[:, 91:] = torch.inf
    seen = torch.isfinite(sigma)
    assert ((precision_of(sigma, people.clean_px) > 0) == seen).all()


def test_an_orientation_that_is_no_rotation_is_no_estimate(
    open_body: SparseBody, people: SyntheticPeople, refined: RefineResult
) -> None:
    orient = people.coarse.global_orient.clone()
    orient[5:9] = torch.stack([torch.zeros(3, 3), -torch.eye(3), 1.1 * torch.eye(3), torch.full((3, 3), 0.5)])
    result = refine(open_body, people.observations, replace(people.coarse, global_orient=orient), people.camera)
    others = (torch.arange(COUNT) < 5) | (torch.arange(COUNT) >= 9)
    assert (result.status[5:9] == Status.NOT_FINITE).all()
    assert not result.part_valid[5:9].any()
    assert torch.equal(result.keypoints_px[others], refined.keypoints_px[others])


def test_rotations_with_the_rounding_of_files_are_rotations(people: SyntheticPeople) -> None:
    rounded = (people.coarse.body_pose * 1000).round() / 1000
    assert is_rotation(rounded).all()


@pytest.mark.long
def test_a_short_focal_length_makes_no_monsters(open_body: SparseBody, people: SyntheticPeople) -> None:
    """Heads and bodies that make up for a wrong camera are refused."""
    wrong = Camera(focal_px=torch.full((COUNT,), 50.0), principal_px=people.camera.principal_px)
    result = refine(open_body, people.observations, people.coarse, wrong)
    scale = result.parameters.head_scale[result.part_valid[:, validity.FACE]]
    assert ((scale > 0.69) & (scale < 1.44)).all()

"""Keypoints known in 3D as observations, alone and beside those of an image."""

from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import StudyConfig, SyntheticPeople, annotation_offset_m, make_people
from fitting.inputs import Observations
from fitting.points_3d import point_map, with_points
from fitting.refine import RefineResult, refine
from fitting.sparse_body import SparseBody
from model.batches import take_rows
from model.body import skeleton

PEOPLE, SIGMA_M = 12, 0.01


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, PEOPLE, seed=4)


@pytest.fixture(scope="module")
def single(open_body: SparseBody, people: SyntheticPeople) -> RefineResult:
    return refine(open_body, people.observations, people.coarse, people.camera)


def noise(*shape: int) -> torch.Tensor:
    return SIGMA_M * torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def true_points(body: SparseBody, people: SyntheticPeople) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints (B, 133, 3) and joints (B, 55, 3) in the frame of the camera."""
    forward = body.forward(people.truth)
    return forward.points_cam, forward.joints + forward.translation[:, None]


def joint_error_mm(body: SparseBody, people: SyntheticPeople, result: RefineResult) -> float:
    """Mean error of the 22 joints, pelvis on pelvis."""
    parameters = result.parameters
    forward = body.forward(people.truth)
    coefficients = torch.cat([parameters.betas, people.truth.coefficients[:, 10:]], 1)
    state = replace(
        people.truth,
        global_orient=parameters.global_orient,
        body_pose=parameters.body_pose,
        coefficients=coefficients,
    )
    off = body.forward(state).joints[:, :22] - forward.joints[:, :22]
    return float(1e3 * off.square().sum(-1).sqrt().mean())


def blind(observations: Observations) -> Observations:
    return replace(observations, sigma_px=torch.full_like(observations.sigma_px, torch.inf))


@pytest.mark.parametrize(
    "name",
    [
        "coco",
        "human36m",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("wholebody", "human36m_mmpose", "smpl", "smplx")),
    ],
)
def test_points_of_every_set_find_depth_and_pose(
    open_body: SparseBody, people: SyntheticPeople, single: RefineResult, name: str
) -> None:
    points, joints = true_points(open_body, people)
    keypoints, inner, number = point_map(name)  # pyright: ignore[reportArgumentType]
    places, sigma = torch.full((PEOPLE, number, 3), torch.nan), torch.full((PEOPLE, number), torch.inf)
    for pairs, true in ((keypoints, points), (inner, joints)):
        for point, place in pairs:
            places[:, point], sigma[:, point] = true[:, place], SIGMA_M
    observations = with_points(people.observations, name, places + noise(PEOPLE, number, 3), sigma)  # pyright: ignore[reportArgumentType]
    result = refine(open_body, observations, people.coarse, people.camera)
    depth = result.parameters.known("transl_m")[:, 2] - open_body.forward(people.truth).translation[:, 2]
    assert depth.abs().max() < 0.03
    assert joint_error_mm(open_body, people, result) < 0.5 * joint_error_mm(open_body, people, single)
    assert (result.uncertainty.log_depth_sigma < 0.1 * single.uncertainty.log_depth_sigma).all()


def test_points_in_3d_alone_make_a_body_and_no_hands(open_body: SparseBody, people: SyntheticPeople) -> None:
    points = true_points(open_body, people)[0][:, :17]
    sigma = torch.full((PEOPLE, 17), SIGMA_M)
    observations = with_points(blind(people.observations), "coco", points + noise(PEOPLE, 17, 3), sigma)
    result = refine(open_body, observations, people.coarse, people.camera)
    assert joint_error_mm(open_body, people, result) < 25
    assert result.part_valid[:, 0].all()
    assert not result.part_valid[:, 1:].any()


def test_points_in_3d_need_no_estimate(open_body: SparseBody, people: SyntheticPeople) -> None:
    few = torch.arange(2)
    points = true_points(open_body, people)[0][:2]
    seen = with_points(take_rows(people.observations, few), "wholebody", points, torch.full((2, 133), SIGMA_M))
    coarse = replace(take_rows(people.coarse, few), body_valid=torch.zeros(2, dtype=torch.bool))
    result = refine(open_body, blind(seen), coarse, take_rows(people.camera, few))
    assert joint_error_mm(open_body, take_rows(people, few), result) < 40


def test_what_is_not_known_in_3d_changes_nothing(
    open_body: SparseBody, people: SyntheticPeople, single: RefineResult
) -> None:
    nothing = torch.full((PEOPLE, 17), torch.inf)
    observations = with_points(people.observations, "coco", torch.full((PEOPLE, 17, 3), torch.nan), nothing)
    result = refine(open_body, observations, people.coarse, people.camera)
    assert (result.keypoints_px - single.keypoints_px).abs().median() < 0.01


def test_joints_are_joints_wherever_the_hips_of_the_image_are(open_body: SparseBody) -> None:
    """Hips marked 4.6 cm off the joints in the image, and the joints themselves in 3D."""
    config = StudyConfig(hip_offset_m=(0.02, 0.04, 0.01), shoulder_offset_m=(0.01, 0.02, 0.0))
    people = make_people(open_body, PEOPLE, seed=4, config=config)
    offset = torch.tensor([*config.hip_offset_m, *config.shoulder_offset_m]).expand(PEOPLE, 6)
    stated = replace(people.observations, surface_offset_m=offset, surface_sigma_m=torch.full((PEOPLE, 6), 0.005))
    points, joints = true_points(open_body, people)
    sigma = torch.full((PEOPLE, 24), SIGMA_M)
    places = torch.cat([joints[:, :22], joints[:, 22:24]], 1) + noise(PEOPLE, 24, 3)
    by_joints = refine(open_body, with_points(stated, "smpl", places, sigma), people.coarse, people.camera)
    assert joint_error_mm(open_body, people, by_joints) < 12
    marked = points + annotation_offset_m(open_body.forward(people.truth).rotations, config)
    marked = marked[:, :17] + noise(PEOPLE, 17, 3)
    by_points = with_points(stated, "coco", marked, sigma[:, :17])
    result = refine(open_body, by_points, people.coarse, people.camera)
    assert joint_error_mm(open_body, people, result) < 14


def test_sets_and_shapes_that_do_not_fit_are_refused(people: SyntheticPeople) -> None:
    observations, points = people.observations, torch.zeros(PEOPLE, 17, 3)
    with pytest.raises(ValueError, match="unknown set 'openpose'"):
        point_map("openpose")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"human36m for 12 people need places \(12, 17, 3\)"):
        with_points(observations, "human36m", points[:, :14], torch.ones(PEOPLE, 14))
    with pytest.raises(ValueError, match="points_m"):
        replace(observations, points_m=torch.zeros(PEOPLE, skeleton.NUM_KEYPOINTS, 3))

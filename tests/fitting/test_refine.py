"""The refinement on synthetic people with known truth."""

from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import (
    HARD_START,
    SURFACE_ANNOTATION,
    StudyConfig,
    SyntheticPeople,
    keep_keypoints,
    make_people,
)
from fitting import so3
from fitting.initialise import linear_coefficients
from fitting.inputs import Coarse
from fitting.refine import Camera, RefineConfig, RefineResult, Status, refine
from fitting.sparse_body import SparseBody
from model.batches import take_rows
from model.body import skeleton
from model.body.skeleton import NUM_MAIN_JOINTS
from model.imaging import camera as pinhole
from model.metrics.joints import mean_distance_mm, pa_mpjpe_mm

FACE_AND_HANDS = [skeleton.FACE, skeleton.LEFT_HAND, skeleton.RIGHT_HAND]
DEGREE = torch.pi / 180


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, 32, seed=1)


@pytest.fixture(scope="module")
def refined(open_body: SparseBody, people: SyntheticPeople) -> RefineResult:
    return refine(open_body, people.observations, people.coarse, people.camera)


def joints_of(body: SparseBody, people: SyntheticPeople, result: RefineResult) -> torch.Tensor:
    """(B, 22, 3) joints relative to the pelvis of the refined people."""
    parameters = result.parameters
    hands = torch.stack([parameters.left_hand_pose, parameters.right_hand_pose], 1)
    state = replace(
        people.truth,
        global_orient=parameters.global_orient,
        body_pose=parameters.body_pose,
        jaw_pose=parameters.jaw_pose,
        hand_pca=body.hand_coordinates(hands),
        coefficients=linear_coefficients(body, parameters.betas, parameters.flame_expression, parameters.flame_shape),
        log_head_scale=torch.log(parameters.head_scale),
        position=pinhole.transl_to_position(parameters.transl_m),
    )
    return body.forward(state).joints[:, :NUM_MAIN_JOINTS]


def error_mm(body: SparseBody, people: SyntheticPeople, result: RefineResult, *, aligned: bool) -> torch.Tensor:
    measure = pa_mpjpe_mm if aligned else mean_distance_mm
    return measure(joints_of(body, people, result), body.forward(people.truth).joints[:, :NUM_MAIN_JOINTS])


def start_error_mm(body: SparseBody, people: SyntheticPeople) -> torch.Tensor:
    coarse = replace(
        people.truth,
        global_orient=people.coarse.global_orient,
        body_pose=people.coarse.body_pose,
        coefficients=torch.zeros_like(people.truth.coefficients),
    )
    return pa_mpjpe_mm(
        body.forward(coarse).joints[:, :NUM_MAIN_JOINTS], body.forward(people.truth).joints[:, :NUM_MAIN_JOINTS]
    )


def clean_error(people: SyntheticPeople, result: RefineResult) -> torch.Tensor:
    """(B, 133) distance to the noise-free keypoints, px at a height of 512."""
    return (result.keypoints_px - people.clean_px).norm(dim=-1) * 512 / people.height_px[:, None]


def test_body_is_recovered(open_body: SparseBody, people: SyntheticPeople, refined: RefineResult) -> None:
    start, end = start_error_mm(open_body, people), error_mm(open_body, people, refined, aligned=True)
    assert start.mean() > 45
    assert end.mean() < 20
    assert (end < start).all()
    assert error_mm(open_body, people, refined, aligned=False).mean() < 40


@pytest.mark.long
def test_joints_whose_estimate_is_plainly_wrong_are_recovered(open_body: SparseBody) -> None:
    people = make_people(open_body, 32, seed=1, config=HARD_START)
    believing = RefineConfig(wrong_joint_share=0.0)
    doubting, plain = (
        error_mm(
            open_body,
            people,
            refine(open_body, people.observations, people.coarse, people.camera, config),
            aligned=False,
        )
        for config in (RefineConfig(), believing)
    )
    assert doubting.mean() < 45
    assert doubting.mean() < 0.95 * plain.mean()


def test_keypoints_are_reached_in_spite_of_outliers(people: SyntheticPeople, refined: RefineResult) -> None:
    error = clean_error(people, refined)
    assert error[:, :23].median() < 2.0
    assert error[:, skeleton.FACE].median() < 0.9
    assert error[:, 91:].median() < 1.4
    assert torch.quantile(error[:, :23].flatten(), 0.95) < 6.0


def test_everyone_converges_in_few_steps(refined: RefineResult) -> None:
    assert (refined.status == Status.CONVERGED).all()
    assert refined.iterations.double().mean() < 15


def test_outliers_are_found(people: SyntheticPeople, refined: RefineResult) -> None:
    seen = torch.isfinite(people.observations.sigma_px)
    assert refined.reprojection.inlier[people.outlier & seen].double().mean() < 0.02
    assert refined.reprojection.inlier[~people.outlier & seen].double().mean() > 0.97


def test_head_scale_is_recovered(people: SyntheticPeople, refined: RefineResult) -> None:
    truth = torch.exp(people.truth.log_head_scale)
    assert (refined.parameters.head_scale - truth).abs().mean() < 0.65 * (1 - truth).abs().mean()


def test_parts_that_were_seen_are_valid(refined: RefineResult) -> None:
    assert refined.part_valid.double().mean(0).min() > 0.9
    assert refined.quality.min() > 0.1
    assert refined.quality.max() <= 1


def test_reprojection_figures_match_the_keypoints(people: SyntheticPeople, refined: RefineResult) -> None:
    distance = (refined.keypoints_px - people.observations.keypoints_px).norm(dim=-1)
    inlier = refined.reprojection.inlier[0, skeleton.FACE]
    assert refined.reprojection.reproj_px[0, 3] == distance[0, skeleton.FACE][inlier].median()


@pytest.mark.long
def test_stated_surface_offsets_make_up_for_hips_and_shoulders_off_their_joints(open_body: SparseBody) -> None:
    """Ignored offsets of 2-4.6 cm cost a quarter of the accuracy; stated ones, of which the mean is known, little."""
    places = replace(SURFACE_ANNOTATION, offset_spread=0.25)
    people = make_people(open_body, 48, seed=12, config=places)
    offset = torch.tensor([*places.hip_offset_m, *places.shoulder_offset_m]).expand(48, 6)
    stated = replace(people.observations, surface_offset_m=offset, surface_sigma_m=torch.full((48, 6), 0.015))
    errors = {
        name: error_mm(open_body, people, refine(open_body, seen, people.coarse, people.camera), aligned=False).mean()
        for name, seen in (("ignored", people.observations), ("stated", stated))
    }
    assert errors["stated"] < 0.9 * errors["ignored"]


def test_rows_that_state_no_surface_offset_take_that_of_the_recipe(
    open_body: SparseBody, people: SyntheticPeople, refined: RefineResult
) -> None:
    unstated = torch.full((32, 6), torch.nan)
    observations = replace(people.observations, surface_offset_m=unstated, surface_sigma_m=unstated)
    result = refine(open_body, observations, people.coarse, people.camera)
    assert torch.equal(result.keypoints_px, refined.keypoints_px)


def test_upper_body_alone_keeps_the_legs_at_their_estimate(open_body: SparseBody, people: SyntheticPeople) -> None:
    observations = keep_keypoints(people.observations, [slice(0, 11), *FACE_AND_HANDS])
    result = refine(open_body, observations, people.coarse, people.camera)
    assert error_mm(open_body, people, result, aligned=True).mean() < 45
    turned = so3.angle_between(result.parameters.body_pose, people.coarse.body_pose)
    assert turned[:, [3, 4, 6, 7, 9, 10]].max() < 2 * DEGREE
    assert not result.reprojection.joint_seen[:, [1, 2, 4, 5, 7, 8]].any()
    assert result.part_valid[:, 0].double().mean() > 0.7


def test_head_alone_makes_a_valid_face_and_no_valid_body(open_body: SparseBody, people: SyntheticPeople) -> None:
    observations = keep_keypoints(people.observations, [slice(0, 5), skeleton.FACE])
    result = refine(open_body, observations, people.coarse, people.camera)
    assert result.part_valid[:, 3].all()
    assert not result.part_valid[:, :3].any()
    assert not result.reprojection.joint_seen[:, [1, 2, 4, 5, 7, 8, 10, 11, *range(16, 22)]].any()
    turned = so3.angle_between(result.parameters.body_pose, people.coarse.body_pose)
    assert turned[:, [3, 4, 6, 7, 9, 10, *range(15, 21)]].max() < 2 * DEGREE
    assert clean_error(people, result)[:, skeleton.FACE].median() < 1.0
    assert torch.isfinite(result.parameters.transl_m).all()


def test_a_missing_hand_is_relaxed_and_invalid(open_body: SparseBody, people: SyntheticPeople) -> None:
    hands = torch.tensor([False, True]).expand(32, 2)
    observations = keep_keypoints(people.observations, [slice(0, 91), skeleton.RIGHT_HAND])
    result = refine(open_body, observations, replace(people.coarse, hand_valid=hands), people.camera)
    assert not result.part_valid[:, 1].any()
    assert result.part_valid[:, 2].double().mean() > 0.9
    relaxed = so3.exp(open_body.hand_rotvec(open_body.relaxed_hand[None]))[0, 0]
    assert so3.angle_between(result.parameters.left_hand_pose, relaxed).max() < 5 * DEGREE
    assert error_mm(open_body, people, result, aligned=True).mean() < 25


def test_bad_rows_get_their_own_status_and_touch_nobody(open_body_f64: SparseBody) -> None:
    people = make_people(open_body_f64, 20, seed=3)
    expected = refine(open_body_f64, people.observations, people.coarse, people.camera)
    keypoints, sigma = people.observations.keypoints_px.clone(), people.observations.sigma_px.clone()
    pose, focal = people.coarse.body_pose.clone(), people.camera.focal_px.clone()
    keypoints[3] = torch.nan
    sigma[8] = torch.inf
    pose[12, 4] = torch.nan
    focal[17] = torch.nan
    result = refine(
        open_body_f64,
        replace(people.observations, keypoints_px=keypoints, sigma_px=sigma),
        replace(people.coarse, body_pose=pose),
        Camera(focal_px=focal, principal_px=people.camera.principal_px),
    )
    good = torch.ones(20, dtype=torch.bool)
    good[[3, 8, 12, 17]] = False
    for name, value in result.label_columns().items():
        assert (value[good] - expected.label_columns()[name][good]).abs().max() < 1e-4
    assert torch.equal(result.status[good], expected.status[good])
    assert (result.status[[3, 8]] == Status.NO_DATA).all()
    assert (result.status[[12, 17]] == Status.NOT_FINITE).all()
    assert not result.part_valid[~good].any()
    assert (result.quality[~good] == 0).all()


def test_nobody_at_all_is_no_error(open_body: SparseBody) -> None:
    people = make_people(open_body, 2, seed=0)
    nothing = keep_keypoints(people.observations, [])
    result = refine(open_body, nothing, Coarse.unknown(2), people.camera)
    assert (result.status == Status.NO_DATA).all()


def test_people_may_come_in_any_batch_size(open_body_f64: SparseBody) -> None:
    people = make_people(open_body_f64, 5, seed=4)
    whole = refine(open_body_f64, people.observations, people.coarse, people.camera)
    parts = refine(open_body_f64, people.observations, people.coarse, people.camera, RefineConfig(batch_size=2))
    assert (whole.keypoints_px - parts.keypoints_px).abs().max() < 1e-3
    assert torch.equal(whole.status, parts.status)


@pytest.mark.long
def test_search_finds_people_seen_from_behind(open_body: SparseBody) -> None:
    people = make_people(open_body, 4, seed=5, config=StudyConfig(yaw_deg=(150, 210)))
    result = refine(open_body, people.observations, Coarse.unknown(4), people.camera)
    assert (so3.angle_between(result.parameters.global_orient, people.truth.global_orient) < 60 * DEGREE).all()
    assert clean_error(people, result)[:, :23].median() < 3


def from_behind(body: SparseBody) -> SyntheticPeople:
    """People who look away, with a face that a network invented on the backs of their heads."""
    people = make_people(body, 8, seed=7, config=StudyConfig(yaw_deg=(165, 195)))
    keypoints = people.observations.keypoints_px.clone()
    middle = people.clean_px[:, skeleton.FACE].mean(1, keepdim=True)
    for part in (slice(0, 3), skeleton.FACE):
        mirrored = 2 * middle - keypoints[:, part]
        keypoints[:, part] = torch.stack([mirrored[..., 0], keypoints[:, part, 1]], -1)
    return replace(
        people,
        observations=replace(people.observations, keypoints_px=keypoints),
        coarse=replace(people.coarse, face_valid=torch.zeros(8, dtype=torch.bool)),
    )


def test_a_face_invented_on_the_back_of_a_head_is_left_out(open_body: SparseBody) -> None:
    people = from_behind(open_body)
    without = keep_keypoints(people.observations, [slice(3, 23), slice(91, 133)])
    expected = refine(open_body, without, people.coarse, people.camera)
    result = refine(open_body, people.observations, people.coarse, people.camera)
    assert torch.equal(result.parameters.body_pose, expected.parameters.body_pose)
    assert not result.part_valid[:, 3].any()
    misled = refine(open_body, people.observations, people.coarse, people.camera, RefineConfig(face_away_deg=180.0))
    neck = [11, 14]
    turned = [
        so3.angle_between(fit.parameters.body_pose[:, neck], people.truth.body_pose[:, neck]).mean()
        for fit in (result, misled)
    ]
    assert turned[0] < turned[1]


def test_a_face_estimate_that_sees_the_face_overrules_the_body(open_body: SparseBody) -> None:
    people = from_behind(open_body)
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0])).expand(8, 3, 3)
    coarse = replace(people.coarse, face_valid=torch.ones(8, dtype=torch.bool), head_orient=facing)
    result = refine(open_body, people.observations, coarse, people.camera)
    assert torch.isfinite(result.reprojection.residual_px[:, skeleton.FACE]).any(1).all()


def test_body_alone_leaves_face_and_hands_at_their_priors(open_body: SparseBody, people: SyntheticPeople) -> None:
    nothing = torch.zeros(32, dtype=torch.bool)
    coarse = replace(people.coarse, hand_valid=nothing[:, None].expand(-1, 2), face_valid=nothing)
    result = refine(open_body, keep_keypoints(people.observations, [slice(0, 23)]), coarse, people.camera)
    assert result.part_valid[:, 0].double().mean() > 0.9
    assert not result.part_valid[:, 1:].any()
    assert error_mm(open_body, people, result, aligned=True).mean() < 25
    relaxed = so3.exp(open_body.hand_rotvec(open_body.relaxed_hand[None]))[0]
    for side, hand in enumerate((result.parameters.left_hand_pose, result.parameters.right_hand_pose)):
        assert so3.angle_between(hand, relaxed[side]).max() < 5 * DEGREE
    # Nose, eyes and ears are skin of the face: they say little of its shape, nothing of its expression.
    assert result.parameters.flame_expression.abs().max() < 0.5
    assert so3.log(result.parameters.jaw_pose).norm(dim=-1).max() < 3 * DEGREE


def test_an_invalid_part_may_hold_anything(open_body: SparseBody, people: SyntheticPeople) -> None:
    coarse = replace(
        people.coarse,
        hand_valid=torch.zeros(32, 2, dtype=torch.bool),
        hand_pose=torch.full_like(people.coarse.hand_pose, torch.nan),
        face_valid=torch.zeros(32, dtype=torch.bool),
        flame_expression=torch.full_like(people.coarse.flame_expression, torch.nan),
    )
    result = refine(open_body, people.observations, coarse, people.camera)
    assert (result.status == Status.CONVERGED).all()
    assert torch.isfinite(result.quality).all()


def test_labels_are_float32_axis_angle(refined: RefineResult) -> None:
    columns = refined.label_columns()
    widths = {"transl_m": 3, "global_orient": 3, "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45}
    widths |= {"betas": 10, "flame_shape": 10, "flame_expression": 10}
    widths |= {"jaw_pose": 3, "eye_pose": 6, "eyelids": 2, "head_scale": 3}
    assert {name: value.shape[1] for name, value in columns.items()} == widths
    assert all(value.dtype == torch.float32 for value in columns.values())


@pytest.mark.long
def test_head_and_wrists_are_believed_as_far_as_their_estimators_state(
    open_body: SparseBody, people: SyntheticPeople
) -> None:
    """No keypoint shows a wrist's twist without its fingers: the hand estimator tells it."""
    truth = open_body.forward(people.truth).rotations
    observations = keep_keypoints(people.observations, [slice(0, 23)])

    def errors(sigma_deg: float | None) -> tuple[float, float]:
        coarse = people.coarse
        if sigma_deg is not None:
            sigma = torch.full((32,), sigma_deg * DEGREE)
            coarse = replace(coarse, head_orient=truth[:, 15], head_sigma_rad=sigma, wrist_orient=truth[:, 20:22])
        config = RefineConfig(wrist_orient_sigma_deg=sigma_deg or 90.0)
        found = refine(open_body, observations, coarse, people.camera, config).parameters
        state = replace(people.truth, global_orient=found.global_orient, body_pose=found.body_pose)
        apart = so3.angle_between(open_body.forward(state).rotations, truth) / DEGREE
        return apart[:, 15].mean().item(), apart[:, 20:22].mean().item()

    (head, wrist), (close_head, close_wrist) = errors(None), errors(1.0)
    loose_head, loose_wrist = errors(60.0)
    assert close_head < 2 < head
    assert close_wrist < 2 < wrist
    assert close_head < loose_head
    assert close_wrist < loose_wrist


def test_fingers_that_are_not_refined_are_those_people_have(open_body: SparseBody, people: SyntheticPeople) -> None:
    """With 12 of 45 coordinates refined the others lie between estimate and population, whatever the keypoints say."""
    config = RefineConfig(num_hand_components=12)
    result = refine(open_body, people.observations, people.coarse, people.camera, config)
    idle = refine(open_body, people.observations, people.coarse, people.camera, replace(config, iterations=0))

    def coordinates(of: RefineResult) -> torch.Tensor:
        hands = torch.stack([of.parameters.left_hand_pose, of.parameters.right_hand_pose], 1)
        return open_body.hand_coordinates(hands)

    truth, coarse = people.truth.hand_pca, open_body.hand_coordinates(people.coarse.hand_pose)
    assert (coordinates(result) - coordinates(idle))[..., 12:].abs().max() < 1e-3
    assert (coordinates(result) - coarse)[..., :12].abs().mean() > 0.02
    error, before = (coordinates(result) - truth).square(), (coarse - truth).square()
    assert error[..., 12:].mean() < 0.5 * before[..., 12:].mean()
    assert error[..., :12].mean() < 0.5 * before[..., :12].mean()


@pytest.mark.long
def test_keypoints_close_and_open_eyelids_where_they_may(open_body: SparseBody, people: SyntheticPeople) -> None:
    """Sharp keypoints of open eyes, whose estimates are half closed; between open and closed whatever these say."""
    few = take_rows(people, torch.arange(8))
    seen = replace(few.observations, keypoints_px=few.clean_px, sigma_px=torch.full((8, 133), 0.1))
    coarse = replace(few.coarse, eyelids=torch.full((8, 2), 0.5), face_valid=torch.ones(8, dtype=torch.bool))
    held, free = (
        refine(open_body, seen, coarse, few.camera, RefineConfig(refine_eyelids=choice)).parameters.eyelids
        for choice in (False, True)
    )
    assert (held == 0.5).all()
    assert (few.truth.eyelids == 0).all()
    assert free.mean() < 0.25
    assert ((free >= 0) & (free <= 1)).all()


@pytest.mark.slow
def test_robustness_pays(open_body: SparseBody) -> None:
    """Without the robust loss 3 % of outliers cost a good part of the gain."""
    people = make_people(open_body, 64, seed=9)
    robust = refine(open_body, people.observations, people.coarse, people.camera)
    plain = refine(
        open_body,
        people.observations,
        people.coarse,
        people.camera,
        RefineConfig(robust_scale=1e3, graduated_scale=1e3, inlier_sigma=4.0),
    )
    assert clean_error(people, robust).median() < 0.8 * clean_error(people, plain).median()


@pytest.mark.slow
def test_the_published_gain_holds_on_many_people(open_body: SparseBody) -> None:
    people = make_people(open_body, 128, seed=0)
    result = refine(open_body, people.observations, people.coarse, people.camera)
    start, end = start_error_mm(open_body, people), error_mm(open_body, people, result, aligned=True)
    assert end.mean() < 18.5
    assert (end < start).double().mean() > 0.99

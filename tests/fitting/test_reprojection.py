"""Evidence from residuals alone, and which parts it makes valid."""

from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import StudyConfig, SyntheticPeople, make_people
from datasets_manifest.schema.labels import ErrorCode
from fitting.refine import Observations, RefineResult, refine
from fitting.reprojection import (
    MAX_ESTIMATED_TURN_RAD,
    MAX_FACE_TURN_RAD,
    Reprojection,
    face_turn_rad,
    measure_reprojection,
)
from fitting.sparse_body import SparseBody
from model.body import skeleton
from model.imaging import camera as pinhole


def evidence(
    seen: list[slice],
    error_px: float = 1.0,
    boxes: torch.Tensor | None = None,
    turns: tuple[float, float] = (0.0, 0.0),
    shown: torch.Tensor | None = None,
) -> Reprojection:
    points = 100 * torch.rand(1, 133, 2, generator=torch.Generator().manual_seed(0))
    points[0, 5:13] += 300
    precision = torch.zeros(1, 133)
    for part in seen:
        precision[:, part] = 0.5
    return measure_reprojection(
        keypoints_px=points + torch.tensor([error_px, 0.0]),
        shown=torch.ones(1, 133, dtype=torch.bool) if shown is None else shown,
        observed_px=points,
        precision=precision,
        inlier_sigma=4.0,
        boxes_xyxy=boxes,
        hand_estimated=torch.tensor([[True, False]]),
        face_turn=torch.tensor(turns[:1]),
        estimated_turn=torch.tensor(turns[1:]),
    )


def test_everything_seen_is_valid() -> None:
    found = evidence([slice(0, 133)])
    assert found.part_valid.all()
    assert found.joint_seen.all()
    assert torch.allclose(found.reproj_px, torch.ones(1, 4), atol=1e-3)


def test_nothing_seen_is_invalid_and_has_no_figures() -> None:
    found = evidence([])
    assert not found.part_valid.any()
    assert torch.isnan(found.reproj_px).all()
    assert found.inlier_ratio.item() == 0


def test_residuals_beyond_the_threshold_are_no_evidence() -> None:
    assert not evidence([slice(0, 133)], error_px=20.0).part_valid.any()


def test_a_hand_without_an_estimate_needs_more_keypoints() -> None:
    found = evidence([slice(0, 23), slice(91, 103), slice(112, 124)])
    assert found.part_valid[0].tolist() == [True, True, False, False]


def test_a_face_alone_says_nothing_about_limbs() -> None:
    found = evidence([slice(0, 5), slice(23, 91)])
    assert found.part_valid[0].tolist() == [False, False, False, True]
    assert found.joint_seen[0, [12, 15]].all()
    assert not found.joint_seen[0, [16, 17, 18, 19, 4, 5]].any()


def test_errors_are_stated_as_a_share_of_the_box() -> None:
    found = evidence([slice(0, 133)], boxes=torch.tensor([[0.0, 0.0, 50.0, 200.0]]))
    assert torch.allclose(found.reproj_rel, torch.tensor([1 / 200]), atol=1e-5)
    assert torch.allclose(found.reproj_part_rel, torch.full((1, 4), 1 / 200), atol=1e-5)


def test_inlier_shares_by_part_add_up() -> None:
    found = evidence([slice(0, 23), slice(91, 103)])
    assert found.inlier_part_ratio[0].tolist() == [1, 1, 0, 0]
    assert found.inlier_ratio.item() == 1


def test_a_face_counts_up_to_the_profile() -> None:
    turns = [0.0, torch.pi / 2, MAX_FACE_TURN_RAD - 0.01, MAX_FACE_TURN_RAD + 0.01, torch.pi]
    valid = [evidence([slice(0, 133)], turns=(turn, turn)).part_valid[0].tolist() for turn in turns]
    assert valid == [[True] * 4, [True] * 4, [True] * 4, [True, True, True, False], [True, True, True, False]]


def test_a_face_that_the_estimate_had_behind_the_head_does_not_count() -> None:
    inside, outside = MAX_ESTIMATED_TURN_RAD - 0.01, MAX_ESTIMATED_TURN_RAD + 0.01
    assert evidence([slice(0, 133)], turns=(0.5, inside)).part_valid[0, 3]
    assert not evidence([slice(0, 133)], turns=(0.5, outside)).part_valid[0, 3]


def people_facing(body: SparseBody, *yaw_deg: float) -> SyntheticPeople:
    return make_people(body, 16, seed=31, config=StudyConfig(yaw_deg=(yaw_deg[0], yaw_deg[-1])))


def refined(body: SparseBody, people: SyntheticPeople, observations: Observations | None = None) -> RefineResult:
    return refine(body, observations or people.observations, people.coarse, people.camera)


@pytest.mark.parametrize("yaw_deg", [-180.0, -60.0, 0.0, 60.0, 120.0])
def test_the_turn_of_a_head_is_its_yaw(open_body_f64: SparseBody, yaw_deg: float) -> None:
    people = people_facing(open_body_f64, yaw_deg)
    turn = face_turn_rad(open_body_f64.forward(people.truth)) * 180 / torch.pi
    # Tilt, trunk and neck add some 20 degrees of their own, to any side.
    assert abs(turn.median().item() - abs(yaw_deg)) < 25


def test_faces_seen_from_behind_are_invalid(open_body: SparseBody) -> None:
    """The keypoints are those of the turned head: all of the face is seen, as if through the skull."""
    people = people_facing(open_body, 150, 210)
    result = refined(open_body, people)
    assert result.reprojection.inlier_part_ratio[:, 3].min() > 0.5
    assert not result.part_valid[:, 3].any()
    assert result.part_valid[:, 0].double().mean() > 0.8


def test_profiles_keep_their_faces(open_body: SparseBody) -> None:
    people = people_facing(open_body, 55, 80)
    turn = face_turn_rad(open_body.forward(people.truth)) * 180 / torch.pi
    profiles = (turn > 60) & (turn < 95)
    assert profiles.sum() >= 8
    assert refined(open_body, people).part_valid[profiles, 3].all()


def test_a_frontal_face_made_up_on_the_back_of_a_head_is_invalid(open_body: SparseBody) -> None:
    """Some estimators draw a face that looks into the camera wherever they are told that a head is."""
    people = people_facing(open_body, 160, 200)
    front = people_facing(open_body, 0, 0)
    face = slice(skeleton.FACE.start, skeleton.FACE.stop)
    made_up = front.clean_px[:, face] - front.clean_px[:, face].mean(1, keepdim=True)
    made_up = made_up * (people.height_px / front.height_px)[:, None, None]
    keypoints = people.observations.keypoints_px.clone()
    keypoints[:, face] = made_up + people.clean_px[:, face].mean(1, keepdim=True)
    result = refined(open_body, people, replace(people.observations, keypoints_px=keypoints))
    behind = face_turn_rad(open_body.forward(people.truth)) > 120 * torch.pi / 180
    assert behind.sum() >= 14
    assert not result.part_valid[behind, 3].any()


def test_the_turn_does_not_change_along_the_ray(open_body_f64: SparseBody) -> None:
    """Further away on the same ray the camera sees the same side of the head."""
    people = people_facing(open_body_f64, 80)
    near = open_body_f64.forward(people.truth)
    head = near.joints[:, skeleton.HEAD] + near.translation
    far = replace(near, translation=near.translation + 2 * head)
    assert torch.allclose(face_turn_rad(near), face_turn_rad(far))
    assert torch.isfinite(pinhole.project(far.points_cam, people.camera)).all()


@pytest.mark.parametrize(
    ("seen", "error_px", "said"),
    [
        ([slice(0, 133)], 1.0, [None] * 4),
        ([], 1.0, ["points, needed 6", "points, needed 10", "points, needed 15", "points, needed 30"]),
        ([slice(0, 23), slice(91, 112)], 7.0, [None, None, "the fit meets 0 points, needed 15", "0 points, needed 30"]),
        ([slice(0, 5), slice(7, 23)], 1.0, ["the fit meets 0 shoulders, needed 1", *["points, needed"] * 3]),
    ],
)
def test_a_part_that_is_not_valid_says_what_it_lacks(seen, error_px, said) -> None:
    found = evidence(seen, error_px)
    doubts = [found.doubt(0, part) for part in range(4)]
    assert [doubt is None for doubt in doubts] == found.part_valid[0].tolist()
    for doubt, text in zip(doubts, said, strict=True):
        assert doubt is None if text is None else doubt is not None and text in doubt.detail


def test_a_face_that_looks_away_says_how_far() -> None:
    found = evidence([slice(0, 133)], turns=(2.0, 0.0))
    said = found.doubt(0, 3)
    assert said is not None
    assert said.detail == "face 115 degrees from the camera, allowed 100"
    assert said.code == ErrorCode.REPROJECTION_TOO_LARGE


def test_what_is_behind_the_camera_is_no_inlier() -> None:
    found = evidence([slice(0, 133)], shown=torch.arange(133)[None] < 91)
    assert found.part_valid[0].tolist() == [True, False, False, True]


def test_a_body_of_which_a_quarter_is_elsewhere_is_refused() -> None:
    """Half of a hand's points hold the rest of it; half of a body's say nothing of the other half."""
    points = 100 * torch.rand(1, 133, 2, generator=torch.Generator().manual_seed(0))
    fitted = points.clone()
    fitted[:, 13:19] += 50
    fitted[:, 91:97] += 50
    found = measure_reprojection(
        keypoints_px=fitted,
        shown=torch.ones(1, 133, dtype=torch.bool),
        observed_px=points,
        precision=torch.full((1, 133), 0.5),
        inlier_sigma=4.0,
        boxes_xyxy=None,
        hand_estimated=torch.ones(1, 2, dtype=torch.bool),
        face_turn=torch.zeros(1),
        estimated_turn=torch.zeros(1),
    )
    assert found.part_valid[0].tolist() == [False, True, True, True]
    said = found.doubt(0, 0)
    assert said is not None
    assert said.detail == "the fit meets 74 % of the points, needed 80 %"


def test_points_that_were_never_seen_are_too_few_and_no_misfit() -> None:
    few = evidence([slice(5, 10)])
    assert [few.lack(0, part) for part in range(4)] == [
        "5 points seen, needed 6",
        "0 points seen, needed 10",
        "0 points seen, needed 15",
        "0 points seen, needed 30",
    ]
    assert evidence([slice(0, 133)], error_px=20.0).lack(0, 0) is None


def test_a_limb_is_met_only_if_all_its_seen_points_are() -> None:
    points = 100 * torch.rand(1, 133, 2, generator=torch.Generator().manual_seed(0))
    observed, precision = points.clone(), torch.full((1, 133), 0.5)
    observed[0, 9, 0] += 30  # the left wrist
    precision[0, [13, 15]] = 0  # the left leg was not seen
    precision[0, 16] = 0  # of the right one the knee was
    found = measure_reprojection(
        keypoints_px=points,
        shown=torch.ones(1, 133, dtype=torch.bool),
        observed_px=observed,
        precision=precision,
        inlier_sigma=4.0,
        boxes_xyxy=None,
        hand_estimated=torch.ones(1, 2, dtype=torch.bool),
        face_turn=torch.zeros(1),
        estimated_turn=torch.zeros(1),
    )
    assert dict(zip(skeleton.BODY_GROUPS, found.limb_valid[0].tolist(), strict=True)) == {
        "head": True, "torso": True, "left_arm": False, "right_arm": True, "left_leg": False, "right_leg": True
    }  # fmt: skip
    doubts = [found.limb_doubt(0, limb) for limb in range(6)]
    assert doubts[2] == "the fit meets 1 of its points, needed 2"
    assert doubts[4] == "the fit meets 0 of its points, needed 1"
    assert [doubts[limb] for limb in (0, 1, 3, 5)] == [None] * 4
    assert found.part_valid[0, 0], "one wrong wrist does not refuse the body"

"""Which parts and joints of a person a picture shows."""

from __future__ import annotations

import pytest
import torch

from datasets_manifest.schema.ehm_fields import PART_NAMES
from model.body import skeleton
from model.body.shown import PART_OF_JOINT, SHOWING_POINTS, shown_joints, shown_parts

NAMES = skeleton.SMPLX_JOINT_NAMES


def points(*shown: int | slice) -> torch.Tensor:
    """(133,) bool."""
    found = torch.zeros(skeleton.NUM_KEYPOINTS, dtype=torch.bool)
    for place in shown:
        found[place] = True
    return found


def parts_of(*shown: int | slice) -> set[str]:
    return {name for name, is_shown in zip(PART_NAMES, shown_parts(points(*shown)).tolist(), strict=True) if is_shown}


def joints_of(*shown: int | slice) -> set[str]:
    return {name for name, is_shown in zip(NAMES, shown_joints(points(*shown)).tolist(), strict=True) if is_shown}


HEAD = slice(0, 5), skeleton.FACE
BODY_UP = *HEAD, slice(5, 13), skeleton.LEFT_HAND, skeleton.RIGHT_HAND


def test_all_points_show_everything_and_none_nothing() -> None:
    assert parts_of(slice(0, 133)) == set(PART_NAMES)
    assert joints_of(slice(0, 133)) == set(NAMES)
    assert parts_of() == joints_of() == set()


def test_a_head_alone_shows_jaw_and_eyes_and_no_joint_of_the_body() -> None:
    assert parts_of(*HEAD) == {"face"}
    assert joints_of(*HEAD) == {"jaw", "left_eye", "right_eye"}
    assert joints_of(*HEAD, 5, 6) == {"jaw", "left_eye", "right_eye"}  # with both shoulders too


def test_a_hand_alone_shows_its_fingers() -> None:
    wrist = 9
    assert parts_of(skeleton.LEFT_HAND, wrist) == {"left_hand"}
    assert joints_of(skeleton.LEFT_HAND, wrist) == set(NAMES[skeleton.SMPLX_LEFT_HAND])
    assert joints_of(skeleton.RIGHT_HAND) == set(NAMES[skeleton.SMPLX_RIGHT_HAND])


def test_a_person_from_the_hips_up_shows_no_legs() -> None:
    legs = {f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "foot")}
    assert joints_of(*BODY_UP) == set(NAMES) - legs


@pytest.mark.parametrize("part", PART_NAMES)
def test_half_of_its_points_show_a_part(part: str) -> None:
    own = SHOWING_POINTS[part]
    half = -(-len(own) // 2)
    assert parts_of(*own[:half]) == {part}
    assert parts_of(*own[: half - 1]) == set()


def test_every_joint_is_of_the_part_whose_parameters_turn_it() -> None:
    parts = [PART_NAMES[part] for part in PART_OF_JOINT]
    assert parts == ["body"] * 22 + ["face"] * 3 + ["left_hand"] * 15 + ["right_hand"] * 15


def test_leading_dimensions_are_free() -> None:
    many = torch.stack([points(*HEAD), points(*BODY_UP)])[None].expand(3, 2, 133)
    assert shown_parts(many).shape == (3, 2, 4)
    assert torch.equal(shown_joints(many)[1, 0], shown_joints(points(*HEAD)))

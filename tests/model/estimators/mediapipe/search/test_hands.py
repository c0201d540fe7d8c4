"""Which hands are believed, and whose they are."""

from dataclasses import replace

import numpy as np
import pytest

from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import HandReading
from model.estimators.mediapipe.landmarks import RIGHT_ARM
from model.estimators.mediapipe.search.hand_landmarks import (
    FoundHand,
    HandConfig,
    HandFigures,
    find_hand,
    hand_detail,
)
from model.estimators.mediapipe.search.person import PersonReading, hand_details, one_owner_a_hand, to_evidence
from model.estimators.mediapipe.search.pose import PersonPose

NAN = float("nan")
GOOD = HandFigures(
    score=0.97,
    quality=0.97,
    wrist_offset=0.08,
    spread=0.01,
    size_px=80.0,
    inside=1.0,
    wrist_visibility=0.95,
    wrist_spread=0.05,
)
CONFIG = HandConfig()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"wrist_spread": NAN}, None),
        ({"rival_offset": 0.3}, None),
        ({"score": 0.5}, "score 0.50, needed 0.6"),
        ({"wrist_offset": 0.3}, "wrist 30 % of an arm"),
        ({"quality": 0.0}, "as the other hand"),
        ({"spread": 0.04}, "spread 4.0 % of the hand, allowed 3.5 %"),
        ({"size_px": 12.0}, "12 px large, needed 16"),
        ({"inside": 0.33}, "33 % of its points in the photo, needed 50 %"),
        ({"wrist_visibility": 0.08}, "visibility 0.08 of the body's wrist, needed 0.3"),
        ({"wrist_spread": 0.34}, "spread of the body's wrist 34 % of the hand, allowed 30 %"),
        ({"rival_offset": 0.05}, "another person's hand, whose wrist is 5 % of an arm from it, this one's 8 %"),
    ],
)
def test_what_is_said_against_a_hand_has_its_figure_and_the_limit(changed, said):
    detail = hand_detail(replace(GOOD, **changed), CONFIG)
    assert detail is None if said is None else said in detail


class HandAnywhere:
    """Networks that read the same right hand in every region: 21 points on a square of 40 px at (100, 100)."""

    def hand(self, rgb, region):
        del rgb
        grid = np.linspace(0, 40, 21)
        landmarks = np.column_stack([100 + grid, 100 + grid[::-1], np.zeros(21)])
        return HandReading(score=0.99, right=1.0, landmarks=landmarks, world_m=landmarks / 400, region=region)


def pose_with_wrist(wrist_px, *, visibility=0.9, spread_px=1.0):
    """A pose whose right arm is 200 px long and ends at a place."""
    landmarks = np.tile([300.0, 300.0, 0, 0.9, 0.9], (33, 1))
    landmarks[RIGHT_ARM[2], :2] = wrist_px
    landmarks[RIGHT_ARM[1], :2] = [wrist_px[0], wrist_px[1] + 200]
    landmarks[RIGHT_ARM[2], 3] = visibility
    spread = np.full(33, 1.0)
    spread[RIGHT_ARM[2]] = spread_px
    return PersonPose(
        score=1.0, landmarks=landmarks, world_m=np.zeros((33, 3)), spread_px=spread, region=Region(0, 0, 100.0)
    )


def person_with_right_hand(wrist_px, **changes):
    """A person whose right wrist is at a place and who took the hand at (100, 140) for his own."""
    pose = pose_with_wrist(wrist_px)
    found = find_hand(HandAnywhere(), np.zeros((400, 400, 3), np.uint8), pose, 1, CONFIG)
    none = FoundHand(reading=found.reading, figures=replace(GOOD, score=0.0))
    return PersonReading(pose=pose, hands=(none, replace(found, **changes)), hand_ok=(False, True))


@pytest.mark.parametrize(
    ("pose", "size", "said"),
    [
        (pose_with_wrist((100, 140)), 400, None),
        (pose_with_wrist((100, 140), visibility=0.1), 400, "visibility 0.10"),
        (pose_with_wrist((100, 140), spread_px=30.0), 400, "spread of the body's wrist 53 %"),
        (pose_with_wrist((100, 140)), 115, "38 % of its points in the photo"),
    ],
)
def test_a_hand_is_as_sure_as_the_wrist_beside_it_and_lies_in_the_photo(pose, size, said):
    found = find_hand(HandAnywhere(), np.zeros((400, size, 3), np.uint8), pose, 1, CONFIG)
    detail = hand_detail(found.figures, CONFIG)
    assert detail is None if said is None else said in detail


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_hand_that_two_people_claim_is_the_nearer_wrists(order):
    near, far = person_with_right_hand((102, 142)), person_with_right_hand((110, 150))
    people = [(near, far)[i] for i in order]
    settled = one_owner_a_hand([*people, None])
    assert [settled[i].hand_ok[1] for i in order] == [True, False]
    assert settled[2] is None
    evidence = to_evidence(settled)
    assert hand_details(evidence, CONFIG)[order.index(0)][1] is None
    loser = hand_details(evidence, CONFIG)[order.index(1)][1]
    assert loser == "another person's hand, whose wrist is 1 % of an arm from it, this one's 7 %"


def test_hands_of_two_photos_are_two_hands():
    people = [person_with_right_hand((102, 142)), person_with_right_hand((110, 150))]
    assert [person.hand_ok[1] for person in one_owner_a_hand(people, ["a", "b"])] == [True, True]


class CountedHand(HandAnywhere):
    """The same hand with a score."""

    def __init__(self, score):
        self.score, self.calls = score, 0

    def hand(self, rgb, region):
        self.calls += 1
        return replace(super().hand(rgb, region), score=self.score)


@pytest.mark.parametrize(
    ("wrist_px", "score", "calls"),
    [
        ((100, 140), 0.99, 2 + 2 + 3),  # a good one: a region twice, its own region twice, its spread
        ((100, 140), 0.9, 2 * CONFIG.max_tries + 2 + 3),  # never a good one
        ((100, 140), 0.29, 2 * 3),  # hopeless after three regions
        ((140, 140), 0.9, 2 * CONFIG.max_tries + 2),  # beside the wrist and refused: its spread is not measured
    ],
)
def test_a_hand_costs_what_it_may_still_give(wrist_px, score, calls):
    networks = CountedHand(score)
    find_hand(networks, np.zeros((400, 400, 3), np.uint8), pose_with_wrist(wrist_px), 1, CONFIG)
    assert networks.calls == calls

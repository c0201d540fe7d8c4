"""Who of the detected people is known already."""

import numpy as np
import pytest

from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import Detection
from model.estimators.mediapipe.search.people import is_of
from model.estimators.mediapipe.search.pose import REGION_FACTOR, PersonPose

RADIUS = 100.0
"""Of the circle about the hips of the person at (300, 200) whose head of 20 px lies 80 px above."""


def upright():
    landmarks = np.zeros((33, 5))
    landmarks[:, :2] = [300, 200]
    landmarks[:11, :2] = [300, 120]
    landmarks[[7, 8], 0] = [308, 292]
    return PersonPose(
        score=0.9,
        landmarks=landmarks,
        world_m=np.zeros((33, 3)),
        spread_px=np.ones(33),
        region=Region(300.0, 200.0, REGION_FACTOR * RADIUS),
    )


@pytest.mark.parametrize(
    ("head", "hips", "radius", "same"),
    [
        ((300, 120), (300, 200), RADIUS, True),
        ((305, 122), (310, 300), 2.0 * RADIUS, True),  # her head, and legs that nobody has
        ((330, 125), (305, 210), 1.2 * RADIUS, True),  # her hips, and a head that moved
        ((315, 130), (260, 225), 1.55 * RADIUS, False),  # somebody close behind or before her
        ((400, 120), (400, 200), RADIUS, False),
    ],
)
def test_a_detection_is_of_whoever_has_its_head_or_its_hips(head, hips, radius, same):
    x, y = head
    detection = Detection(
        score=0.8,
        head_xyxy=np.array([x - 30.0, y - 30, x + 30, y + 30]),
        hip_px=np.array(hips, dtype=float),
        radius_px=radius,
        rotation_rad=0.0,
    )
    assert is_of(detection, upright()) == same

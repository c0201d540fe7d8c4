"""Hands that fill a photo in which nobody is seen."""

# pyright: reportArgumentType=false, reportOptionalMemberAccess=false, reportOptionalSubscript=false
import numpy as np
import pytest
from mediapipe_package import need_mediapipe
from photo_people import batch_of_photo

from model.body.skeleton import BODY, LEFT_HAND, RIGHT_HAND, WRISTS
from model.estimators import ImageInput, create
from model.estimators.mediapipe.graphs.runner import HandReading
from model.estimators.mediapipe.search.close_hands import CloseHandConfig, find_close_hands, hand_box, hand_people
from model.estimators.mediapipe.search.person import to_evidence
from model.estimators.simulated import global_rotations

need_mediapipe()
PHOTO = np.zeros((300, 400, 3), np.uint8)


class HandIn:
    """Networks that read one hand wherever they look; its points move by jitter between readings."""

    def __init__(self, *, centre=(200, 150), size_px=140.0, score=0.97, right=0.98, jitter=0.0):
        self.points = np.random.default_rng(0).uniform(-0.5, 0.5, (21, 3)) * size_px + [*centre, 0]
        self.score, self.right, self.jitter = score, right, jitter
        self.random = np.random.default_rng(1)

    def hand(self, rgb, region):
        del rgb
        landmarks = self.points + self.random.normal(0, 1, (21, 3)) * self.jitter
        return HandReading(
            score=self.score, right=self.right, landmarks=landmarks, world_m=landmarks / 1000, region=region
        )


def test_one_hand_that_all_regions_show_is_one_person():
    people, boxes = hand_people(HandIn(), PHOTO, CloseHandConfig())
    (person,) = people
    assert person.is_hand
    assert person.hand_ok == (False, True)
    assert person.hands[0] is None
    assert boxes.shape == (1, 4)
    evidence = to_evidence(people)
    assert np.isnan(evidence["pose_px"]).all()
    assert np.isnan(evidence["hand_px"][0, 0]).all()
    assert np.isfinite(evidence["hand_px"][0, 1]).all()


@pytest.mark.parametrize(
    "networks",
    [
        HandIn(score=0.85),
        HandIn(jitter=10.0),
        HandIn(size_px=40.0),
        HandIn(centre=(400, 300)),
    ],
    ids=["low score", "unsteady", "small", "half outside"],
)
def test_what_may_be_no_hand_is_left_out(networks):
    assert find_close_hands(networks, PHOTO, CloseHandConfig()) == []


def test_at_a_score_of_one_nothing_is_looked_at():
    assert find_close_hands(None, PHOTO, CloseHandConfig(min_score=1.0)) == []


def test_the_box_holds_the_hand_and_ends_with_the_photo():
    points = HandIn(centre=(380, 150)).points
    box = hand_box(points, 400, 300)
    assert (box[:2] < points[:, :2].min(0)).all()
    assert box[2] == 400


@pytest.mark.parametrize("side", [0, 1])
def test_a_row_of_a_hand_has_its_points_and_a_body_that_carries_it(side, monkeypatch):
    keypoints, body, hands = (create(part, "mediapipe") for part in ("keypoints", "body", "hands"))
    found = hand_people(HandIn(right=float(side)), PHOTO, CloseHandConfig())
    monkeypatch.setattr("model.estimators.mediapipe.keypoints.hand_people", lambda *_: found)
    image = ImageInput.from_rgb("hand", PHOTO)
    out = keypoints.estimate(image, None, None)
    assert out.valid.tolist() == [True]
    assert out.part_valid[0].tolist() == [False, side == 0, side == 1, False]
    assert np.isfinite(out.sigma_px[0, (LEFT_HAND, RIGHT_HAND)[side]]).all()
    assert np.isinf(out.sigma_px[0, BODY]).all()
    assert out.part_details[0][0] == "nobody was found, only a hand"
    batch = batch_of_photo(image, out)
    carrier, hand = body.estimate(batch), hands.estimate(batch)
    assert carrier.valid.all()
    assert hand.valid[0, side]
    wrist = global_rotations(carrier.global_orient, carrier.body_pose)[0, WRISTS[side]]
    np.testing.assert_allclose(wrist, hand.wrist_orient[0, side], atol=1e-6)

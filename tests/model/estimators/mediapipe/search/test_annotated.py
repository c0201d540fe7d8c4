"""Faces and hands of people whose body points are annotated."""

import numpy as np
import pytest
from mediapipe_package import need_mediapipe
from photo_people import batch_of_photo

from model.body.skeleton import FACE
from model.estimators import ImageInput, create
from model.estimators.hidden_error import MEDIAPIPE_MM
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.landmarks import LEFT_ARM, POSE_OF_BODY, RIGHT_ARM
from model.estimators.mediapipe.search.annotated import moved_to_annotations
from model.estimators.mediapipe.search.pose import PersonPose

pytestmark = pytest.mark.long

need_mediapipe()


def pose():
    random = np.random.default_rng(0)
    landmarks = np.column_stack([random.uniform(0, 400, (33, 3)), np.full((33, 2), 0.2)])
    spread = np.full(33, 9.0)
    return PersonPose(
        score=1.0, landmarks=landmarks, world_m=np.zeros((33, 3)), spread_px=spread, region=Region(0, 0, 9)
    )


def annotations(*points, flag=2.0):
    out = np.zeros((133, 3))
    out[list(points)] = [[10.0 * point, 5.0 * point, flag] for point in points]
    return out


def test_annotated_points_are_where_the_annotation_has_them_and_sure():
    before, points = pose(), annotations(0, 9, 13)
    moved = moved_to_annotations(before, points)
    for point in (0, 9, 13):
        own = POSE_OF_BODY[point]
        np.testing.assert_allclose(moved.landmarks[own, :2], points[point, :2])
        assert moved.landmarks[own, 3] == 1
        assert moved.spread_px[own] == 0
    np.testing.assert_array_equal(before.landmarks, pose().landmarks)


def test_a_hand_moves_with_its_wrist_and_nothing_else_does():
    before = pose()
    moved = moved_to_annotations(before, annotations(9))
    shift = moved.landmarks[:, :2] - before.landmarks[:, :2]
    hand = [*LEFT_ARM[2:], 21]
    np.testing.assert_allclose(shift[hand], np.tile(shift[LEFT_ARM[2]], (len(hand), 1)))
    others = np.setdiff1d(np.arange(33), hand)
    assert (shift[others] == 0).all()
    assert (moved.spread_px[list(RIGHT_ARM)] == 9).all()


def test_a_hidden_point_is_placed_and_stays_as_visible_as_it_was():
    moved = moved_to_annotations(pose(), annotations(10, flag=1.0))
    np.testing.assert_allclose(moved.landmarks[RIGHT_ARM[2], :2], [100, 50])
    assert moved.landmarks[RIGHT_ARM[2], 3] == 0.2


@pytest.fixture(scope="module")
def astronaut():
    return ImageInput.from_rgb("astronaut", np.ascontiguousarray(pytest.importorskip("skimage.data").astronaut()))


@pytest.fixture(scope="module")
def of_detector(astronaut):
    return create("keypoints", "mediapipe").estimate(astronaut, None, None)


def body_points(found):
    """The 17 body points that a detector sees, as annotations."""
    out = np.zeros((1, 133, 3))
    out[0, :17, :2] = found.keypoints[0, :17, :2]
    out[0, :17, 2] = np.where(found.keypoints[0, :17, 2] > 0, 2, 0)
    return out


def test_a_face_is_filled_where_the_body_is_annotated(astronaut, of_detector):
    annotated = body_points(of_detector)
    bare = create("keypoints", "annotations").estimate(astronaut, of_detector.boxes_xyxy, annotated)
    filled = create("keypoints", "annotations", fill="mediapipe").estimate(astronaut, of_detector.boxes_xyxy, annotated)
    assert bare.part_valid[0].tolist() == [True, False, False, False]
    assert filled.part_valid[0, [0, 3]].tolist() == [True, True]
    np.testing.assert_array_equal(filled.keypoints[0, :17], bare.keypoints[0, :17])
    np.testing.assert_array_equal(filled.sigma_px[0, :23], bare.sigma_px[0, :23])
    distance = np.linalg.norm(filled.keypoints[0, FACE, :2] - of_detector.keypoints[0, FACE, :2], axis=1)
    assert np.median(distance) < 2
    for side in (1, 2):
        if not filled.part_valid[0, side]:
            assert filled.part_details[0][side].startswith("0 hand points annotated, needed 4; looked for: ")
    np.testing.assert_array_equal(filled.evidence["surface_offset_m"], bare.evidence["surface_offset_m"])
    np.testing.assert_allclose(filled.evidence["hidden_error_mm"], [[0, 0, 0, MEDIAPIPE_MM[3]]])


def test_a_face_that_is_not_where_the_annotated_head_is_is_refused(astronaut, of_detector):
    annotated = body_points(of_detector)
    annotated[0, :5, 1] += 150  # the annotated head lies on her chest
    filled = create("keypoints", "annotations", fill="mediapipe").estimate(astronaut, of_detector.boxes_xyxy, annotated)
    assert not filled.part_valid[0, 3]
    assert filled.part_details[0][3].startswith("0 face points annotated, needed 20; looked for: ")


def test_later_steps_take_what_the_filling_found(astronaut, of_detector, monkeypatch):
    found = create("keypoints", "annotations", fill="mediapipe").estimate(
        astronaut, of_detector.boxes_xyxy, body_points(of_detector)
    )
    batch = batch_of_photo(astronaut, found)
    estimators = {part: create(part, "mediapipe") for part in ("body", "face")}
    for network in ("pose", "face", "hand"):
        monkeypatch.delattr(f"model.estimators.mediapipe.graphs.runner.Networks.{network}")
    assert all(estimator.estimate(batch).valid.all() for estimator in estimators.values())

"""People of whom only the head is seen."""

import cv2
import numpy as np
import pytest
from mediapipe_package import need_mediapipe
from photo_people import batch_of_photo
from refusals import codes_of

from model.body.skeleton import FACE
from model.estimators import ImageInput, create
from model.estimators.mediapipe.graphs.runner import FaceDetection, FaceReading, Networks, networks
from model.estimators.mediapipe.landmarks import FACE_OF_68
from model.estimators.mediapipe.search.heads import (
    HeadConfig,
    confirm,
    detect_faces,
    head_box,
    head_points,
    is_head_of,
)
from model.estimators.mediapipe.search.people import head_in_box

need_mediapipe()
data = pytest.importorskip("skimage.data")

LEFT, TOP, SIDE = 150, 30, 140
"""Crop of the astronaut's head."""
SCALE = 4


@pytest.fixture(scope="module")
def keypoints():
    return create("keypoints", "mediapipe")


@pytest.fixture(scope="module")
def portrait():
    crop = data.astronaut()[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    large = cv2.resize(crop, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    return ImageInput.from_rgb("portrait", np.ascontiguousarray(large))


@pytest.fixture(scope="module")
def of_portrait(portrait, keypoints):
    """What is found in the portrait."""
    return keypoints.estimate(portrait, None, None)


def parts_of(image, found, part):
    return create(part, "mediapipe").estimate(batch_of_photo(image, found))


def check_head(found):
    assert found.num_people == 1
    assert found.valid.all()
    np.testing.assert_array_equal(found.part_valid, [[False, False, False, True]])
    left_eye, right_eye = found.keypoints[0, 1], found.keypoints[0, 2]
    assert left_eye[2] > 0
    assert right_eye[2] > 0
    assert left_eye[0] > right_eye[0]  # her left is on our right
    assert np.isinf(found.sigma_px[0, 5:23]).all()
    assert np.isinf(found.sigma_px[0, 91:]).all()
    assert np.isnan(found.evidence["pose_px"]).all()


@pytest.mark.long
def test_a_portrait_is_a_person_without_a_body(portrait, of_portrait):
    found = of_portrait
    check_head(found)
    assert found.box_source == ["detector"]
    box, face = found.boxes_xyxy[0], found.keypoints[0, FACE, :2]
    assert np.mean((face >= box[:2]) & (face <= box[2:])) > 0.95  # the chin ends below the photo
    face_out, body_out = parts_of(portrait, found, "face"), parts_of(portrait, found, "body")
    hands_out = parts_of(portrait, found, "hands")
    assert face_out.valid.all()
    assert face_out.head_orient[0, 1, 1] < -0.8
    assert codes_of(body_out) == ["body_not_found"]
    assert not hands_out.valid.any()


def test_a_portrait_has_the_face_of_the_whole_photo(of_portrait, keypoints):
    whole = keypoints.estimate(ImageInput.from_rgb("whole", data.astronaut()), None, None)
    face = of_portrait.keypoints[0, FACE, :2] / SCALE + [LEFT, TOP]
    distance = np.linalg.norm(face - whole.keypoints[0, FACE, :2], axis=1)
    assert np.median(distance) < 3


def test_a_face_in_a_given_box_is_a_person_unless_it_is_someone_elses(portrait):
    side = float(SIDE * SCALE)
    box = np.array([0.0, 0, side, side])
    head = head_in_box(networks(), portrait.rgb, box, [], HeadConfig())
    assert head is not None
    assert head.pose is None
    assert head.has_face()
    assert head_in_box(networks(), portrait.rgb, box, [head], HeadConfig()) is None


def test_a_small_face_in_a_large_box_is_a_passer_by(portrait):
    box = np.array([0.0, 0, SIDE * SCALE, SIDE * SCALE])
    assert head_in_box(networks(), portrait.rgb, box, [], HeadConfig(min_share=0.9)) is None


def test_a_given_box_with_nothing_in_it_says_so(portrait, keypoints):
    found = keypoints.estimate(portrait, np.array([[0.0, 0, 30, 30]]), None)
    assert codes_of(found) == ["body_not_found"]


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("rocket", "coins", "brick")]


@pytest.mark.long
@pytest.mark.parametrize("name", ["coffee", "chelsea", "page", *OTHERS])
def test_no_face_is_invented(keypoints, name):
    rgb = getattr(data, name)()
    rgb = np.ascontiguousarray(np.stack([rgb] * 3, -1) if rgb.ndim == 2 else rgb)
    assert keypoints.estimate(ImageInput.from_rgb(name, rgb), None, None).num_people == 0


def test_faces_of_a_part_of_the_photo_lie_in_it():
    area = np.array([100.0, 20, 330, 260])
    groups = detect_faces(networks(), np.ascontiguousarray(data.astronaut()), area, HeadConfig())
    assert len(groups) == 1
    nose = groups[0][0].points[2]
    assert np.all((nose > [200, 100]) & (nose < [240, 150]))


def frontal_mesh():
    """(468, 3) points on an ellipse, with those that the head needs in place; height 200 px."""
    angle = np.linspace(0, 2 * np.pi, 468)
    mesh = np.stack([300 + 70 * np.sin(angle), 300 - 90 * np.cos(angle), np.zeros(468)], axis=1)
    mesh[10, :2], mesh[152, :2], mesh[1, :2] = [300, 200], [300, 400], [300, 310]
    mesh[[362, 263], :2], mesh[[133, 33], :2] = [[315, 270], [345, 270]], [[285, 270], [255, 270]]
    mesh[454, :2], mesh[234, :2] = [370, 290], [230, 290]
    return mesh


@pytest.mark.parametrize(
    ("detector", "mesh", "is_face"), [(0.65, 0.95, True), (0.8, 0.55, True), (0.65, 0.8, False), (0.95, 0.45, False)]
)
def test_a_face_needs_one_network_that_is_sure_of_it(detector, mesh, is_face):
    class Reader(Networks):
        def __init__(self):
            """Needs no files."""

        def face(self, rgb, region):
            del rgb
            return FaceReading(score=mesh, landmarks=frontal_mesh(), region=region)

    points = np.array([[270.0, 270], [330, 270], [300, 310], [300, 350], [230, 290], [370, 290]])
    detection = FaceDetection(score=detector, box_xyxy=np.array([200.0, 200, 400, 400]), points=points)
    found = confirm(Reader(), np.zeros((600, 600, 3), np.uint8), [detection], HeadConfig())
    assert (found is not None) == is_face


def test_head_box_holds_the_face_and_the_skull():
    mesh = frontal_mesh()
    box = head_box(mesh, 1000, 1000)
    assert np.all(mesh[FACE_OF_68, :2] >= box[:2])
    assert np.all(mesh[FACE_OF_68, :2] <= box[2:])
    assert box[1] < 200 - 50
    assert np.all(head_box(mesh, 320, 320) <= 320)


def test_far_ear_and_points_outside_are_unseen():
    mesh = frontal_mesh()
    points, sigma, _ = head_points(mesh, 1000, 1000)
    np.testing.assert_allclose(points[1:3], [[330, 270], [270, 270]])
    assert np.isfinite(sigma[:5]).all()
    assert np.isinf(sigma[5:]).all()
    mesh[234, :2] = [285, 300]
    assert np.isinf(head_points(mesh, 1000, 1000)[1][4])
    assert np.isinf(head_points(frontal_mesh(), 350, 1000)[1][3])


def test_a_face_belongs_to_the_pose_whose_head_it_is():
    pose = np.zeros((33, 5))
    pose[[0, 2, 5, 9, 10], :2] = [[300, 310], [320, 290], [280, 290], [310, 330], [290, 330]]
    pose[[7, 8], :2] = [[350, 300], [250, 300]]
    assert is_head_of(np.array([300.0, 300]), 100.0, pose)
    assert not is_head_of(np.array([500.0, 300]), 100.0, pose)


def test_a_low_detector_score_is_refused():
    with pytest.raises(ValueError, match=r"min_score must lie in 0\.5\.\.1"):
        HeadConfig(min_score=0.2)

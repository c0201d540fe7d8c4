"""The real networks on real photos; seconds, not minutes."""

import re
import threading

import cv2
import numpy as np
import pytest
from mediapipe_package import need_mediapipe
from photo_people import batch_of_photo
from refusals import codes_of

from model.body.skeleton import BODY, FACE, KEYPOINT_FLIP, NUM_KEYPOINTS
from model.estimators import ImageInput, create
from model.estimators.mediapipe.face import eyes_shown
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import EyeReading, networks
from model.estimators.mediapipe.lift import so3
from model.estimators.mediapipe.search.eyes import CORNERS_OF_MESH
from model.estimators.mediapipe.search.person import EVIDENCE_SHAPES

need_mediapipe()


@pytest.fixture(scope="module")
def astronaut():
    data = pytest.importorskip("skimage.data")
    return ImageInput.from_rgb("astronaut", np.ascontiguousarray(data.astronaut()))


@pytest.fixture(scope="module")
def keypoints():
    return create("keypoints", "mediapipe")


@pytest.fixture(scope="module")
def found(astronaut, keypoints):
    return keypoints.estimate(astronaut, None, None)


def test_one_person_with_a_face_is_found(found):
    assert found.num_people == 1
    assert found.valid.all()
    assert found.part_valid[0, 3]
    assert found.box_source == ["detector"]
    face = found.keypoints[0, FACE, :2]
    assert np.all((face.mean(0) > [180, 70]) & (face.mean(0) < [270, 170]))


def test_her_left_shoulder_is_on_our_right(found):
    left, right = found.keypoints[0, [5, 6]]
    assert left[2] > 0
    assert left[0] > right[0]


def test_unseen_points_have_no_place_no_score_and_no_weight(found):
    unseen = np.isinf(found.sigma_px)
    assert unseen[:, [18, 21]].all()
    assert (found.keypoints[unseen] == 0).all()
    assert ((found.keypoints[~unseen, 2] > 0) & (found.keypoints[~unseen, 2] <= 1)).all()


def test_evidence_has_the_documented_shapes(found):
    for name, shape in EVIDENCE_SHAPES.items():
        assert found.evidence[name].shape == (1, *shape)
        assert found.evidence[name].dtype == np.float32


def test_body_faces_the_camera_and_head_is_upright(astronaut, found):
    batch = batch_of_photo(astronaut, found)
    body, face = create("body", "mediapipe").estimate(batch), create("face", "mediapipe").estimate(batch)
    assert body.valid.all()
    assert body.global_orient[0, 2, 2] < -0.5  # her chest points at us: against the camera's z
    assert face.valid.all()
    assert face.head_orient[0, 1, 1] < -0.8  # up in the model is against the camera's y
    assert face.jaw_pose[0, 0] > 0.02  # she smiles with her teeth showing
    assert (face.eyelids < 0.5).all()


@pytest.mark.long
def test_parts_read_the_photo_when_the_keypoints_came_from_elsewhere(astronaut, found):
    bare = batch_of_photo(astronaut, found, evidence={})
    body, face = create("body", "mediapipe").estimate(bare), create("face", "mediapipe").estimate(bare)
    hands = create("hands", "mediapipe").estimate(bare)
    assert body.valid.all()
    assert body.global_orient[0, 2, 2] < -0.5
    assert face.valid.all()
    assert hands.hand_pose.shape == (1, 2, 15, 3, 3)
    for valid, reason in zip(hands.valid[0], hands.reasons[0], strict=True):
        assert (reason is None) if valid else re.search(r"needed \d|allowed \d", reason.detail)


def test_mirrored_photo_gives_mirrored_face(astronaut, keypoints, found):
    mirrored = ImageInput.from_rgb("mirrored", np.ascontiguousarray(astronaut.rgb[:, ::-1]))
    other = keypoints.estimate(mirrored, None, None)
    assert other.num_people == 1
    back = other.keypoints[0][np.array(KEYPOINT_FLIP)]
    back[:, 0] = 512 - back[:, 0]
    distance = np.linalg.norm(back[FACE, :2] - found.keypoints[0, FACE, :2], axis=1)
    assert np.median(distance) < 0.02 * 512


def moved_irises(rgb, mesh, right_px):
    """The photo with both irises moved to its right, the lids in place."""
    rows, columns = np.mgrid[0 : rgb.shape[0], 0 : rgb.shape[1]].astype(np.float32)
    shift = np.zeros(rgb.shape[:2], np.float32)
    for corners in CORNERS_OF_MESH:
        eye = mesh[list(corners), :2]
        x, y = eye.mean(0)
        iris_px = 0.22 * np.linalg.norm(eye[0] - eye[1])
        from_iris = np.hypot(columns - x - right_px, rows - y) / iris_px
        shift += right_px * np.clip((2.3 - from_iris) / 1.2, 0, 1).astype(np.float32)
    return cv2.remap(rgb, columns - shift, rows, cv2.INTER_CUBIC)


def face_centre(found):
    """Middle of the face, px."""
    return found.evidence["face_px"][0, :, :2].mean(0).astype(float)


def test_she_looks_into_the_camera_and_eyes_that_are_moved_look_aside(astronaut, found):
    face = create("face", "mediapipe")

    def left_deg(right_px):
        moved = ImageInput.from_rgb("moved", moved_irises(astronaut.rgb, found.evidence["face_px"][0], right_px))
        output = face.estimate(batch_of_photo(moved, found))
        assert output.eyes_valid.all()
        np.testing.assert_array_equal(output.eye_pose[0, :3], output.eye_pose[0, 3:])
        return output, np.degrees(output.eye_pose[0, 1])

    output, ahead_deg = left_deg(0)
    looks = output.head_orient[0] @ so3.exp(output.eye_pose[0, :3].astype(float)) @ [0, 0, 1]
    to_camera = -np.array([*(face_centre(found) - astronaut.principal_px) / astronaut.focal_px, 1])
    assert np.degrees(so3.between_rad(looks, to_camera)) < 10
    assert left_deg(3)[1] - ahead_deg > 5  # to the photo's right is to her left
    assert left_deg(-3)[1] - ahead_deg < -5


@pytest.mark.long
def test_mirrored_photo_gives_the_mirrored_gaze(astronaut, keypoints, found):
    face = create("face", "mediapipe")
    aside = moved_irises(astronaut.rgb, found.evidence["face_px"][0], 4)
    looks = []
    for rgb in (aside, np.ascontiguousarray(aside[:, ::-1])):
        image = ImageInput.from_rgb("aside", rgb)
        looks.append(
            np.degrees(face.estimate(batch_of_photo(image, keypoints.estimate(image, None, None))).eye_pose[0])
        )
    assert looks[0][1] > 5
    np.testing.assert_allclose(looks[1][:3], looks[0][:3] * [1, -1, -1], atol=5)


def test_small_eyes_profiles_and_eyes_outside_the_photo_say_no_gaze(found):
    mesh, straight = found.evidence["face_px"][0].astype(float), np.eye(3)
    assert eyes_shown(mesh, straight, 512, 512)
    assert not eyes_shown(mesh / 5, straight, 512, 512)
    assert not eyes_shown(mesh, so3.exp(np.array([0, -0.9, 0])), 512, 512)
    assert not eyes_shown(mesh - [220, 0, 0], straight, 512, 512)


def eye_of(corners, opening, outward):
    """An eye whose height and the way of whose iris from the middle are shares of its width."""
    middle, half = corners.mean(0), (corners[0] - corners[1]) / 2
    lid = np.array([0, opening * np.linalg.norm(half)])
    return EyeReading(corners=corners, lids=np.stack([middle - lid, middle + lid]), iris=middle + 2 * outward * half)


@pytest.mark.parametrize(("opening", "outward", "is_stated"), [(0.35, 0, True), (0.1, 0, False), (0.35, 0.2, False)])
def test_closed_eyes_and_eyes_that_look_two_ways_say_no_gaze(
    astronaut, found, monkeypatch, opening, outward, is_stated
):
    def read(networks, rgb, mesh):
        return tuple(eye_of(mesh[list(corners), :2], opening, outward) for corners in CORNERS_OF_MESH)

    monkeypatch.setattr("model.estimators.mediapipe.face.read_eyes", read)
    output = create("face", "mediapipe").estimate(batch_of_photo(astronaut, found))
    assert output.valid.all()
    assert output.eyes_valid[0] == is_stated
    assert is_stated or not output.eye_pose.any()


@pytest.mark.long
def test_given_boxes_keep_their_rows_and_say_what_is_wrong(astronaut, keypoints):
    boxes = np.array([[70.0, 20, 400, 512], [600, 20, 700, 200], [np.nan] * 4])
    out = keypoints.estimate(astronaut, boxes, None)
    assert out.num_people == 3
    np.testing.assert_array_equal(out.valid, [True, False, False])
    assert codes_of(out) == [None, "box_invalid", "box_invalid"]
    assert out.box_source == ["manifest"] * 3
    assert np.isfinite(out.sigma_px[0, BODY]).sum() >= 6
    body = create("body", "mediapipe").estimate(batch_of_photo(astronaut, out))
    np.testing.assert_array_equal(body.valid, [True, False, False])
    assert codes_of(body) == [None, "body_not_found", "body_not_found"]
    assert np.isfinite(body.body_pose).all()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["black", "grey", "noise"])
def test_nobody_is_found_where_nobody_is(keypoints, kind):
    random = np.random.default_rng(0)
    rgb = {
        "black": np.zeros((240, 320, 3)),
        "grey": np.full((240, 320, 3), 127),
        "noise": np.clip(random.normal(127, 20, (240, 320, 3)), 0, 255),
    }[kind].astype(np.uint8)
    out = keypoints.estimate(ImageInput.from_rgb(kind, rgb), None, None)
    assert out.num_people == 0
    assert out.keypoints.shape == (0, NUM_KEYPOINTS, 3)
    assert out.part_valid.shape == (0, 4)


@pytest.mark.long
def test_tiny_photo_is_no_error(keypoints):
    assert keypoints.estimate(ImageInput.from_rgb("dot", np.zeros((1, 1, 3), np.uint8)), None, None).num_people == 0


def test_threads_get_what_one_thread_gets(astronaut):
    nets, region = networks(), Region(225.0, 115.0, 160.0)
    alone = nets.face(astronaut.rgb, region).landmarks
    results = []
    threads = [
        threading.Thread(target=lambda: results.extend(nets.face(astronaut.rgb, region).landmarks for _ in range(5)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 15
    for result in results:
        np.testing.assert_array_equal(result, alone)

"""Bodies below faces, and who is looked for where."""

# pyright: reportArgumentType=false, reportCallIssue=false
import numpy as np
import pytest
from mediapipe_package import need_mediapipe

from model.estimators import ImageInput, create
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import FaceReading, networks
from model.estimators.mediapipe.search.below import has_head, pose_below, regions_below
from model.estimators.mediapipe.search.detector import DetectorConfig, find_candidates, levels_of
from model.estimators.mediapipe.search.face_landmarks import CHIN, FOREHEAD, read_face

pytestmark = pytest.mark.long

need_mediapipe()
data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def astronaut():
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="module")
def her_face(astronaut):
    return read_face(networks(), astronaut, Region(222.0, 118.0, 150.0))


def test_bodies_are_looked_for_below_the_face_at_the_sizes_that_people_have():
    landmarks = np.zeros((468, 3))
    landmarks[:, 0] = 500.0
    landmarks[FOREHEAD, 1], landmarks[CHIN, 1] = -20.0, 20.0
    regions = regions_below(FaceReading(score=1.0, landmarks=landmarks, region=Region(500.0, 0.0, 60.0)))
    assert {region.side_px / 40 for region in regions} == {7.0, 9.5, 12.0}
    for region in regions:
        assert region.x_px == 500
        assert 0 < region.y_px < region.side_px / 2  # the head lies in the region, the body fills it


def test_the_pose_below_a_face_has_that_head(astronaut, her_face):
    pose = pose_below(networks(), astronaut, her_face)
    assert pose is not None
    assert has_head(pose, her_face)
    assert pose.landmarks[11, 0] > pose.landmarks[12, 0]  # her left shoulder is on our right
    assert pose.landmarks[[11, 12], 1].min() > her_face.landmarks[CHIN, 1] - 20


def test_a_face_without_a_body_gets_no_pose(astronaut, her_face):
    portrait = astronaut.copy()
    low, high = her_face.landmarks[:, :2].min(0) - 20, her_face.landmarks[:, :2].max(0) + 20
    (left, top), (right, bottom) = low.astype(int), high.astype(int)
    portrait = np.ascontiguousarray(portrait[top:bottom, left:right])
    face = FaceReading(score=her_face.score, landmarks=her_face.landmarks - [left, top, 0], region=her_face.region)
    assert pose_below(networks(), portrait, face) is None


def test_tiles_whose_middle_is_somebody_known_are_not_looked_at():
    class Nobody:
        def __init__(self):
            self.regions = []

        def detect(self, rgb, region):
            del rgb
            self.regions.append(region)
            return []

    rgb, config = np.zeros((480, 640, 3), np.uint8), DetectorConfig()
    levels, box = levels_of(640, 480, config), np.array([0.0, 0, 330, 480])
    everywhere, elsewhere = Nobody(), Nobody()
    find_candidates(everywhere, rgb, levels, config)
    find_candidates(elsewhere, rgb, levels, config, [box])
    assert 0 < len(elsewhere.regions) < len(everywhere.regions)
    assert all(region.x_px >= 330 for region in elsewhere.regions)


def test_everybody_of_a_row_of_people_is_found_once(astronaut):
    row = np.ascontiguousarray(np.concatenate([astronaut[:, 20:420]] * 3, axis=1))
    found = create("keypoints", "mediapipe").estimate(ImageInput.from_rgb("row", row), None, None)
    assert found.num_people == 3
    assert found.part_valid[:, 3].all()
    np.testing.assert_allclose(np.diff(np.sort(found.keypoints[:, 0, 0])), 400, atol=12)

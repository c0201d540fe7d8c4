"""How often the networks are asked: what a photo and a person cost."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from mediapipe_package import need_mediapipe
from photo_people import batch_of_photo

from model.estimators import ImageInput, PersonBatch, create
from model.estimators.mediapipe.graphs.runner import Detection, Networks, networks
from model.estimators.mediapipe.search.detector import DetectorConfig, find_candidates, levels_of, look_again
from model.estimators.mediapipe.search.pose import PoseConfig, find_in_box, first_regions

pytestmark = pytest.mark.long

need_mediapipe()
data = pytest.importorskip("skimage.data")
BOX = np.array([[70.0, 20, 400, 512]])


@pytest.fixture
def calls(monkeypatch):
    counts = Counter()

    def counted(name):
        original = getattr(Networks, name)

        def call(self, *args, **kwargs):
            counts[name] += 1
            return original(self, *args, **kwargs)

        return call

    for name in ("detect", "detect_faces", "pose", "hand", "face"):
        monkeypatch.setattr(Networks, name, counted(name))
    return counts


@pytest.fixture(scope="module")
def astronaut():
    return ImageInput.from_rgb("astronaut", data.astronaut())


def bare_batch(image):
    return PersonBatch(
        images=[image.rgb],
        boxes_xyxy=BOX,
        keypoints=np.zeros((1, 133, 3)),
        sigma_px=np.full((1, 133), np.inf),
        focal_px=np.array([image.focal_px]),
        principal_px=image.principal_px[None],
    )


def test_a_small_photo_gets_fewer_tiles_than_a_large_one(monkeypatch):
    """Where the detector sees nobody."""
    seen, config = [], DetectorConfig()
    monkeypatch.setattr(Networks, "detect", lambda self, rgb, region: seen.append(region) or [])
    find_candidates(networks(), np.zeros((480, 640, 3), np.uint8), levels_of(640, 480, config), config)
    small = len(seen)
    find_candidates(networks(), np.zeros((960, 1280, 3), np.uint8), levels_of(1280, 960, config), config)
    assert small <= 30 < len(seen) - small <= 50


def test_where_nobody_is_seen_upright_nobody_is_looked_for_along_the_lean(calls):
    ghost = Detection(
        score=0.6, head_xyxy=np.array([110.0, 50, 130, 70]), hip_px=np.array([120.0, 120]), radius_px=80, rotation_rad=1
    )
    assert look_again(networks(), np.zeros((240, 240, 3), np.uint8), ghost, DetectorConfig()) is None
    assert calls["detect"] == len(DetectorConfig().second_look)


@pytest.mark.parametrize(("part", "unused"), [("body", {"hand", "face"}), ("hands", {"face"}), ("face", {"hand"})])
def test_a_part_reads_only_what_it_needs(astronaut, calls, part, unused):
    create(part, "mediapipe").estimate(bare_batch(astronaut))
    assert calls["pose"] > 0
    assert not unused & set(calls)


def test_only_the_body_measures_the_spread_of_the_pose(astronaut, calls):
    create("body", "mediapipe").estimate(bare_batch(astronaut))
    with_spread = calls.pop("pose")
    create("face", "mediapipe").estimate(bare_batch(astronaut))
    assert calls["pose"] <= with_spread - 6


def test_keypoints_of_the_same_backend_are_not_read_twice(astronaut, calls):
    found = create("keypoints", "mediapipe").estimate(astronaut, BOX, None)
    assert calls["pose"] <= 30
    calls.clear()
    batch = batch_of_photo(astronaut, found)
    for part in ("body", "hands", "face"):
        create(part, "mediapipe").estimate(batch)
    assert not calls


def test_the_detector_looks_at_a_box_once_before_the_first_region_is_read(astronaut, calls):
    next(first_regions(networks(), astronaut.rgb, BOX[0]))
    assert calls["detect"] == 1


def test_no_region_of_a_box_is_read_twice(monkeypatch):
    seen = []
    read = Networks.pose

    def pose(self, rgb, region, *, mirrored=False):
        seen.append((region, mirrored))
        return replace(read(self, rgb, region, mirrored=mirrored), score=0.5)  # never clear

    monkeypatch.setattr(Networks, "pose", pose)
    find_in_box(networks(), data.astronaut(), BOX[0], PoseConfig())
    assert len(seen) > 10
    assert len(set(seen)) == len(seen)

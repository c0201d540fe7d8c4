import re

import cv2
import numpy as np
import pytest
from onnx_files import (
    dot_colours,
    standing_person,
    write_detector,
    write_dot_pose,
    write_fixed_pose,
    write_mean_pose,
)
from refusals import codes_of

from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from model.estimators import KeypointEstimator, create, known_backends
from model.estimators.annotations import SIGMA_SHARE
from model.estimators.base import ImageInput
from model.estimators.dwpose.keypoints import DwposeKeypoints
from model.imaging.boxes import longer_side

CROP = (144, 192)
DOT_RADIUS = 3.5
"""Input px."""
GREY = 60


@pytest.fixture(scope="module")
def dots(tmp_path_factory):
    return write_dot_pose(tmp_path_factory.mktemp("dots") / "pose.onnx", CROP)


@pytest.fixture(scope="module")
def finder(dots):
    return DwposeKeypoints(pose_path=dots, num_threads=1)


def crop_height(box):
    width, height = 1.25 * (np.array(box[2:]) - box[:2])
    return max(height, width / 0.75)


def places(box, rng=None, order=None):
    """Keypoints (133, 2) on a grid of 12 x 12 in a box, each at a random place within its own cell."""
    cells = np.stack(np.meshgrid(np.arange(12), np.arange(12)), -1).reshape(-1, 2)[:133]
    cells = cells if order is None else cells[order]
    jitter = np.zeros((133, 2)) if rng is None else rng.uniform(-0.12, 0.12, (133, 2))
    box = np.asarray(box, float)
    return box[:2] + (cells + 0.5 + jitter) / 12 * (box[2:] - box[:2])


def paint(rgb, points, box, which=range(133)):
    """Paints the dot of each keypoint, as large as the network wants it in this box's crop."""
    radius = DOT_RADIUS * crop_height(box) / CROP[1]
    for k in which:
        centre = [round(float(v) * 16) for v in points[k]]
        cv2.circle(rgb, centre, round(radius * 16), dot_colours()[k].tolist(), -1, cv2.LINE_AA, 4)


def photo(height=700, width=900):
    return np.full((height, width, 3), GREY, np.uint8)


def image(rgb, name="photo"):
    return ImageInput.from_rgb(name, rgb)


def test_painted_dots_come_back(finder):
    rng = np.random.default_rng(0)
    boxes = np.array([[40, 60, 400, 560], [480, 90, 840, 590], [400, 620, 580, 880.0]])
    rgb, truth = photo(900), [places(box, rng, rng.permutation(133)) for box in boxes]
    for points, box in zip(truth, boxes, strict=True):
        paint(rgb, points, box)
    found = finder.estimate(image(rgb), boxes)
    for i, box in enumerate(boxes):
        # The network answers in whole input px: off by half of one, and by what the interpolation moves the peak.
        error = np.abs(found.keypoints[i, :, :2] - truth[i]).max(1)
        assert np.isfinite(found.sigma_px[i]).all()
        assert error.max() <= 1.0 * crop_height(box) / CROP[1], f"person {i}"
        assert np.median(error) <= 0.5 * crop_height(box) / CROP[1]
    assert found.valid.all()
    assert found.part_valid.all()
    assert found.box_source == ["manifest"] * 3
    assert (found.keypoints[..., 2] > 0.8).all()
    assert found.limb_details == [(None,) * 6] * 3


def test_sigma_is_at_least_one_answer_step_and_what_annotators_agree_on(finder):
    box = np.array([[100, 60, 460, 560.0]])
    rgb = photo()
    paint(rgb, places(box[0]), box[0])
    sigma = finder.estimate(image(rgb), box).sigma_px[0]
    side = longer_side(box)[0]
    assert (sigma >= crop_height(box[0]) / (2 * CROP[1]) - 1e-4).all()
    assert (sigma[:23] >= SIGMA_SHARE[:23] * side - 1e-3).all()


def test_what_is_not_painted_is_not_seen(finder):
    box = np.array([[100, 60, 460, 560.0]])
    rgb = photo()
    paint(rgb, places(box[0]), box[0], which=[*range(17), *range(91, 94)])
    found = finder.estimate(image(rgb), box)
    seen = np.isfinite(found.sigma_px[0])
    assert seen[:17].all()
    assert not seen[17:].any()  # three points of a hand are not enough for a hand: it is hidden as a whole
    assert (found.keypoints[0][~seen] == 0).all()
    assert found.part_valid[0].tolist() == [True, False, False, False]
    assert (found.evidence["simcc_score"][0, 17:91] < 0).all()
    assert (found.evidence["simcc_score"][0, 91:94] > 0.5).all()


def test_enough_points_make_a_hand(finder):
    box = np.array([[100, 60, 460, 560.0]])
    rgb = photo()
    paint(rgb, places(box[0]), box[0], which=[*range(17), *range(112, 120)])
    found = finder.estimate(image(rgb), box)
    assert found.part_valid[0].tolist() == [True, False, True, False]
    assert np.isfinite(found.sigma_px[0, 112:120]).all()


def test_limbs_are_trusted_one_by_one(finder):
    box = np.array([[100, 60, 460, 560.0]])
    rgb = photo()
    paint(rgb, places(box[0]), box[0], which=[*range(5, 13)])
    found = finder.estimate(image(rgb), box)
    assert found.valid[0]
    assert [detail is None for detail in found.limb_details[0]] == [False, True, True, True, False, False]
    assert not found.part_valid[0, 0], "a body needs its trunk and three more groups"


def test_too_few_points_are_no_person_to_fit(finder):
    box = np.array([[100, 60, 460, 560.0]])
    rgb = photo()
    paint(rgb, places(box[0]), box[0], which=[5, 6, 11])
    found = finder.estimate(image(rgb), box)
    assert codes_of(found) == ["keypoints_too_few"]
    assert not found.valid[0]


def test_box_beyond_the_photo_shows_what_is_inside(finder):
    box = np.array([[-180, 60, 180, 560.0]])
    rgb = photo()
    truth = places(box[0])
    paint(rgb, truth, box[0])
    found = finder.estimate(image(rgb), box)
    inside = truth[:, 0] > 20
    assert np.isfinite(found.sigma_px[0, :23][inside[:23]]).all()
    assert not np.isfinite(found.sigma_px[0, :23][truth[:23, 0] < -20]).any()
    error = np.abs(found.keypoints[0, :23, :2] - truth[:23])[inside[:23]].max()
    assert error <= crop_height(box[0]) / CROP[1]


def test_unusable_boxes_are_rows_without_points(finder):
    box = [100, 60, 460, 560.0]
    rgb = photo()
    paint(rgb, places(box), box)
    found = finder.estimate(image(rgb), np.array([[np.nan] * 4, [950, 10, 990, 90.0], box, [50, 50, 50, 90]]))
    assert codes_of(found) == ["box_invalid", "box_invalid", None, "box_invalid"]
    assert found.valid.tolist() == [False, False, True, False]
    assert not np.isfinite(found.sigma_px[[0, 1, 3]]).any()
    assert not found.part_valid[[0, 1, 3]].any()


def test_overlapped_people_lose_their_bodies_and_keep_faces_and_hands(finder):
    box = np.array([[100, 60, 460, 560], [130, 80, 470, 570.0]])
    rgb = photo()
    paint(rgb, places(box[0]), box[0])
    alone, both = finder.estimate(image(rgb), box[:1]), finder.estimate(image(rgb), box)
    assert codes_of(both) == ["person_overlapped"] * 2
    assert both.valid.all()
    assert alone.part_valid[0].all()
    assert both.part_valid[0].tolist() == [False, True, True, True]
    assert re.fullmatch(r"\d+% of .* allowed 50%", both.part_details[0][0])
    assert all(detail is not None for person in both.limb_details for detail in person)


@pytest.mark.parametrize("batch_size", [2, *(pytest.param(size, marks=pytest.mark.long) for size in (1, 16))])
def test_a_batch_of_photos_gives_what_each_gives_alone(dots, finder, batch_size):
    rng = np.random.default_rng(1)
    images, boxes = [], []
    for k, num in enumerate((2, 0, 1, 3)):
        rgb = photo(300 + 50 * k, 500)
        own = np.array([[10 + 160 * i, 20, 140 + 160 * i, 200 + 10 * k] for i in range(num)], float).reshape(-1, 4)
        for box in own:
            paint(rgb, places(box, rng), box)
        images.append(image(rgb, f"photo{k}"))
        boxes.append(own)
    together = DwposeKeypoints(pose_path=dots, num_threads=1, batch_size=batch_size).estimate_batch(images, boxes)
    for one, own, got in zip(images, boxes, together, strict=True):
        alone = finder.estimate(one, own)
        assert got.num_people == len(own)
        assert got.reasons == alone.reasons
        np.testing.assert_allclose(got.keypoints, alone.keypoints, atol=1e-4)
        np.testing.assert_allclose(got.sigma_px, alone.sigma_px, rtol=1e-5)


def test_fixed_batch_file_gives_the_same(dots, finder, tmp_path):
    boxes = np.array([[40, 60, 400, 560], [480, 90, 840, 590.0]])
    rgb = photo()
    for box in boxes:
        paint(rgb, places(box), box)
    single = DwposeKeypoints(pose_path=write_dot_pose(tmp_path / "one.onnx", CROP, batch=1), num_threads=1)
    got, wanted = single.estimate(image(rgb), boxes), finder.estimate(image(rgb), boxes)
    np.testing.assert_allclose(got.keypoints, wanted.keypoints, atol=1e-4)


def test_detected_people_are_read(dots, tmp_path):
    box = np.array([96, 64, 336, 480.0])  # canvas of 640 px, photo of 320 px
    path = write_detector(tmp_path / "yolox.onnx", [box], [0.83])
    rgb = photo(320, 320)
    truth = places(box / 2)
    paint(rgb, truth, box / 2)
    estimator = DwposeKeypoints(pose_path=dots, detector_path=path, num_threads=1)
    found = estimator.estimate(image(rgb))
    assert found.boxes_xyxy == pytest.approx(box[None] / 2, abs=1e-3)
    assert found.box_source == ["detector"]
    assert found.scores == pytest.approx([0.83], abs=1e-5)
    assert np.abs(found.keypoints[0, :, :2] - truth).max() <= crop_height(box / 2) / CROP[1]


def test_no_detection_is_no_person(dots, tmp_path):
    path = write_detector(tmp_path / "yolox.onnx", [[96, 64, 336, 480]], [0.83], only_if_blue=True)
    estimator = DwposeKeypoints(pose_path=dots, detector_path=path, num_threads=1)
    blue = photo(320, 320)
    blue[:5, :5] = 0, 0, 255
    nobody, somebody = estimator.estimate_batch([image(photo(320, 320)), image(blue)])
    assert nobody.num_people == 0
    assert nobody.keypoints.shape == (0, 133, 3)
    assert nobody.part_valid.shape == (0, 4)
    assert nobody.evidence["simcc_score"].shape == (0, 133)
    assert {name: array.shape[1:] for name, array in nobody.evidence.items()} == {
        name: array.shape[1:] for name, array in somebody.evidence.items()
    }
    assert somebody.num_people == 1


def test_photos_with_and_without_boxes_mix(dots, tmp_path):
    path = write_detector(tmp_path / "yolox.onnx", [[96, 64, 336, 480]], [0.83])
    estimator = DwposeKeypoints(pose_path=dots, detector_path=path, num_threads=1)
    given = np.array([[10, 10, 100, 200], [120, 10, 210, 200.0]])
    first, second = estimator.estimate_batch([image(photo(320, 320)), image(photo(640, 640))], [given, None])
    assert first.box_source == ["manifest"] * 2
    assert second.box_source == ["detector"]
    assert second.boxes_xyxy == pytest.approx(np.array([[96, 64, 336, 480.0]]), abs=1e-3)


def test_pose_network_is_shown_rgb(tmp_path):
    estimator = DwposeKeypoints(pose_path=write_mean_pose(tmp_path / "mean.onnx"), num_threads=1)
    rgb = photo(400, 400)
    rgb[...] = 230, 128, 51
    found = estimator.estimate(image(rgb), np.array([[130, 100, 270, 300.0]]))
    assert found.evidence["simcc_score"][0, :3] == pytest.approx(np.array([230, 128, 51]) / 255, abs=2e-3)


def test_standing_person_is_trusted(tmp_path):
    path = write_fixed_pose(tmp_path / "fixed.onnx", standing_person(), (96, 128))
    found = DwposeKeypoints(pose_path=path, num_threads=1).estimate(image(photo()), np.array([[100, 60, 400, 560.0]]))
    assert found.valid.all()
    assert found.part_valid.all()
    wanted = np.array([250, 310]) + (standing_person() - 0.5) * [0.75 * 625, 625]
    assert np.abs(found.keypoints[0, :, :2] - wanted).max() <= 625 / 256 + 1e-3


def test_uncertain_scores_give_wide_sigma_and_no_trust(tmp_path):
    box = np.array([[100, 60, 400, 560.0]])
    found = []
    for peak in (1.0, 0.75, 0.5, 0.2):
        path = write_fixed_pose(tmp_path / f"{peak}.onnx", standing_person(), (96, 128), peak=peak)
        found.append(DwposeKeypoints(pose_path=path, num_threads=1).estimate(image(photo()), box))
    sigma = [one.sigma_px[0, :17].max() for one in found]
    assert sigma[0] < sigma[1] < sigma[2] < sigma[3] == np.inf
    score = [one.keypoints[0, 0, 2] for one in found]
    assert score[0] > 0.9 > score[1] > score[2] > score[3] == 0
    assert found[0].part_valid.all()
    assert not found[2].part_valid.any()
    assert found[2].valid[0], "points that are seen, though unsure, can be fitted"
    assert codes_of(found[3]) == ["keypoints_too_few"]


def test_scores_of_rtmw_are_noticed_and_read_as_such(tmp_path):
    path = write_fixed_pose(tmp_path / "rtmw.onnx", standing_person(), (96, 128), peak=5.5)
    box = np.array([[100, 60, 400, 560.0]])
    with pytest.raises(ValueError, match=r"raw scores reach 5\.5 .*'dwpose'.*set kind to 'rtmw'"):
        DwposeKeypoints(pose_path=path, num_threads=1).estimate(image(photo()), box)
    found = DwposeKeypoints(pose_path=path, kind="rtmw", num_threads=1).estimate(image(photo()), box)
    assert found.part_valid.all()


def test_other_pose_networks_are_refused(tmp_path):
    body = write_fixed_pose(tmp_path / "body17.onnx", np.full((17, 2), 0.5), (96, 128))
    with pytest.raises(ValueError, match=r"pose_path .*body17\.onnx: its outputs are .*17.*133.*dw-ll_ucoco_384"):
        DwposeKeypoints(pose_path=body)
    detector = write_detector(tmp_path / "yolox.onnx", [[1, 1, 9, 9]], [0.5], (64, 64))
    with pytest.raises(ValueError, match=r"pose_path .*yolox\.onnx: its outputs are .*dw-ll_ucoco_384"):
        DwposeKeypoints(pose_path=detector)


def test_values_that_are_no_numbers_are_noticed(tmp_path):
    path = write_fixed_pose(tmp_path / "nan.onnx", standing_person(), (96, 128), peak=np.nan)
    with pytest.raises(ValueError, match=r"nan\.onnx: it gave values that are not finite"):
        DwposeKeypoints(pose_path=path).estimate(image(photo()), np.array([[100, 60, 400, 560.0]]))


def test_photos_without_boxes_need_a_detector(finder):
    with pytest.raises(ValueError, match=r"image 'beach' comes without boxes.*detector_path.*yolox_l\.onnx"):
        finder.estimate(image(photo(), "beach"))


def test_options_that_clash_are_named(dots):
    with pytest.raises(ValueError, match="expected one of onnx, mmpose, got 'torch'"):
        DwposeKeypoints(pose_path=dots, route="torch")
    with pytest.raises(ValueError, match="read by the route 'mmpose' only"):
        DwposeKeypoints(pose_path=dots, config_path="x.py")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        DwposeKeypoints(pose_path=dots, batch_size=0)
    with pytest.raises(ValueError, match=r"boxes, or None, for each of 2 photos, got 1"):
        DwposeKeypoints(pose_path=dots).estimate_batch([image(photo())] * 2, [None])


def test_registry_builds_it_from_a_settings_file(dots, tmp_path):
    detector = write_detector(tmp_path / "yolox.onnx", [[1, 1, 9, 9]], [0.5], (64, 64))
    options = {
        "pose_path": str(dots),
        "detector_path": str(detector),
        "detector": {"min_score": 0.5},
        "calibration": {"trusted_hands": 0.8},
    }
    estimator = create("keypoints", "dwpose", **options)
    assert isinstance(estimator, KeypointEstimator)
    assert "dwpose" in known_backends("keypoints")
    assert estimator.info.licence == "Apache-2.0"
    pose_hash, detector_hash = estimator.info.weights_sha256.split("+")
    assert len(pose_hash) == len(detector_hash) == 64
    assert pose_hash != detector_hash


def test_part_slices_are_those_of_the_columns(finder):
    box = np.array([[100, 60, 460, 560.0]])
    for column, part in ((1, LEFT_HAND), (2, RIGHT_HAND), (3, FACE)):
        rgb = photo()
        paint(rgb, places(box[0]), box[0], which=range(part.start, part.stop))
        assert finder.estimate(image(rgb), box).part_valid[0].tolist() == [c == column for c in range(4)]

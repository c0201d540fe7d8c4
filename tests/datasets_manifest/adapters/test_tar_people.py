"""Training tars: people by key, in boxes and points of the units that their records have; what is wrong keeps a row."""

import io
import os
import tracemalloc
from typing import Any

import numpy as np
import pytest
from inventories import inventory_of
from published_people import (
    CENTER_PX,
    PLACES_PX,
    SIDE_PX,
    detection_npz,
    hmr2_person,
    pear_person,
    pyd,
    sam3d_person,
)
from scipy.spatial.transform import Rotation
from tar_files import write_tar

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.adapters.people.masks import stated_mask
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import HMR2_44
from datasets_manifest.sources.opening import open_images

BOX = [*(CENTER_PX - SIDE_PX / 2.4), *(CENTER_PX + SIDE_PX / 2.4)]
"""Of the person: those of the files are 1.2 times as large."""


def adapter_of(root, *, records="hmr2", boxes: Any = "manifest", keypoints: Any = "coco_wholebody", **layout):
    return open_adapter(
        Manifest(
            id="tars", version="1", licence="x", access="x", adapter="tar_people", root=str(root), split="train",
            boxes=boxes, keypoints=keypoints, purpose="test", layout={"records": records, **layout},
        )
    )  # fmt: skip


def listed(root, *people, ending="data.pyd", **options):
    write_tar(root / "000000.tar", [("set/p1.jpg", b"jpeg"), (f"set/p1.{ending}", pyd(list(people)))])
    return inventory_of(adapter_of(root, **options))


class _Shell:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_people_of_two_photos_of_a_tar_file(tmp_path):
    """Golden example 13."""
    faint = np.array(PLACES_PX)
    faint[:, 2] = 0.2
    first = [hmr2_person(), hmr2_person(has_betas=np.array(False), keypoints_2d=faint)]
    members = [
        ("set/p1.jpg", b"one"), ("set/p1.data.pyd", pyd(first)), ("set/p1.detection.npz", detection_npz(2)),
        ("set/p2.png", b"two"), ("set/p2.data.pyd", pyd([hmr2_person()], protocol=2)),
        ("set/bad.jpg", b"bad"), ("set/bad.data.pyd", b"not a pickle"),
    ]  # fmt: skip
    write_tar(tmp_path / "000000.tar", members)
    inventory = inventory_of(adapter_of(tmp_path, skip=["set/bad"]))
    assert [(r.image_id, len(r.people)) for r in inventory.records] == [
        ("000000.tar::set/p1.jpg", 2),
        ("000000.tar::set/p2.png", 1),
    ]
    assert inventory.notes["photos left out, which layout.skip names"] == 1
    assert inventory.missing == ()
    assert open_images(tmp_path).read(inventory.records[1].path) == b"two"
    one, other = inventory.records[0].people
    np.testing.assert_allclose(one.bbox_xyxy, BOX)
    assert (one.truth_3d.model, one.truth_3d.num_betas, other.truth_3d.num_betas) == ("smpl", 10, 0)
    np.testing.assert_allclose(one.truth_3d.parameters["body_pose"], np.arange(3, 72) / 100, rtol=1e-6)
    assert other.keypoints[:, 2].max() == pytest.approx(0.2)


def test_masks_beside_the_people_are_read_when_they_are_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    masks, file = rng.random((2, 9, 7)) > 0.5, io.BytesIO()
    np.savez_compressed(file, masks=masks)
    said = [hmr2_person(extra_info={"detection_npz_idx": np.array(k)}) for k in (1, 0, 7)]
    said += [hmr2_person(extra_info={})]
    members = [("p.jpg", b"one"), ("p.data.pyd", pyd(said)), ("p.detection.npz", file.getvalue())]
    members += [("q.jpg", b"two"), ("q.data.pyd", pyd(said[:1])), ("q.detection.npz", b"PK no file of arrays")]
    write_tar(tmp_path / "x.tar", members)
    inventory = inventory_of(adapter_of(tmp_path))
    first, second, beyond, without = inventory.records[0].people
    np.testing.assert_array_equal(first.mask().mask(), masks[1])
    np.testing.assert_array_equal(second.mask().mask(), masks[0])
    assert without.mask is None
    assert inventory.notes["masks of people that are of no known form left out"] == 1
    for broken in (beyond, inventory.records[1].people[0]):
        with pytest.raises(ValueError, match="cannot be read"):
            broken.mask()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (np.eye(3, dtype=bool), np.eye(3)),
        (255 * np.eye(3, dtype=np.uint8)[None], np.eye(3)),
        ({"size": [2, 2], "counts": b"04"}, np.ones((2, 2))),
        ({"size": np.array([2, 2]), "counts": "13"}, [[0, 1], [1, 1]]),
        ({"size": [-1, -1], "counts": b""}, None),
        (np.zeros((2, 3, 4)), None),
        ("text", None),
        (None, None),
    ],
)
def test_the_mask_of_a_record_is_pixels_or_packed_runs(said, expected):
    found = stated_mask(said)
    assert (found is None) == (expected is None)
    if found is not None:
        np.testing.assert_array_equal(found().mask(), expected)


def test_a_mask_that_is_none_leaves_its_person(tmp_path):
    person = pear_person() | {"mask": {"size": [3, 3], "counts": b"zz"}}
    inventory = listed(tmp_path, person, records="pear", ending="annotation.pyd")
    (found,) = inventory.records[0].people
    assert (found.error_code, found.mask) == (None, None)
    assert [missing.path for missing in inventory.missing] == ["000000.tar::set/p1.jpg mask of person 0"]


def test_points_are_put_in_their_places_and_the_annotated_one_of_two_is_taken(tmp_path):
    points = np.array(PLACES_PX)
    (record,) = listed(tmp_path, hmr2_person(keypoints_2d=points)).records
    found = record.people[0].keypoints
    ankle, detected = HMR2_44.points.index("right_ankle"), HMR2_44.points.index("openpose_right_ankle")
    np.testing.assert_allclose(found[16], points[ankle], rtol=1e-6)
    assert found[16, 1] != pytest.approx(points[detected, 1])
    np.testing.assert_allclose(found[0], points[0], rtol=1e-6)
    assert set(record.people[0].other_points) >= {"neck", "head_top", "pelvis", "thorax", "openpose_mid_hip"}
    assert not found[23:].any()


def test_the_more_confident_of_two_points_of_one_place_is_taken(tmp_path):
    points = np.array(PLACES_PX)
    points[HMR2_44.points.index("right_ankle"), 2] = 0.3
    (record,) = listed(tmp_path, hmr2_person(keypoints_2d=points)).records
    detected = HMR2_44.points.index("openpose_right_ankle")
    np.testing.assert_allclose(record.people[0].keypoints[16], points[detected], rtol=1e-6)


@pytest.mark.parametrize(("keypoints", "last"), [("none", None), ("coco", 17), ("coco_wholebody", 23)])
def test_points_are_those_that_are_asked_for(tmp_path, keypoints, last):
    (record,) = listed(tmp_path, hmr2_person(), keypoints=keypoints).records
    found = record.people[0].keypoints
    assert found is None if last is None else np.flatnonzero(found[:, 2]).max() == last - 1


def test_points_in_3d_are_annotated_limbs_relative_to_the_root(tmp_path):
    points = np.concatenate([PLACES_PX[:, :2] / 100, np.full((44, 1), 3.0), np.ones((44, 1))], axis=1)
    (record,) = listed(tmp_path, hmr2_person(keypoints_3d=points, has_body_pose=False)).records
    truth = record.people[0].truth_3d
    assert (truth.model, truth.frame, truth.root_relative) == (None, "camera", True)
    np.testing.assert_allclose(truth.keypoints_m[16], points[HMR2_44.points.index("right_ankle")], rtol=1e-6)
    assert "openpose_neck" not in truth.other_points_m
    assert not truth.points_turned, "nobody said how"


def points_3d(turn=(1, 1, 1)):
    """(44, 4) metres of the person who is drawn, a little turned away."""
    points = np.concatenate([PLACES_PX[:, :2] / 120, PLACES_PX[:, :1] / 500, np.ones((44, 1))], axis=1)
    return points * [*turn, 1]


@pytest.mark.parametrize(("unit", "factor"), [("m", 1), ("mm", 1000)])
def test_the_manifest_says_how_points_in_3d_are_to_be_taken(tmp_path, unit, factor):
    layout = {"points_3d": {"frame": "camera_relative", "unit": unit, "are": "joints"}}
    people = [hmr2_person(keypoints_3d=points_3d() * [factor, factor, factor, 1])] * 5
    (record,) = listed(tmp_path, *people, **layout).records
    truth = record.people[0].truth_3d
    assert (truth.root_relative, truth.points_turned, truth.points_are) == (True, True, "joints")
    expected = points_3d()[HMR2_44.points.index("right_ankle")]
    np.testing.assert_allclose(truth.keypoints_m[16], expected, rtol=1e-5)


@pytest.mark.parametrize("turn", [(-1, 1, 1), (1, -1, 1), (-1, 1, -1)])
def test_points_in_3d_that_are_turned_otherwise_stop_the_listing(tmp_path, turn):
    people = [hmr2_person(keypoints_3d=points_3d(turn))] * 5
    with pytest.raises(ValueError, match="not turned as the camera"):
        listed(tmp_path, *people, points_3d={"frame": "camera_relative"})
    assert listed(tmp_path, *people).records[0].people[0].truth_3d is not None, "evaluation may turn them"


@pytest.mark.parametrize("factor", [0.01, 100, 1000])
def test_points_in_3d_of_another_unit_stop_the_listing(tmp_path, factor):
    people = [hmr2_person(keypoints_3d=points_3d() * [factor, factor, factor, 1])] * 5
    with pytest.raises(ValueError, match="unit"):
        listed(tmp_path, *people, points_3d={"frame": "camera_relative"})


def test_points_in_3d_on_one_spot_are_those_of_nobody(tmp_path):
    inventory = listed(tmp_path, hmr2_person(keypoints_3d=np.ones((44, 4))))
    assert "give those that are not known the score 0" in inventory.reasons


def test_points_in_3d_of_other_records_need_no_word(tmp_path):
    with pytest.raises(ValueError, match="points_3d: are of records hmr2"):
        listed(tmp_path, pear_person(), records="pear", points_3d={"frame": "camera_relative"})


@pytest.mark.parametrize("protocol", range(6))
def test_records_of_every_protocol_are_read(tmp_path, protocol):
    write_tar(tmp_path / "a.tar", [("p.jpg", b"a"), ("p.data.pyd", pyd([hmr2_person()], protocol))])
    (record,) = inventory_of(adapter_of(tmp_path)).records
    np.testing.assert_allclose(record.people[0].bbox_xyxy, BOX)


@pytest.mark.parametrize("protocol", [2, 5])
def test_a_pickle_that_would_run_something_is_refused_and_keeps_the_row_of_the_photo(tmp_path, protocol):
    hostile = pyd([_Shell(f"touch {tmp_path / 'ran'}")], protocol)
    write_tar(tmp_path / "000000.tar", [("p1.jpg", b"jpeg"), ("p1.data.pyd", hostile)])
    inventory = inventory_of(adapter_of(tmp_path))
    assert not (tmp_path / "ran").exists()
    (record,) = inventory.records
    assert [p.error_code for p in record.people] == [ErrorCode.SOURCE_ROW_INVALID]
    assert "nothing was run" in record.people[0].error_detail
    assert [m.has_row for m in inventory.missing] == [True]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keypoints_2d": ...}, "keypoints_2d must be 44 x 3 numbers, got none"),
        ({"keypoints_2d": np.zeros((25, 3))}, "got 25 x 3"),
        ({"keypoints_2d": np.full((44, 3), np.nan)}, "not finite"),
        ({"center": "here"}, "center must be 2 numbers"),
        ({"scale": np.zeros(2)}, "0 px wide"),
        ({"body_pose": np.zeros(69)}, "body_pose must be 72 numbers, got 69"),
        ({"keypoints_3d": np.full((44, 4), np.inf)}, "not finite"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_failed_person(tmp_path, changes, words):
    inventory = listed(tmp_path, hmr2_person(), hmr2_person(**changes), hmr2_person())
    people = inventory.records[0].people
    assert [bool(p.error_code) for p in people] == [False, True, False]
    assert words in people[1].error_detail
    assert "person 1 of 000000.tar::set/p1.jpg" in people[1].error_detail
    assert len(inventory.missing) == 1


@pytest.mark.parametrize("people", [b"", b"\x80", pyd({"a": 1}), None])
def test_a_photo_whose_people_cannot_be_read_keeps_its_row(tmp_path, people):
    members = [("a.jpg", b"a")] + ([] if people is None else [("a.data.pyd", people)])
    write_tar(tmp_path / "x.tar", [*members, ("b.jpg", b"b"), ("b.data.pyd", pyd([hmr2_person()]))])
    inventory = inventory_of(adapter_of(tmp_path))
    assert [[bool(p.error_code) for p in r.people] for r in inventory.records] == [[True], [False]]
    assert [(m.path, m.code) for m in inventory.missing] == [("x.tar::a.jpg", ErrorCode.SOURCE_ROW_INVALID)]


def test_people_without_a_photo_keep_their_rows(tmp_path):
    write_tar(tmp_path / "x.tar", [("a.data.pyd", pyd([hmr2_person()])), ("b.jpg", b"b"), ("b.data.pyd", pyd([]))])
    inventory = inventory_of(adapter_of(tmp_path))
    assert [(r.path, len(r.people)) for r in inventory.records] == [("x.tar::a.jpg", 1), ("x.tar::b.jpg", 0)]
    assert [(m.path, m.code, m.has_row) for m in inventory.missing] == [("x.tar::a.jpg", ErrorCode.IMAGE_MISSING, True)]


def test_a_tar_file_that_cannot_be_read_is_told_before_the_first_photo(tmp_path):
    write_tar(tmp_path / "a.tar", [("p.jpg", b"a"), ("p.data.pyd", pyd([hmr2_person()]))])
    data = write_tar(tmp_path / "b.tar", [("p.jpg", bytes(5000))]).read_bytes()
    (tmp_path / "b.tar").write_bytes(data[:2000])
    first, *_, last = adapter_of(tmp_path).entries()
    assert (first.path, first.code) == ("b.tar", ErrorCode.LISTING_INCOMPLETE)
    assert not isinstance(last, ImageRecord)


def test_no_tar_file_at_all_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"no tar file in .* matches"):
        inventory_of(adapter_of(tmp_path))


def test_the_root_may_be_one_tar_file(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("p.jpg", b"a"), ("p.data.pyd", pyd([hmr2_person()]))])
    (record,) = inventory_of(adapter_of(path)).records
    assert open_images(path).read(record.path) == b"a"


def test_boxes_of_a_detector_need_no_people(tmp_path):
    (record,) = listed(tmp_path, "nobody", boxes="detector", keypoints="none").records
    assert record.people == ()


def test_filters_of_hmr2_leave_out_what_it_leaves_out(tmp_path):
    few = PLACES_PX * [1, 1, 0]
    few[:4, 2] = 1
    unsure = PLACES_PX * [1, 1, 0.29]
    lost = {"fitting_loss": np.array({"reprojection_loss": 31000.0}, dtype=object)}
    people = [
        hmr2_person(), hmr2_person(keypoints_2d=few), hmr2_person(extra_info=lost), hmr2_person(keypoints_2d=unsure),
        hmr2_person(betas=np.full(10, -3.1)), hmr2_person(has_betas=False), hmr2_person(extra_info=...),
    ]  # fmt: skip
    inventory = listed(tmp_path, *people, filters={})
    kept = inventory.records[0].people
    assert [person.index for person in kept] == [0, 4, 5, 6]
    assert [person.truth_3d is not None for person in kept] == [True, False, False, True]
    assert inventory.notes["people with fewer than 5 points left out"] == 2
    assert inventory.notes["people whose reprojection loss is 31000 or more left out"] == 1
    assert len(listed(tmp_path, *people).records[0].people) == 7
    with pytest.raises(ValueError, match="filters: are of records hmr2"):
        adapter_of(tmp_path, records="pear", filters={})


# --- PEAR and SAM-3D-Body ---------------------------------------------------------------------------------------------
def test_people_of_pear_have_boxes_in_pixels_and_parts_that_are_trusted(tmp_path):
    (record,) = listed(tmp_path, pear_person(), ending="annotation.pyd", records="pear").records
    (person,) = record.people
    np.testing.assert_allclose(person.bbox_xyxy, BOX)
    assert person.trusted == {"body", "face", "feet", "legs"}
    body = {"global_orient", "body_pose", "betas"}
    assert set(person.truth_3d.parameters) == body | {"left_hand_pose", "right_hand_pose"}
    assert (person.truth_3d.hands_from, person.truth_3d.part_valid) == ("flat", (True, False, False, True))


def test_rotations_of_pear_are_turned_into_the_camera_of_the_photo(tmp_path):
    root, camera = Rotation.from_rotvec([0.3, -0.2, 0.1]), Rotation.from_rotvec([0.1, 0.5, -0.4])
    body = pear_person()["smplx_params"] | {"global_pose": root.as_rotvec()}
    body["camera_RT_params"] = np.concatenate([camera.as_matrix(), np.ones((3, 1))], axis=1)
    (record,) = listed(tmp_path, pear_person(smplx_params=body), ending="annotation.pyd", records="pear").records
    found = Rotation.from_rotvec(record.people[0].truth_3d.parameters["global_orient"])
    limb = np.array([0.2, 0.5, -0.1])
    seen = camera.apply(root.apply(limb)) * [-1, -1, 1]  # PyTorch3D's camera has x to the left and y up.
    np.testing.assert_allclose(found.apply(limb), seen, atol=1e-6)


def test_134_points_of_pear_are_those_of_dwpose(tmp_path):
    points = np.stack([np.linspace(60, 140, 134), np.linspace(30, 230, 134), np.ones(134)], axis=1)
    person = pear_person(smpl_keypoints_2d=None, dwpose_keypoints_2d=points)
    (record,) = listed(tmp_path, person, ending="annotation.pyd", records="pear").records
    np.testing.assert_allclose(record.people[0].keypoints[17:], points[18:], rtol=1e-6)


def test_people_of_sam_3d_body_have_box_points_and_camera(tmp_path):
    (record,) = listed(tmp_path, sam3d_person(), ending="annotation.pyd", records="sam3d_body").records
    (person,) = record.people
    np.testing.assert_allclose(person.bbox_xyxy, [50, 20, 150, 240])
    assert (record.focal_px, record.principal_px) == (900, (320, 240))
    np.testing.assert_array_equal(person.keypoints[[91, 112]], person.keypoints[[9, 10]])
    assert (person.keypoints[:23, 2] == 1).all()
    assert not person.keypoints[23:91].any()
    assert person.truth_3d.keypoints_m[0, 3] == 1
    assert person.truth_3d.root_relative


def test_points_of_sam_3d_body_that_the_camera_sees_in_their_places_say_where_the_person_is(tmp_path):
    points = sam3d_person()["keypoints_2d"]
    rays = (points[:, :2] - [320, 240]) / 900
    depth = np.linspace(3.9, 4.1, 70)[:, None]
    person = sam3d_person(keypoints_3d=np.concatenate([rays * depth, depth, np.ones((70, 1))], axis=1))
    (record,) = listed(tmp_path, person, ending="annotation.pyd", records="sam3d_body").records
    assert not record.people[0].truth_3d.root_relative


@pytest.mark.parametrize("changes", [{"mhr_valid": False}, {"mhr_valid": ...}])
def test_bodies_of_sam_3d_body_that_are_not_valid_are_no_truth(tmp_path, changes):
    person = sam3d_person(**changes)
    (record,) = listed(tmp_path, person, ending="annotation.pyd", records="sam3d_body").records
    assert record.people[0].truth_3d is None


def test_an_unknown_form_of_box_fails_the_person(tmp_path):
    person = sam3d_person(bbox_format="cxcywh")
    (record,) = listed(tmp_path, person, ending="annotation.pyd", records="sam3d_body").records
    assert "expected xyxy or xywh" in record.people[0].error_detail


# --- units ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("side", [SIDE_PX, SIDE_PX / 200 / 200])
def test_a_scale_in_another_unit_stops_the_listing(tmp_path, side):
    with pytest.raises(ValueError, match="the scale is in another unit"):
        listed(tmp_path, hmr2_person(scale=np.full(2, side)))


def test_points_in_millimetres_stop_the_listing(tmp_path):
    points = np.concatenate([PLACES_PX[:, :2] * 10, np.full((44, 1), 3000.0), np.ones((44, 1))], axis=1)
    with pytest.raises(ValueError, match="they are millimetres"):
        listed(tmp_path, hmr2_person(keypoints_3d=points))


def test_one_person_whose_points_are_nowhere_fails_alone(tmp_path):
    points = np.concatenate([PLACES_PX[:, :2] / 10, np.full((44, 1), 3.0), np.ones((44, 1))], axis=1)
    (record,) = listed(tmp_path, hmr2_person(), hmr2_person(keypoints_3d=points)).records
    assert [p.error_code for p in record.people] == [None, ErrorCode.SOURCE_ROW_INVALID]


def test_centres_that_count_from_one_stop_the_listing(tmp_path):
    with pytest.raises(ValueError, match="they count pixels from 1"):
        listed(tmp_path, *[hmr2_person(center=CENTER_PX + 1) for _ in range(4)])


def test_points_in_another_order_stop_the_listing(tmp_path):
    points = PLACES_PX[[HMR2_44.points.index(name) for name in reversed(HMR2_44.points)]]
    with pytest.raises(ValueError, match="in another order"):
        listed(tmp_path, *[hmr2_person(keypoints_2d=points) for _ in range(8)])


def test_centres_that_lie_where_they_like_are_nothing_wrong(tmp_path):
    shifts = np.random.default_rng(3).normal(1, 4, (20, 2))
    (record,) = listed(tmp_path, *[hmr2_person(center=CENTER_PX + shift) for shift in shifts]).records
    assert len(record.people) == 20


# --- size -------------------------------------------------------------------------------------------------------------
def test_the_listing_holds_one_tar_file_at_a_time(tmp_path, monkeypatch):
    people = pyd([hmr2_person(keypoints_3d=...)])
    for number in range(15):
        endings = (("jpg", b""), ("data.pyd", people))
        members = [(f"s/{number:02d}{k:03d}.{ending}", data) for k in range(20) for ending, data in endings]
        write_tar(tmp_path / f"{number:06d}.tar", members)
    monkeypatch.setattr("datasets_manifest.adapters.point_checks._PEOPLE", 8)
    entries = adapter_of(tmp_path).entries()
    tracemalloc.start()
    sizes = [tracemalloc.get_traced_memory()[0] for entry in entries if isinstance(entry, ImageRecord)]
    tracemalloc.stop()
    assert len(sizes) == 300
    assert max(sizes[200:]) < 1.3 * max(sizes[:100])

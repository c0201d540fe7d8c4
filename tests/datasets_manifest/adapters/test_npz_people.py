"""Rows of .npz files: one person of each family is in one box, the family tells the unit, pickles run nothing."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inventories import inventory_of
from published_people import CENTER_PX, PLACES_PX, SIDE_PX

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.adapters.people.npz_file import NpzFile
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import HMR2_44, KEYPOINT_SETS
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.opening import open_images

SAMPLES = Path(__file__).parents[3].parent / "shared" / "data"
needs_samples = pytest.mark.skipif(
    not (SAMPLES / "h36m").is_dir(), reason="the samples of Human3.6M and MPI-INF-3DHP do not stand beside the project"
)
BOX = [*(CENTER_PX - SIDE_PX / 2.4), *(CENTER_PX + SIDE_PX / 2.4)]
"""Of the person: those of the files are 1.2 times as large."""
SPIN_POINTS = [HMR2_44.points.index(name) for name in KEYPOINT_SETS["spin24"].points[:19]]


def adapter_of(root, family, *, boxes: Any = "manifest", keypoints: Any = "coco_wholebody", file="a.npz", **layout):
    return open_adapter(
        Manifest(
            id="npz", version="1", licence="x", access="x", adapter="npz_people", root=str(root), split="val",
            boxes=boxes, keypoints=keypoints, purpose="test", layout={"family": family, "file": file, **layout},
        )
    )  # fmt: skip


def hmr2_rows(count=1, **changes):
    """Arrays of one person, ``count`` times, in one photo."""
    rows = {
        "imgname": np.array(["1.jpg"] * count),
        "center": np.tile(CENTER_PX, (count, 1)),
        "scale": np.full((count, 2), SIDE_PX),
        "body_keypoints_2d": np.tile(PLACES_PX[:25], (count, 1, 1)),
        "extra_keypoints_2d": np.tile(PLACES_PX[25:], (count, 1, 1)),
        "body_pose": np.zeros((count, 72)),
        "betas": np.ones((count, 10)),
        "has_body_pose": np.ones(count),
        "has_betas": np.ones(count),
        "extra_info": np.array([{"a": 1}] * count),
    } | changes
    return {name: array for name, array in rows.items() if array is not ...}


def spin_rows(count=1, **changes):
    points = np.concatenate([PLACES_PX[SPIN_POINTS], PLACES_PX[[0, 16, 15, 18, 17]]])
    rows = {
        "imgname": np.array(["1.jpg"] * count),
        "center": np.tile(CENTER_PX, (count, 1)),
        "scale": np.full(count, SIDE_PX / 200),
        "part": np.tile(points, (count, 1, 1)),
        "openpose": np.tile(PLACES_PX[:25], (count, 1, 1)),
        "pose": np.zeros((count, 72)),
        "shape": np.ones((count, 10)),
        "has_smpl": np.ones(count),
    } | changes
    return {name: array for name, array in rows.items() if array is not ...}


def humandata_rows(count=1, **changes):
    points = np.zeros((190, 3))
    points[153:178] = PLACES_PX[:25]
    points[[162, 165]] = 0  # Hips that nobody detected.
    points[[144, 145]] = PLACES_PX[[HMR2_44.points.index("right_hip"), HMR2_44.points.index("left_hip")]]
    mask = (points[:, 2] > 0).astype(np.uint8)
    rows = {
        "image_path": np.array(["1.jpg"] * count),
        "bbox_xywh": np.tile([*(CENTER_PX - SIDE_PX / 2), SIDE_PX, SIDE_PX, 1.0], (count, 1)),
        "misc": np.array({"bbox_body_scale": 1.2}, dtype=object),
        "keypoints2d_original": np.tile(points[mask > 0], (count, 1, 1)),
        "keypoints2d_original_mask": mask,
        "__keypoints_compressed__": np.array(True),
        "smplx": np.array({"body_pose": np.zeros((count, 21, 3)), "betas": np.ones((count, 10))}, dtype=object),
        "meta": np.array({"gender": ["female"] * count, "width": [640] * count, "height": [480] * count}),
    } | changes
    return {name: array for name, array in rows.items() if array is not ...}


ROWS = {"hmr2": hmr2_rows, "spin": spin_rows, "humandata": humandata_rows}


def listed(root, family, rows, *, save=np.savez, **options):
    (root / "1.jpg").write_bytes(b"jpeg")
    save(root / "a.npz", **rows)
    return inventory_of(adapter_of(root, family, **options))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("family", ROWS)
def test_one_person_written_by_each_family_is_in_one_box(tmp_path, family, save):
    """Golden example 14."""
    inventory = listed(tmp_path, family, ROWS[family](), save=save)
    (record,) = inventory.records
    (person,) = record.people
    np.testing.assert_allclose(person.bbox_xyxy, BOX)
    np.testing.assert_allclose(person.keypoints[17:23], PLACES_PX[19:25], rtol=1e-6)
    assert person.truth_3d.parameters["betas"].tolist() == [1.0] * 10
    assert (record.image_id, record.path) == ("1.jpg", "1.jpg")
    assert inventory.missing == ()


@pytest.mark.parametrize(
    ("misc", "layout", "side"),
    [
        ({}, {}, SIDE_PX),
        ({"bbox_body_scale": 1.0}, {}, SIDE_PX),
        ({"bbox_body_scale": np.float32(1.25), "bbox_facehand_scale": 2.0}, {}, SIDE_PX / 1.25),
        ({"bbox_body_scale": 1.25}, {"box_factor": 1.5}, SIDE_PX / 1.5),
    ],
)
def test_boxes_of_humandata_are_larger_than_people_by_what_is_stated(tmp_path, misc, layout, side):
    (record,) = listed(tmp_path, "humandata", humandata_rows(misc=np.array(misc, dtype=object)), **layout).records
    expected = [*(CENTER_PX - side / 2), *(CENTER_PX + side / 2)]
    np.testing.assert_allclose(record.people[0].bbox_xyxy, expected, rtol=1e-5)


@pytest.mark.parametrize("stated", [0, -1.2, np.nan, "wide", 1200])
def test_a_factor_of_boxes_that_cannot_be_is_told(tmp_path, stated):
    rows = humandata_rows(misc=np.array({"bbox_body_scale": stated}, dtype=object))
    with pytest.raises(ValueError, match="states bbox_body_scale"):
        listed(tmp_path, "humandata", rows)


@pytest.mark.parametrize("family", ["hmr2", "spin"])
def test_annotated_points_are_taken_before_detected_ones(tmp_path, family):
    (record,) = listed(tmp_path, family, ROWS[family]()).records
    annotated = PLACES_PX[HMR2_44.points.index("right_ankle")]
    np.testing.assert_allclose(record.people[0].keypoints[16], annotated, rtol=1e-6)


def test_hips_of_humandata_are_those_that_people_annotated(tmp_path):
    (record,) = listed(tmp_path, "humandata", humandata_rows()).records
    (person,) = record.people
    np.testing.assert_allclose(person.keypoints[12], PLACES_PX[HMR2_44.points.index("right_hip")], rtol=1e-6)
    assert (person.truth_3d.model, person.truth_3d.gender) == ("smplx", "female")
    assert (record.width, record.height) == (640, 480)


@pytest.mark.parametrize(("is_flat", "hands_from"), [(True, "flat"), (False, "relaxed"), (None, "relaxed")])
def test_hands_of_humandata_turn_from_the_hand_that_is_stated(tmp_path, is_flat, hands_from):
    body = {"global_orient": np.zeros((1, 3)), "body_pose": np.zeros((1, 21, 3))}
    body |= {"left_hand_pose": np.ones((1, 15, 3)), "right_hand_pose": np.ones((1, 6))}
    misc = {} if is_flat is None else {"flat_hand_mean": is_flat}
    rows = humandata_rows(smplx=np.array(body, dtype=object), misc=np.array(misc, dtype=object))
    (record,) = listed(tmp_path, "humandata", rows).records
    truth = record.people[0].truth_3d
    assert truth.hands_from == hands_from
    assert {name: len(truth.parameters[name]) for name in truth.parameters if "hand" in name} == {
        "left_hand_pose": 45,
        "right_hand_pose": 6,
    }


def test_people_of_a_photo_are_found_wherever_they_stand(tmp_path):
    names = np.array(["b.jpg", "a.jpg", "b.jpg"])
    rows = hmr2_rows(3, imgname=names, center=np.array([[100.0, 130], [101, 130], [102, 130]]))
    inventory = listed(tmp_path, "hmr2", rows)
    centres = {r.path: [float(p.bbox_xyxy[[0, 2]].mean()) for p in r.people] for r in inventory.records}
    assert centres == {"a.jpg": [101], "b.jpg": [100, 102]}
    assert [r.path for r in inventory.records] == ["a.jpg", "b.jpg"]
    assert [(m.path, m.code) for m in inventory.missing] == [
        ("a.jpg", ErrorCode.IMAGE_MISSING),
        ("b.jpg", ErrorCode.IMAGE_MISSING),
    ]


@pytest.mark.parametrize(
    "names",
    [np.array(["/1.jpg"]), np.array([b"1.jpg"]), np.array(["1.jpg"], dtype=object), np.array([b"1.jpg"], dtype=object)],
)
def test_names_of_photos_are_texts_of_any_kind(tmp_path, names):
    (record,) = listed(tmp_path, "hmr2", hmr2_rows(imgname=names)).records
    assert open_images(tmp_path).read(record.path) == b"jpeg"


def test_a_name_that_is_no_text_is_told(tmp_path):
    inventory = listed(tmp_path, "hmr2", hmr2_rows(2, imgname=np.array(["1.jpg", None], dtype=object)))
    assert [(m.path, m.code) for m in inventory.missing] == [("a.npz row 1", ErrorCode.SOURCE_ROW_INVALID)]


def test_a_row_that_cannot_be_used_is_a_failed_person(tmp_path):
    points = np.tile(PLACES_PX[:25], (3, 1, 1))
    points[1, 3, 0] = np.nan
    inventory = listed(tmp_path, "hmr2", hmr2_rows(3, body_keypoints_2d=points))
    assert [bool(p.error_code) for p in inventory.records[0].people] == [False, True, False]
    assert "row 1 of a.npz: body_keypoints_2d holds a value that is not finite" in inventory.reasons


@pytest.mark.parametrize(("said", "gender"), [("m", "male"), ("female", "female"), ("n", "neutral"), (b"f", "female")])
def test_genders_are_letters_or_words(tmp_path, said, gender):
    (record,) = listed(tmp_path, "hmr2", hmr2_rows(gender=np.array([said]))).records
    assert record.people[0].truth_3d.gender == gender


def test_cameras_of_camerahmr_stand_with_the_photo(tmp_path):
    rows = {"imgname": np.array(["1.jpg"]), "center": CENTER_PX[None], "scale": np.array([SIDE_PX / 200])}
    rows |= {"gtkps": PLACES_PX[None], "pose_cam": np.zeros((1, 72)), "shape": np.zeros((1, 11))}
    rows |= {"trans_cam": np.array([[0, 0, 5.0]]), "cam_int": np.array([[[800.0, 0, 320], [0, 800, 240], [0, 0, 1]]])}
    (record,) = listed(tmp_path, "camerahmr", rows).records
    assert (record.focal_px, record.principal_px) == (800, (320, 240))
    truth = record.people[0].truth_3d
    assert (truth.num_betas, truth.root_relative, truth.parameters["transl"].tolist()) == (11, False, [0, 0, 5])


# --- units ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("keypoints", ["none", "coco"])
@pytest.mark.parametrize(("family", "scale"), [("hmr2", SIDE_PX / 200), ("spin", SIDE_PX)])
def test_a_file_of_the_other_unit_stops_the_listing(tmp_path, family, scale, keypoints):
    with pytest.raises(ValueError, match="files of this family have"):
        listed(tmp_path, family, ROWS[family](scale=np.array([scale])), keypoints=keypoints)


def test_points_in_millimetres_stop_the_listing(tmp_path):
    points = np.concatenate([PLACES_PX[:24, :2] * 10, np.full((24, 1), 3000.0), np.ones((24, 1))], axis=1)
    with pytest.raises(ValueError, match="they are millimetres"):
        listed(tmp_path, "spin", spin_rows(S=points[None]))


def test_the_manifest_says_how_points_in_3d_are_to_be_taken(tmp_path):
    points = np.concatenate([PLACES_PX[SPIN_POINTS] * [10, 10, 0] + [0, 0, 300], np.zeros((5, 3))])
    points = np.concatenate([points, np.repeat([1.0, 0.0], [19, 5])[:, None]], axis=1)
    said = {"frame": "camera_relative", "unit": "mm"}
    (record,) = listed(tmp_path, "spin", spin_rows(S=points[None]), points_3d=said).records
    truth = record.people[0].truth_3d
    assert (truth.points_turned, truth.root_relative, truth.points_are) == (True, True, "keypoints")
    assert truth.keypoints_m[16, 2] == pytest.approx(0.3)
    with pytest.raises(ValueError, match="points_3d: are of the families"):
        listed(tmp_path, "humandata", humandata_rows(), points_3d=said)


def test_centres_that_count_from_one_stop_the_listing(tmp_path):
    with pytest.raises(ValueError, match="they count pixels from 1"):
        listed(tmp_path, "hmr2", hmr2_rows(4, center=np.tile(CENTER_PX + 1, (4, 1))))


# --- files ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"center": np.zeros((2, 2))}, "has 1 photos and 2 rows of center"),
        ({"imgname": ...}, "has no array imgname; it has"),
        ({"imgname": np.zeros(1)}, "no list of texts"),
    ],
)
def test_a_file_that_contradicts_itself_is_said(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        listed(tmp_path, "hmr2", hmr2_rows(**changes))


def test_points_of_another_number_must_be_said(tmp_path):
    rows = spin_rows(part=np.tile(PLACES_PX[:17], (1, 1, 1)), openpose=...)
    with pytest.raises(ValueError, match=r"17 points a person, not the 24 .* by layout.keypoint_set"):
        listed(tmp_path, "spin", rows)
    (record,) = listed(tmp_path, "spin", rows, keypoint_set="human36m").records
    np.testing.assert_allclose(record.people[0].keypoints[12], PLACES_PX[1], rtol=1e-6)


class _Shell:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_an_object_array_that_would_run_something_is_refused(tmp_path):
    hostile = np.array([_Shell(f"touch {tmp_path / 'ran'}")], dtype=object)
    with pytest.raises(ValueError, match="nothing was run"):
        listed(tmp_path, "hmr2", hmr2_rows(imgname=hostile))
    listed(tmp_path, "hmr2", hmr2_rows(unknown=hostile))  # An array that is not asked for is not looked at.
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_cut_file_is_said(tmp_path, save, keep):
    save(tmp_path / "a.npz", **hmr2_rows(50))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(ValueError, match="fetch it again"):
        inventory_of(adapter_of(tmp_path, "hmr2"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_those_that_were_saved(tmp_path, save, order):
    arrays = {"a": np.arange(24.0).reshape(2, 3, 4).copy(order), "b": np.array(["x", "yz"]), "c": np.zeros((0, 3))}
    save(tmp_path / "a.npz", **arrays)
    file = NpzFile(tmp_path / "a.npz")
    for name, array in arrays.items():
        np.testing.assert_array_equal(file.array(name), array)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_listing_does_not_hold_the_rows(tmp_path, monkeypatch, save):
    count = 5000
    names = np.array([f"{k:05d}.jpg" for k in range(count)])
    save(tmp_path / "a.npz", **hmr2_rows(count, imgname=names, extra_info=...))
    monkeypatch.setattr("datasets_manifest.adapters.point_checks._PEOPLE", 8)
    entries = adapter_of(tmp_path, "hmr2").entries()
    tracemalloc.start()
    seen = sum(isinstance(entry, ImageRecord) for entry, _ in zip(entries, range(count // 20), strict=False))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == count // 20
    assert peak < 4e6 < count * (44 * 3 + 72) * 8 / 2


# --- the samples ------------------------------------------------------------------------------------------------------
@needs_samples
def test_the_sample_of_human36m_in_the_order_of_mmpose():
    adapter = adapter_of(SAMPLES / "h36m", "spin", file="test_h36m_body3d.npz", keypoint_set="human36m")
    inventory = inventory_of(adapter)
    assert (len(inventory.records), inventory.missing) == (4, ())
    for record in inventory.records:
        (person,) = record.people
        height, width = decode_image(open_images(SAMPLES / "h36m").read(record.path), name="x").shape[:2]
        inside = (person.keypoints[5:17, :2] >= person.bbox_xyxy[:2]) & (
            person.keypoints[5:17, :2] <= person.bbox_xyxy[2:]
        )
        assert inside.all()
        assert (person.keypoints[5:17, :2] < [width, height]).all()
        hips, knees = person.truth_3d.keypoints_m[11:13, :3], person.truth_3d.keypoints_m[13:15, :3]
        np.testing.assert_allclose(np.linalg.norm(hips - knees, axis=1), 0.45, atol=0.05)


@needs_samples
def test_the_sample_of_spin_has_smpl_and_photos_by_other_names():
    inventory = inventory_of(adapter_of(SAMPLES / "h36m", "spin", file="test_h36m.npz"))
    people = [person for record in inventory.records for person in record.people]
    assert [person.truth_3d.model for person in people] == ["smpl"] * 4
    assert [(m.code, m.has_row) for m in inventory.missing] == [(ErrorCode.IMAGE_MISSING, True)] * 4


@needs_samples
@pytest.mark.parametrize("file", ["test_3dhp_train.npz", "test_3dhp_test.npz"])
def test_the_samples_of_mpi_inf_3dhp(file):
    root = SAMPLES / "mpi_inf_3dhp"
    inventory = inventory_of(adapter_of(root, "spin", file=file, keypoint_set="mpi_inf_3dhp_test"))
    assert (len(inventory.records), inventory.missing) == (2, ())
    for record in inventory.records:
        truth = record.people[0].truth_3d.keypoints_m
        shins = np.linalg.norm(truth[13:15, :3] - truth[15:17, :3], axis=1)
        np.testing.assert_allclose(shins, 0.4, atol=0.1)
        assert abs(shins[0] - shins[1]) < 0.01

"""Native formats, written here as they are distributed; the samples where they stand beside the project."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from coco_files import write_coco
from inventories import inventory_of
from PIL import Image
from published_people import standing
from tar_files import write_tar
from video_files import write_video

from datasets_manifest.manifest import Manifest, load_manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS

SAMPLES = Path(__file__).parents[3].parent / "shared" / "data"
needs_samples = pytest.mark.skipif(not (SAMPLES / "mpii").is_dir(), reason="no samples stand beside the project")


def adapter_of(root, kind, annotations, *, boxes: Any = "manifest", keypoints: Any = "coco", **layout):
    layout |= {"kind": kind, "annotations": annotations}
    return open_adapter(
        Manifest(
            id="table", version="1", licence="x", access="x", adapter="table", root=str(root), split="train",
            boxes=boxes, keypoints=keypoints, purpose="test", layout=layout,
        )
    )  # fmt: skip


def listed(root, kind, content, **options):
    (root / "a.json").write_text(json.dumps(content))
    return inventory_of(adapter_of(root, kind, "a.json", **options))


# --- AI Challenger ----------------------------------------------------------------------------------------------------
AIC_POINTS = [30, 40, 1] * 12 + [35, 10, 2] + [0, 0, 3]


def aic_photo(name="a", **people: Any):
    people = people or {"human1": ([10, 20, 60, 120], AIC_POINTS)}
    return {
        "url": "http://x",
        "image_id": name,
        "human_annotations": {human: box for human, (box, _) in people.items()},
        "keypoint_annotations": {human: points for human, (_, points) in people.items()},
    }


def test_ai_challenger_is_the_same_in_its_own_form_and_in_that_of_coco(tmp_path):
    """Golden example 2."""
    (record,) = listed(tmp_path, "aic_native", [aic_photo()]).records
    (native,) = record.people
    np.testing.assert_array_equal(native.bbox_xyxy, [10, 20, 60, 120])
    assert native.keypoints[6].tolist() == [30, 40, 1]
    assert native.other_points["head_top"].tolist() == [35, 10, 0.5]
    assert "neck" not in native.other_points
    assert record.path == "a.jpg"

    image = {"id": 1, "file_name": "a.jpg", "width": 80, "height": 120}
    in_coco = [30, 40, 2] * 12 + [35, 10, 1] + [0, 0, 0]
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 50, 100], "keypoints": in_coco}
    path = write_coco(tmp_path, [image], [person], categories=[
        {"id": 1, "name": "person", "keypoints": list(KEYPOINT_SETS["aic"].points)}
    ])  # fmt: skip
    ((other,),) = [record.people for record in inventory_of(open_adapter(load_manifest(str(path)))).records]
    np.testing.assert_array_equal(other.bbox_xyxy, native.bbox_xyxy)
    np.testing.assert_array_equal(other.keypoints, native.keypoints)
    assert {k: v.tolist() for k, v in other.other_points.items()} == {
        k: v.tolist() for k, v in native.other_points.items()
    }


def test_people_of_ai_challenger_are_in_the_order_of_their_numbers(tmp_path):
    people: dict[str, Any] = {f"human{k}": ([k, 0, k + 9, 9], AIC_POINTS) for k in (10, 2, 1)}
    (record,) = listed(tmp_path, "aic_native", [aic_photo(**people)]).records
    assert [person.bbox_xyxy[0] for person in record.people] == [1, 2, 10]


@pytest.mark.parametrize(
    ("box", "points", "words"),
    [
        ([10, 20, 60], AIC_POINTS, "box must be 4 numbers"),
        ([60, 20, 10, 120], AIC_POINTS, "px wide"),
        ([10, 20, 60, 120], [30, 40, 0] * 14, "must be 1 (visible), 2 (hidden) or 3 (not labelled), got 0"),
        ([10, 20, 60, 120], [30, 40, 1], "keypoints must be 42 numbers"),
    ],
)
def test_what_is_wrong_with_a_person_of_ai_challenger_is_told(tmp_path, box, points, words):
    people = {"human1": (box, points), "human2": ([10, 20, 60, 120], AIC_POINTS)}
    inventory = listed(tmp_path, "aic_native", [aic_photo(**people)])
    assert [bool(p.error_code) for p in inventory.records[0].people] == [True, False]
    assert words in inventory.records[0].people[0].error_detail


def test_photos_of_ai_challenger_that_cannot_be_told_are_told(tmp_path):
    inventory = listed(tmp_path, "aic_native", [aic_photo(), aic_photo(), {"image_id": 3}, 4, aic_photo("b")])
    assert [record.image_id for record in inventory.records] == ["a", "b"]
    assert [m.path for m in inventory.missing if m.code == ErrorCode.SOURCE_ROW_INVALID] == [
        "a.json[1]", "a.json[2]", "a.json[3]",
    ]  # fmt: skip


@needs_samples
def test_the_sample_of_ai_challenger_in_its_own_form_is_that_of_its_coco_form(tmp_path):
    content = json.loads((SAMPLES / "aic" / "test_aic.json").read_text())
    native = {}
    for row in content["annotations"]:
        name = next(i["file_name"] for i in content["images"] if i["id"] == row["image_id"])
        x, y, width, height = row["bbox"]
        points = np.array(row["keypoints"]).reshape(-1, 3)
        points[:, 2] = np.array([3, 2, 1])[points[:, 2].astype(int)]
        people = native.setdefault(name.removesuffix(".jpg"), {})
        people[f"human{len(people) + 1}"] = ([x, y, x + width, y + height], points.ravel().tolist())
    (tmp_path / "a.json").write_text(json.dumps([aic_photo(name, **people) for name, people in native.items()]))
    inventory = inventory_of(adapter_of(tmp_path, "aic_native", "a.json", keypoints="coco"))
    assert (len(inventory.records), inventory.num_people) == (3, len(content["annotations"]))
    assert not [m for m in inventory.missing if m.code != ErrorCode.IMAGE_MISSING]


# --- AVA --------------------------------------------------------------------------------------------------------------
def ava(root, rows, size=(200, 100), **options):
    for video, time in {(row[0], int(row[1])) for row in rows}:
        (root / video).mkdir(exist_ok=True)
        Image.new("RGB", size).save(root / video / f"{time:04d}.jpg")
    with (root / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return adapter_of(root, "ava", "a.csv", keypoints="none", **options)


def test_actions_of_one_person_are_one_person(tmp_path):
    """Golden example 3."""
    row = ["vid", "0902", "0.100", "0.200", "0.500", "0.900"]
    (record,) = inventory_of(ava(tmp_path, [[*row, "12", "3"], [*row, "80", "3"]])).records
    (person,) = record.people
    np.testing.assert_allclose(person.bbox_xyxy, [20, 20, 100, 90], rtol=1e-5)
    assert (record.image_id, record.path, record.width, record.height) == ("vid/0902", "vid/0902.jpg", 200, 100)


def test_frames_of_ava_may_be_left_out_or_have_nobody(tmp_path):
    row = ["0.1", "0.2", "0.5", "0.9", "12", "0"]
    rows = [["v", "902", *row], ["v", "903", *row], ["v", "904"], ["w", "902", *row]]
    (tmp_path / "excluded.csv").write_text("v,0903\n")
    inventory = inventory_of(ava(tmp_path, rows, excluded="excluded.csv"))
    assert [(r.image_id, len(r.people)) for r in inventory.records] == [("v/0902", 1), ("v/0904", 0), ("w/0902", 1)]
    assert inventory.notes["frames left out, which layout.excluded names"] == 1


def test_boxes_of_ava_that_are_no_shares_and_frames_that_are_not_there_are_told(tmp_path):
    adapter = ava(
        tmp_path, [["v", "902", "0.1", "0.2", "50", "0.9", "1", "0"], ["v", "903", "0", "0", "1", "1", "1", "1"]]
    )
    (tmp_path / "v" / "0903.jpg").unlink()
    inventory = inventory_of(adapter)
    assert "shares of the frame" in inventory.records[0].people[0].error_detail
    assert [(m.code, m.has_row) for m in inventory.missing] == [
        (ErrorCode.SOURCE_ROW_INVALID, True), (ErrorCode.IMAGE_MISSING, True),
    ]  # fmt: skip


def test_frames_of_ava_may_be_those_of_the_films(tmp_path):
    write_video(tmp_path / "v.avi", 25)  # 10 frames a second.
    (tmp_path / "a.csv").write_text("v,0001,0.5,0.25,1,1,12,0\nv,0002,0.5,0.25,1,1,12,0\n")
    adapter = adapter_of(tmp_path, "ava", "a.csv", keypoints="none", photo="{video}.avi")
    first, second = inventory_of(adapter).records
    assert (first.path, second.path) == ("v.avi::000010", "v.avi::000020")
    np.testing.assert_allclose(first.people[0].bbox_xyxy, [48, 16, 96, 64])


def test_a_file_that_is_no_csv_of_ava_is_said(tmp_path):
    with pytest.raises(ValueError, match="line 1 has 3 fields, expected 8"):
        inventory_of(ava(tmp_path, [["v", "902", "0.1"]]))


# --- SA-1B ------------------------------------------------------------------------------------------------------------
def test_sa1b_has_photos_and_no_people(tmp_path):
    """Golden example 4; that faces say nothing stands in its manifest."""
    segmentation = {"size": [4, 6], "counts": "x"}
    said: dict[str, Any] = {"image": {"image_id": 1, "width": 6, "height": 4, "file_name": "sa_1.jpg"}}
    said["annotations"] = [{"id": 1, "area": 3, "bbox": [0, 0, 1, 1], "segmentation": segmentation}]
    members = [("sa_1.jpg", b"x"), ("sa_1.json", json.dumps(said).encode()), ("sa_2.json", b"{"), ("sa_2.jpg", b"y")]
    write_tar(tmp_path / "sa_000000.tar", members)
    inventory = inventory_of(adapter_of(tmp_path, "sa1b", "sa_*.tar", boxes="detector", keypoints="none"))
    assert [(r.path, r.people, r.width, r.height) for r in inventory.records] == [
        ("sa_000000.tar::sa_1.jpg", (), 6, 4), ("sa_000000.tar::sa_2.jpg", (), None, None),
    ]  # fmt: skip
    assert [m.path for m in inventory.missing] == ["sa_000000.tar::sa_2.jpg json"]
    assert "face" not in load_manifest("sa1b").trusted
    with pytest.raises(ValueError, match="set boxes to detector"):
        adapter_of(tmp_path, "sa1b", "sa_*.tar", keypoints="none")


# --- MPII -------------------------------------------------------------------------------------------------------------
def mpii_person(image="1.jpg", **changes):
    row = {"image": image, "center": [101, 85], "scale": 1.0, "joints": [[11, 21]] * 16, "joints_vis": [1] * 15 + [0]}
    return row | changes


def test_mpii_counts_from_one_and_has_its_centre_at_the_chest(tmp_path):
    """Golden example 5."""
    (record,) = listed(tmp_path, "mpii_json", [mpii_person()]).records
    (person,) = record.people
    np.testing.assert_array_equal(person.bbox_xyxy, [0, -1, 200, 199])
    assert person.keypoints[10].tolist() == [10, 20, 1]
    assert not person.keypoints[9].any()  # The last joint, a left wrist.
    assert set(person.other_points) == {"pelvis", "thorax", "upper_neck", "head_top"}


def test_people_of_mpii_stand_apart_and_wrong_ones_fail(tmp_path):
    rows = [mpii_person("b.jpg"), mpii_person("a.jpg"), mpii_person("b.jpg", scale="large"), {"image": 1}]
    inventory = listed(tmp_path, "mpii_json", rows)
    assert [(r.path, [bool(p.error_code) for p in r.people]) for r in inventory.records] == [
        ("a.jpg", [False]), ("b.jpg", [False, True]),
    ]  # fmt: skip
    assert [m.path for m in inventory.missing if m.code == ErrorCode.SOURCE_ROW_INVALID] == ["a.json[3]", "a.json 2"]


@needs_samples
def test_the_sample_of_mpii():
    inventory = inventory_of(adapter_of(SAMPLES / "mpii", "mpii_json", "test_mpii.json"))
    assert (len(inventory.records), inventory.missing) == (5, ())
    for person in (person for record in inventory.records for person in record.people):
        seen = person.keypoints[:17][person.keypoints[:17, 2] > 0, :2]
        middle = (person.bbox_xyxy[:2] + person.bbox_xyxy[2:]) / 2
        assert (np.abs(np.median(seen, axis=0) - middle) < (person.bbox_xyxy[2:] - person.bbox_xyxy[:2]) / 2).all()


# --- LSP-Extended -----------------------------------------------------------------------------------------------------
def lspet(root, joints, photos):
    (root / "images").mkdir(exist_ok=True)
    for name in photos:
        (root / "images" / name).write_bytes(b"png")
    scipy.io.savemat(root / "joints.mat", {"joints": joints})
    return adapter_of(root, "lspet", "joints.mat", images="images")


JOINTS = 10.0 * np.arange(14)[:, None, None] + np.arange(3)[None, :, None] + np.arange(1, 3)[None, None, :]


def test_points_of_lsp_extended_are_those_of_the_photo_of_their_number(tmp_path):
    """Golden example 8."""
    adapter = lspet(tmp_path, JOINTS, ["im00001.png", "im00002.png"])
    first, second = inventory_of(adapter).records
    assert (first.path, second.path) == ("images/im00001.png", "images/im00002.png")
    np.testing.assert_array_equal(first.people[0].keypoints[16], [1, 2, 1])
    np.testing.assert_array_equal(second.people[0].keypoints[9], [112, 113, 1])
    np.testing.assert_allclose(second.people[0].bbox_xyxy, [67 - 65, 68 - 65, 67 + 65, 68 + 65])
    (tmp_path / "images" / "im00001.png").unlink()
    with pytest.raises(ValueError, match="im00001 is not among them in its place"):
        inventory_of(adapter)


def test_lsp_has_its_axes_the_other_way_round(tmp_path):
    (extended,) = inventory_of(lspet(tmp_path, JOINTS[..., :1], ["im00001.png"])).records
    (first,) = inventory_of(lspet(tmp_path, JOINTS[..., :1].transpose(1, 0, 2), ["im00001.png"])).records
    np.testing.assert_array_equal(extended.people[0].keypoints, first.people[0].keypoints)


def test_points_at_the_corner_are_not_labelled_and_other_arrays_are_refused(tmp_path):
    joints = JOINTS[..., :1].copy()
    joints[3, :2] = 0
    joints[4, 0] = np.nan
    (record,) = inventory_of(lspet(tmp_path, joints, ["im00001.png"])).records
    assert not record.people[0].keypoints[[11, 13]].any()
    with pytest.raises(ValueError, match="joints must be 14 x 2 or 3 x N"):
        inventory_of(lspet(tmp_path, np.zeros((13, 2, 1)), ["im00001.png"]))
    (tmp_path / "joints.mat").write_bytes(b"no array")
    with pytest.raises(ValueError, match="no array joints that can be read"):
        inventory_of(adapter_of(tmp_path, "lspet", "joints.mat", images="images"))


# --- InstaVariety -----------------------------------------------------------------------------------------------------
def track(root, frame, name="0", **changes):
    folder = root / "tracks" / "tag" / "video" / name
    folder.mkdir(parents=True, exist_ok=True)
    points = standing(["right_knee", "left_big_toe", "mid_hip", "left_ankle"])
    content = {"frame": frame, "imloc": f"frame{frame + 1:06d}.png", "track_id": 0}
    content["bbox"] = {"xmin": 10.0, "ymin": 20.0, "xmax": 60.0, "ymax": 120.0}
    for label, (x, y, _) in zip(("R Knee", "L Big Toe", "Hip", "L Ankle"), points, strict=True):
        content[label] = {"x": x, "y": y, "logits": 0.7, "probability": None}
    (folder / f"{frame:06d}.json").write_text(json.dumps(content | changes))


def test_tracks_of_instavariety_are_frames_of_a_video(tmp_path):
    for frame in (0, 1, 2):
        track(tmp_path, frame)
    track(tmp_path, 1, "1")
    adapter = adapter_of(tmp_path, "instavariety_tracks", "tracks", images="frames", keypoints="coco_wholebody")
    inventory = inventory_of(adapter)
    assert [(r.path, [p.track for p in r.people]) for r in inventory.records] == [
        ("frames/tag/video/frame000001.png", [0]),
        ("frames/tag/video/frame000002.png", [0, 1]),
        ("frames/tag/video/frame000003.png", [0]),
    ]
    places = [record.place for record in inventory.records]
    assert [(p.group, p.frame, p.time_s) for p in places] == [("tag/video", k, k / 30) for k in range(3)]
    person = inventory.records[0].people[0]
    np.testing.assert_array_equal(person.bbox_xyxy, [10, 20, 60, 120])
    np.testing.assert_allclose(person.keypoints[[14, 17, 15], 2], 0.7, rtol=1e-6)
    assert set(person.other_points) == {"hip"}


def test_files_of_instavariety_that_cannot_be_read_are_told(tmp_path):
    track(tmp_path, 0)
    track(tmp_path, 0, "1", bbox=None)
    track(tmp_path, 1, imloc=None)
    (tmp_path / "tracks/tag/video/0/000002.json").write_text("{")
    inventory = inventory_of(adapter_of(tmp_path, "instavariety_tracks", "tracks"))
    assert [[bool(p.error_code) for p in r.people] for r in inventory.records] == [[False, True]]
    assert [m.path for m in inventory.missing if m.code == ErrorCode.SOURCE_ROW_INVALID] == [
        "tracks tag/video/1/000000.json", "tag/video/0/000001.json", "tag/video/0/000002.json",
    ]  # fmt: skip

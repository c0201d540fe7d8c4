"""COCO and COCO-WholeBody rows: what is right is read right, what is wrong is reported and keeps its row."""

import json
from pathlib import Path

import numpy as np
import pytest
from inventories import inventory_of

from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_sources import open_images
from datasets_manifest.sources.images import decode_image

SAMPLE = Path(__file__).parents[3].parent / "shared" / "data" / "coco"
needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason="the COCO sample does not stand beside the project")


def adapter_of(root, *, keypoints="coco_wholebody", boxes="manifest", **layout):
    return open_adapter(
        Manifest(
            id="coco", version="1", licence="x", access="x", adapter="coco", root=str(root), split="val", boxes=boxes,
            keypoints=keypoints, purpose="test", layout={"annotations": "a.json", **layout},
        )
    )  # fmt: skip


def person(number, image=1, **changes):
    blocks = {"foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
    row = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [10, 20, 30, 40]}
    row["keypoints"] = [v for k in range(17) for v in (k, k + 100, k % 3)]
    for name, count in blocks.items():
        flag = 2 if name == "foot" else 0.25
        row |= {f"{name}_kpts": [v for k in range(count) for v in (k + 0.5, k, flag)], f"{name}_valid": True}
    return {key: value for key, value in (row | changes).items() if value is not ...}


def write(root, annotations, images=None):
    images = images or [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}]
    (root / "1.jpg").write_bytes(b"jpeg")
    (root / "a.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return root


def only_person(adapter):
    (record,) = inventory_of(adapter).records
    (one,) = record.people
    return one


def test_boxes_keypoints_and_sizes_are_read(tmp_path):
    adapter = adapter_of(write(tmp_path, [person(7)]))
    (record,) = inventory_of(adapter).records
    assert (record.image_id, record.path, record.width, record.height) == ("1", "1.jpg", 640, 480)
    one = record.people[0]
    np.testing.assert_array_equal(one.bbox_xyxy, [10, 20, 40, 60])
    assert one.keypoints.shape == (133, 3)
    np.testing.assert_array_equal(one.keypoints[:3], [[0, 0, 0], [1, 101, 0.5], [2, 102, 1]])
    np.testing.assert_array_equal(one.keypoints[18], [1.5, 1, 1])
    np.testing.assert_array_equal(one.keypoints[23 + 67], [67.5, 67, 0.25])
    np.testing.assert_array_equal(one.keypoints[132], [20.5, 20, 0.25])
    assert open_images(tmp_path).read(record.path) == b"jpeg"


@pytest.mark.parametrize(
    ("flag", "points"),
    [("foot", slice(17, 23)), ("face", slice(23, 91)), ("lefthand", slice(91, 112)), ("righthand", slice(112, 133))],
)
def test_a_block_that_is_marked_invalid_is_not_seen(tmp_path, flag, points):
    keypoints = only_person(adapter_of(write(tmp_path, [person(7, **{f"{flag}_valid": False})]))).keypoints
    assert not keypoints[points].any()
    assert (np.delete(keypoints, np.arange(133)[points], axis=0)[17:, 2] > 0).all()


def test_plain_coco_has_seventeen_points(tmp_path):
    row = person(7, **{f"{b}_{k}": ... for b in ("foot", "face", "lefthand", "righthand") for k in ("kpts", "valid")})
    keypoints = only_person(adapter_of(write(tmp_path, [row]), keypoints="coco")).keypoints
    assert keypoints.shape == (133, 3)
    assert not keypoints[17:].any()


def test_crowds_and_other_categories_are_left_out_and_crowds_counted(tmp_path):
    rows = [person(1, iscrowd=1), person(2, category_id=18), person(3)]
    inventory = inventory_of(adapter_of(write(tmp_path, rows)))
    assert inventory.num_people == 1
    assert inventory.notes["crowds left out"] == 1


def test_an_index_follows_the_annotation_id_not_the_order_in_the_file(tmp_path):
    first = inventory_of(adapter_of(write(tmp_path, [person(5, bbox=[5, 5, 5, 5]), person(3, bbox=[3, 3, 3, 3])])))
    second = inventory_of(adapter_of(write(tmp_path, [person(3, bbox=[3, 3, 3, 3]), person(5, bbox=[5, 5, 5, 5])])))
    for inventory in (first, second):
        assert [(p.index, p.bbox_xyxy[0]) for p in inventory.records[0].people] == [(0, 3), (1, 5)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"bbox": [1, 2, 0, 4]}, ErrorCode.BOX_INVALID),
        ({"bbox": [1, 2, 3, -4]}, ErrorCode.BOX_INVALID),
        ({"bbox": [1, 2, float("nan"), 4]}, ErrorCode.SOURCE_ROW_INVALID),
        ({"bbox": [1, 2, 1e300, 4]}, ErrorCode.SOURCE_ROW_INVALID),
        ({"bbox": [1, 2, 10**400, 4]}, ErrorCode.SOURCE_ROW_INVALID),
        ({"bbox": [1, 2, 3]}, ErrorCode.SOURCE_ROW_INVALID),
        ({"bbox": ...}, ErrorCode.SOURCE_ROW_INVALID),
        ({"bbox": "1 2 3 4"}, ErrorCode.SOURCE_ROW_INVALID),
        ({"keypoints": [1.0] * 50}, ErrorCode.SOURCE_ROW_INVALID),
        ({"keypoints": [1, 1, 7] * 17}, ErrorCode.SOURCE_ROW_INVALID),
        ({"face_kpts": ...}, ErrorCode.SOURCE_ROW_INVALID),
        ({"lefthand_kpts": [None] * 63}, ErrorCode.SOURCE_ROW_INVALID),
    ],
)
def test_a_row_that_cannot_be_used_keeps_its_place_and_is_reported(tmp_path, changes, code):
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1), person(2, **changes), person(3)])))
    people = inventory.records[0].people
    assert [p.error_code for p in people] == [None, code, None]
    assert "annotation 2 of image 1" in people[1].error_detail
    assert [m.code for m in inventory.missing] == [code]


@pytest.mark.parametrize("row", [None, 3, {}, {"id": 1}, {"id": True, "image_id": 1}, person(4, image=99)])
def test_a_row_of_no_image_is_reported(tmp_path, row):
    inventory = inventory_of(adapter_of(write(tmp_path, [row, person(1)])))
    assert inventory.num_people == 1
    assert [(m.path, m.code) for m in inventory.missing] == [("a.json annotations[0]", ErrorCode.SOURCE_ROW_INVALID)]


@pytest.mark.parametrize(
    ("file_name", "code"),
    [
        ("gone.jpg", ErrorCode.IMAGE_MISSING),
        ("../../etc/passwd", ErrorCode.SOURCE_ROW_INVALID),
        ("/etc/passwd", ErrorCode.SOURCE_ROW_INVALID),
        ("a\0b", ErrorCode.SOURCE_ROW_INVALID),
    ],
)
def test_an_image_that_cannot_be_read_keeps_its_people_and_is_reported(tmp_path, file_name, code):
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": file_name}]
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1), person(2, image=2)], images)))
    assert [len(record.people) for record in inventory.records] == [1, 1]
    assert [(m.path, m.code) for m in inventory.missing] == [(file_name, code)]


@pytest.mark.parametrize("image", [3, {"id": 2}, {"id": 2, "file_name": "\ud800.jpg"}, {"id": 1, "file_name": "b.jpg"}])
def test_an_image_row_that_cannot_be_used_is_reported(tmp_path, image):
    images = [{"id": 1, "file_name": "1.jpg", "width": 10**12}, image]
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1)], images)))
    assert [m.path for m in inventory.missing] == ["images[1]"]
    assert inventory.records[0].width is None


@pytest.mark.parametrize("path", ["../a.json", "/etc/passwd", "images/../../a.json"])
def test_an_annotation_file_outside_the_root_is_refused(tmp_path, path):
    (tmp_path / "root").mkdir()
    write(tmp_path, [])
    with pytest.raises(ValueError, match="path"):
        inventory_of(adapter_of(tmp_path / "root", annotations=path))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"images": 3, "annotations": []}', "[" * 100000, "\xff"])
def test_a_file_in_another_format_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"a\.json is not"):
        inventory_of(adapter_of(tmp_path))


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = write(tmp_path, [person(7)]) / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert inventory_of(adapter_of(tmp_path)).num_people == 1


def test_a_filter_by_limbs_needs_annotated_limbs(tmp_path):
    with pytest.raises(ValueError, match="nobody would be left"):
        adapter_of(write(tmp_path, [person(7)]), keypoints="none", require_limbs=True)


def test_boxes_may_be_left_to_the_detector(tmp_path):
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1)]), boxes="detector", keypoints="none"))
    assert inventory.records[0].people == ()


@needs_sample
def test_the_sample_has_four_photos_and_fourteen_people():
    adapter = adapter_of(SAMPLE, annotations="test_coco_wholebody.json")
    inventory = inventory_of(adapter)
    assert (len(inventory.records), inventory.num_people, inventory.missing) == (4, 14, ())
    for record in inventory.records:
        rgb = decode_image(open_images(SAMPLE).read(record.path), name=record.path)
        assert rgb.shape == (record.height, record.width, 3)


@needs_sample
def test_the_evaluation_filter_keeps_seven_of_the_sample():
    inventory = inventory_of(adapter_of(SAMPLE, annotations="test_coco_wholebody.json", require_limbs=True))
    assert inventory.num_people == 7
    assert inventory.notes["people without all limbs left out"] == 7


@needs_sample
def test_keypoints_of_the_sample_are_those_of_the_file():
    rows = json.loads((SAMPLE / "test_coco_wholebody.json").read_text())["annotations"]
    found = inventory_of(adapter_of(SAMPLE, annotations="test_coco_wholebody.json")).records
    people = {(int(r.image_id), p.index): p for r in found for p in r.people}
    for image in {row["image_id"] for row in rows}:
        ordered = sorted((row for row in rows if row["image_id"] == image), key=lambda row: row["id"])
        for index, row in enumerate(ordered):
            flat = row["keypoints"] + row["foot_kpts"] + row["face_kpts"] + row["lefthand_kpts"] + row["righthand_kpts"]
            points = np.array(flat, dtype=np.float32).reshape(133, 3)
            ours = people[image, index].keypoints
            seen = points[:, 2] > 0
            np.testing.assert_array_equal(ours[:, 2] > 0, seen)
            np.testing.assert_array_equal(ours[seen, :2], points[seen, :2])

"""COCO and COCO-WholeBody rows: what is right is read right, what is wrong is reported and keeps its row."""

import json
from typing import Any

import numpy as np
import pytest
from inventories import inventory_of

from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.sources.opening import open_images

COCO_NAMES = KEYPOINT_SETS["coco"].points


def adapter_of(root, *, keypoints: Any = "coco_wholebody", boxes: Any = "manifest", **layout):
    return open_adapter(
        Manifest(
            id="coco", version="1", licence="x", access="x", adapter="coco", root=str(root), split="val", boxes=boxes,
            keypoints=keypoints, purpose="test", layout={"annotations": "a.json", **layout},
        )
    )  # fmt: skip


def person(number, image: Any = 1, **changes):
    blocks = {"foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
    row = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": [10, 20, 30, 40]}
    row["keypoints"] = [v for k in range(17) for v in (k, k + 100, k % 3)]
    for name, count in blocks.items():
        flag = 2 if name == "foot" else 0.25
        row |= {f"{name}_kpts": [v for k in range(count) for v in (k + 0.5, k, flag)], f"{name}_valid": True}
    return {key: value for key, value in (row | changes).items() if value is not ...}


def write(root, annotations, images=None, **more):
    images = images or [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}]
    (root / "1.jpg").write_bytes(b"jpeg")
    (root / "a.json").write_text(json.dumps({"images": images, "annotations": annotations} | more))
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


@pytest.mark.parametrize("iscrowd", [1, True, "1"])
def test_crowds_and_other_categories_are_left_out_and_counted(tmp_path, iscrowd):
    rows = [person(1, iscrowd=iscrowd), person(2, category_id=18), person(3), person(4, iscrowd="0")]
    inventory = inventory_of(adapter_of(write(tmp_path, rows)))
    assert inventory.num_people == 2
    assert inventory.notes["crowds left out"] == 1
    assert inventory.notes["annotations of other categories left out"] == 1
    assert "annotations of other categories left out: 1" in inventory.summary


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
        ("/../etc/passwd", ErrorCode.SOURCE_ROW_INVALID),
        ("a\0b", ErrorCode.SOURCE_ROW_INVALID),
    ],
)
def test_an_image_that_cannot_be_read_keeps_its_people_and_is_reported(tmp_path, file_name, code):
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": file_name}]
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1), person(2, image=2)], images)))
    assert [len(record.people) for record in inventory.records] == [1, 1]
    assert [(m.path, m.code) for m in inventory.missing] == [(file_name.lstrip("/"), code)]


@pytest.mark.parametrize("image", [3, {"id": 2}, {"id": 2, "file_name": "\ud800.jpg"}, {"id": 1, "file_name": "1.jpg"}])
def test_an_image_row_that_cannot_be_used_is_reported(tmp_path, image):
    images = [{"id": 1, "file_name": "1.jpg", "width": 10**12}, image]
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1)], images)))
    assert [m.path for m in inventory.missing] == ["a.json images[1]"]
    assert inventory.records[0].width is None
    assert inventory.num_people == 1


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


def indices(inventory):
    return [(one.index, one.error_code) for record in inventory.records for one in record.people]


def category(number, name="person", **more):
    return {"id": number, "name": name} | more


@pytest.mark.parametrize("number", [0, 1, 17, "1", 17.0])
@pytest.mark.parametrize("name", ["person", "Person", " PERSON "])
def test_people_are_the_category_of_that_name_whatever_its_id(tmp_path, number, name):
    others = [category(2, "dog"), category(3, "person's bag")]
    rows = [person(1, category_id=2), person(2, category_id=number), person(3, category_id="3")]
    inventory = inventory_of(adapter_of(write(tmp_path, rows, categories=[*others, category(number, name)])))
    assert indices(inventory) == [(0, None)]
    assert inventory.notes["annotations of other categories left out"] == 2


def test_a_layout_may_give_people_another_name(tmp_path):
    categories = [category(1, "helmet"), category(2, "worker")]
    root = write(tmp_path, [person(1), person(2, category_id=2, bbox=[1, 1, 2, 2])], categories=categories)
    (record,) = inventory_of(adapter_of(root, category="Worker")).records
    np.testing.assert_array_equal([one.bbox_xyxy for one in record.people], [[1, 1, 3, 3]])
    with pytest.raises(ValueError, match=r"none of its categories is called 'person'; it has 1 helmet, 2 worker\. If"):
        inventory_of(adapter_of(root))


def test_two_categories_may_be_people_each_with_its_own_points(tmp_path):
    categories = [category(1), category(91, keypoints=["left_knee"])]
    rows = [person(1), person(2, category_id=91, keypoints=[4, 5, 2])]
    (record,) = inventory_of(adapter_of(write(tmp_path, rows, categories=categories), keypoints="coco")).records
    assert [int((one.keypoints[:, 2] > 0).sum()) for one in record.people] == [11, 1]
    np.testing.assert_array_equal(record.people[1].keypoints[13], [4, 5, 1])


@pytest.mark.parametrize("more", [{}, {"categories": []}, {"categories": None}])
def test_a_file_without_categories_has_those_of_coco(tmp_path, more):
    rows = [person(1), person(2, category_id=2), person(3, category_id=...)]
    inventory = inventory_of(adapter_of(write(tmp_path, rows, **more)))
    assert inventory.num_people == 2
    assert inventory.notes["annotations of other categories left out"] == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"category_id": 5}, "the category 5 is not among the file's, which are 1 person, 2 dog."),
        ({"category_id": "dog"}, 'category_id must be a whole number, got "dog".'),
        ({"category_id": None}, "category_id must be a whole number, got null."),
        ({"category_id": ...}, "category_id must be a whole number, got none."),
    ],
)
def test_an_annotation_of_no_category_of_the_file_is_reported(tmp_path, changes, sentence):
    categories = [category(1), category(2, "dog")]
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1, **changes), person(2)], categories=categories)))
    assert inventory.num_people == 1
    assert [(m.path, m.reason) for m in inventory.missing] == [
        ("a.json annotations[0]", f"source_row_invalid: {sentence}")
    ]


def test_an_annotation_that_names_no_category_is_of_the_only_one(tmp_path):
    root = write(tmp_path, [person(1, category_id=...)], categories=[category(7)])
    assert inventory_of(adapter_of(root)).num_people == 1


@pytest.mark.parametrize(
    ("categories", "sentence"),
    [
        ([category(1), category(1, "dog")], "its category 1 stands for both 'person' and 'dog'"),
        ([category("one")], 'a list of ids and names: id must be a whole number, got "one"'),
        ([{"id": 1}], "a list of ids and names: category 1 has no name"),
        ({"id": 1}, "a list of ids and names: category 1 has no name"),
        (["person"], 'a list of ids and names: expected an object with id, got "person"'),
    ],
)
def test_categories_that_cannot_be_told_are_one_sentence(tmp_path, categories, sentence):
    with pytest.raises(ValueError, match=r"a\.json: ") as caught:
        inventory_of(adapter_of(write(tmp_path, [person(1)], categories=categories)))
    assert sentence in str(caught.value)


@pytest.mark.parametrize("written", [float, str])
def test_ids_may_be_floats_or_texts(tmp_path, written):
    images = [{"id": written(1), "file_name": "1.jpg"}]
    rows = [person(written(7), written(1), category_id=written(1))]
    inventory = inventory_of(adapter_of(write(tmp_path, rows, images)))
    assert inventory.records[0].image_id == "1"
    assert inventory.num_people == 1
    assert not inventory.missing


@pytest.mark.parametrize(
    "number", [1.5, float("nan"), 1e300, "img_1", "", " 1", "1.0", "1_000", "\u0661", True, None, [1]]
)
def test_an_id_that_is_no_whole_number_is_refused_with_what_it_is(tmp_path, number):
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": number, "file_name": "2.jpg"}]
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1)], images)))
    (missing,) = inventory.missing
    assert missing.reason == f"source_row_invalid: id must be a whole number, got {json.dumps(number)}."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keypoints": [1] * 50}, "keypoints must be 51 numbers (17 points of x, y, flag), got 50."),
        ({"keypoints": None}, "keypoints must be 51 numbers (17 points of x, y, flag), got null."),
        ({"keypoints": [1, 1, None] * 17}, "(17 points of x, y, flag) below 1e9, but number 2 is null."),
        ({"keypoints": [1, float("nan"), 2] * 17}, "(17 points of x, y, flag) below 1e9, but number 1 is NaN."),
        ({"keypoints": [1, 2, 2] * 16 + [10**400, 1, 1]}, f"but number 48 is {'1' + '0' * 39}...."),
        ({"keypoints": [1, "2", 2] * 17}, 'below 1e9, but number 1 is "2".'),
        (
            {"keypoints": [1, 2, 2] * 16 + [1, 2, 0.83]},
            "the flag of point 16 of keypoints must be 0, 1 or 2, got 0.83; if it is a confidence, say so by "
            "layout.flags: score.",
        ),
        ({"bbox": [1, 2, 3]}, "bbox must be 4 numbers (x, y, width, height), got 3."),
        ({"lefthand_kpts": ...}, "lefthand_kpts must be 63 numbers (21 points of x, y, flag), got none."),
    ],
)
def test_a_row_that_cannot_be_used_says_what_was_expected_and_what_came(tmp_path, changes, sentence):
    (missing,) = inventory_of(adapter_of(write(tmp_path, [person(1, **changes)]))).missing
    assert missing.reason.startswith("source_row_invalid: annotation 1 of image 1: ")
    assert missing.reason.endswith(sentence)


def test_people_of_an_id_that_two_files_share_are_refused_and_both_files_named(tmp_path):
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": "1", "file_name": "b.jpg"}, {"id": 2, "file_name": "1.jpg"}]
    inventory = inventory_of(adapter_of(write(tmp_path, [person(1), person(2, image=2)], images)))
    assert indices(inventory) == [(0, ErrorCode.SOURCE_ROW_INVALID), (0, None)]
    assert "listed as '1.jpg' and as 'b.jpg'" in inventory.records[0].people[0].error_detail
    assert [m.path for m in inventory.missing] == ["a.json images[1]", "a.json id 1"]


def test_the_first_reasons_are_told_and_the_others_counted(tmp_path):
    rows = [person(number, image="one") for number in range(5)]
    assert inventory_of(adapter_of(write(tmp_path, rows))).reasons == (
        'a.json annotations[0]: image_id must be a whole number, got "one". '
        'a.json annotations[1]: image_id must be a whole number, got "one". '
        'a.json annotations[2]: image_id must be a whole number, got "one". So it is with 2 more.'
    )
    assert inventory_of(adapter_of(write(tmp_path, [person(1)]))).reasons == ""


def test_people_of_one_annotation_id_keep_a_row_each(tmp_path):
    assert indices(inventory_of(adapter_of(write(tmp_path, [person(1), person(1)])))) == [(0, None), (1, None)]


POSETRACK = ["nose", "head_bottom", "head_top", *COCO_NAMES[3:]]


def named(root, names, keypoints, **layout):
    row = person(1, keypoints=keypoints)
    return adapter_of(write(root, [row], categories=[category(1, keypoints=names)]), keypoints="coco", **layout)


def test_points_are_what_the_file_calls_them(tmp_path):
    flat = [v for k in range(17) for v in (k, 50, 1)]
    inventory = inventory_of(named(tmp_path, POSETRACK, flat))
    keypoints = inventory.records[0].people[0].keypoints
    np.testing.assert_array_equal(np.flatnonzero(keypoints[:, 2]), [0, *range(3, 17)])
    np.testing.assert_array_equal(keypoints[5], [5, 50, 1])
    assert "points of a person beside the 133 (head_bottom, head_top): 2" in inventory.summary


def test_a_set_has_its_own_number_of_points(tmp_path):
    names = ["Right-Shoulder", "Left shoulder", "NECK"]
    keypoints = only_person(named(tmp_path, names, [1, 2, 2, 3, 4, 1, 5, 6, 2])).keypoints
    np.testing.assert_array_equal(keypoints[[5, 6]], [[3, 4, 0.5], [1, 2, 1]])
    (missing,) = inventory_of(named(tmp_path, names, [1, 2, 2] * 17)).missing
    assert "keypoints must be 9 numbers (3 points of x, y, flag), got 51." in missing.reason


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["nose", "left_wing", "tail"], "the 3 keypoints nose, left_wing, tail are none of the known sets (coco, "),
        (["nose", "Nose"], "): nose, Nose are one point."),
        (["nose", 3], "must be a list of names, got ['nose', 3]"),
    ],
)
def test_points_that_nobody_knows_are_refused_by_their_names(tmp_path, names, sentence):
    with pytest.raises(ValueError, match=r"a\.json: ") as caught:
        inventory_of(named(tmp_path, names, [0] * 9))
    assert sentence in str(caught.value)


def test_points_do_not_matter_where_they_are_not_wanted(tmp_path):
    root = write(tmp_path, [person(1)], categories=[category(1, keypoints=["tail"])])
    assert inventory_of(adapter_of(root, keypoints="none")).num_people == 1


def test_a_layout_says_what_unnamed_points_are(tmp_path):
    root = write(tmp_path, [person(1, keypoints=[1, 2, 2] * 14)])
    assert only_person(adapter_of(root, keypoints="coco", keypoint_set="aic")).keypoints[:, 2].sum() == 12
    with pytest.raises(ValueError, match=r"keypoint_set: expected one of coco, posetrack18"):
        adapter_of(root, keypoints="coco", keypoint_set="coco17")

"""Data sets that borrow COCO's form, each written here as it is distributed: PoseTrack, AI Challenger, UBody."""

import json
from typing import Any

import numpy as np
import pytest
from inventories import inventory_of

from datasets_manifest.adapters.coco_files import video_of
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.schema.truth_3d import PARAMETER_SIZES

COCO_NAMES = list(KEYPOINT_SETS["coco"].points)
POSETRACK = ["nose", "head_bottom", "head_top", *COCO_NAMES[3:]]
AIC = [name.replace("_", " ").title() for name in KEYPOINT_SETS["aic"].points]


def adapter_of(root, *, keypoints: Any = "coco", **layout):
    return open_adapter(
        Manifest(
            id="set", version="1", licence="x", access="x", adapter="coco", root=str(root), split="val",
            boxes="manifest", keypoints=keypoints, purpose="test", layout={"annotations": "a.json", **layout},
        )
    )  # fmt: skip


def category(names=None):
    return {"id": 1, "name": "person"} | ({} if names is None else {"keypoints": names})


def person(number, image=1, **changes):
    row = {"id": number, "image_id": image, "category_id": 1, "bbox": [10, 20, 30, 40], "keypoints": [10, 20, 2] * 17}
    return {key: value for key, value in (row | changes).items() if value is not ...}


def write(root, annotations, images=None, names=None, file="a.json"):
    images = [{"id": 1, "file_name": "1.jpg"}] if images is None else images
    for name in [row["file_name"].lstrip("/") for row in images]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"jpeg")
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": [category(names)]}
    (root / file).write_text(json.dumps(content))
    return root


def people_of(inventory):
    return [one for record in inventory.records for one in record.people]


# --- PoseTrack18 ------------------------------------------------------------------------------------------------------
SEQUENCE = "annotations/val/000001_x_test.json"


def posetrack(root, file: str = SEQUENCE, **image: Any):
    folder = f"images/val/{file.rpartition('/')[2].removesuffix('.json')}"
    images = [
        {"id": 10, "file_name": f"{folder}/000000.jpg", "is_labeled": True} | image,
        {"id": 11, "file_name": f"{folder}/000001.jpg", "is_labeled": False},
    ]
    points = [50, 40, 1, 52, 60, 1, 48, 20, 1, 0, 0, 0, 0, 0, 0] + 12 * [60, 70, 1]
    rows = [person(1, 10, keypoints=points, bbox=[40, -5, 40, 100]), person(2, 11)]
    return write(root, rows, images, POSETRACK, file)


def test_posetrack_has_no_eyes_and_every_labelled_point_is_seen(tmp_path):
    inventory = inventory_of(adapter_of(posetrack(tmp_path), annotations=SEQUENCE))
    (one,) = people_of(inventory)
    assert not one.keypoints[1:5].any()
    np.testing.assert_array_equal(one.keypoints[0], [50, 40, 1])
    assert (one.keypoints[5:17, 2] == 1).all()
    np.testing.assert_array_equal(one.bbox_xyxy, [40, -5, 80, 95])
    assert {name: point.tolist() for name, point in one.other_points.items()} == {
        "head_bottom": [52, 60, 1], "head_top": [48, 20, 1]
    }  # fmt: skip
    assert inventory.notes["images that are not labelled left out"] == 1


def test_images_of_several_files_are_called_by_their_file_too(tmp_path):
    for file in (SEQUENCE, "annotations/val/000002_x_test.json"):
        posetrack(tmp_path, file)
    inventory = inventory_of(adapter_of(tmp_path, annotations="annotations/val/*.json"))
    assert [record.image_id for record in inventory.records] == [
        "annotations/val/000001_x_test/10", "annotations/val/000002_x_test/10"
    ]  # fmt: skip
    listed = inventory_of(adapter_of(tmp_path, annotations=[SEQUENCE, "annotations/val/000002_x_test.json"]))
    assert [record.image_id for record in listed.records] == [record.image_id for record in inventory.records]
    with pytest.raises(ValueError, match=r"No annotation file annotations/test/\*\.json is below"):
        inventory_of(adapter_of(tmp_path, annotations="annotations/test/*.json"))


def test_regions_without_annotations_are_polygons(tmp_path):
    regions = {"ignore_regions_x": [[0, 9, 9], [1, 2]], "ignore_regions_y": [[0, 0, 9], [1, 2]]}
    (record,) = inventory_of(adapter_of(posetrack(tmp_path, SEQUENCE, **regions), annotations=SEQUENCE)).records
    assert [region.tolist() for region in record.ignore_regions] == [[[0, 0], [9, 0], [9, 9]]]
    flat = {"ignore_regions_x": [0, 9, 9], "ignore_regions_y": [0, 0, 9]}
    (record,) = inventory_of(adapter_of(posetrack(tmp_path, SEQUENCE, **flat), annotations=SEQUENCE)).records
    assert len(record.ignore_regions) == 1


def test_a_region_that_is_none_is_reported_and_the_image_stays(tmp_path):
    wrong = {"ignore_regions_x": [[0, 9]], "ignore_regions_y": [[0]]}
    inventory = inventory_of(adapter_of(posetrack(tmp_path, SEQUENCE, **wrong), annotations=SEQUENCE))
    assert len(inventory.records) == 1
    assert [missing.detail for missing in inventory.missing] == [
        "image 10: its ignored region 0 must have as many x as y."
    ]


# --- AI Challenger ----------------------------------------------------------------------------------------------------
def test_ai_challenger_has_no_face_and_its_head_is_beside_the_133(tmp_path):
    flat = [30, 40, 2, *[31, 41, 1] * 11, 35, 10, 1, 0, 0, 0]
    row = person(1, bbox=[10, 20, 50, 100], keypoints=flat)
    (one,) = people_of(inventory_of(adapter_of(write(tmp_path, [row], names=AIC))))
    np.testing.assert_array_equal(one.bbox_xyxy, [10, 20, 60, 120])
    np.testing.assert_array_equal(one.keypoints[6], [30, 40, 1])
    assert (one.keypoints[[5, 7, 8, *range(9, 17)], 2] == 0.5).all()
    assert not one.keypoints[:5].any()
    assert {name: point.tolist() for name, point in one.other_points.items()} == {"head_top": [35, 10, 0.5]}


# --- UBody ------------------------------------------------------------------------------------------------------------
FILES = "annotations/*/keypoint_annotation.json"


def ubody_person(number, image, **changes):
    blocks = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    row = person(number, image, keypoints=[5, 6, 0.75] * 17, num_keypoints=17, valid_label=2, iscrowd=0)
    row |= {name: [7, 8, 1] * count for name, count in blocks.items()}
    row |= dict.fromkeys(("face_valid", "lefthand_valid", "righthand_valid", "leftfoot_valid"), True)
    return row | {"rightfoot_valid": False} | changes


def write_ubody(root, rows, images):
    write(root / "images/Talk", [], images)
    write(root, rows, [], file=FILES.replace("*", "Talk"))
    path = root / FILES.replace("*", "Talk")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images": images}))
    return root


def ubody(root, **layout):
    options = {"annotations": FILES, "images": "images/{folder}", "flags": "score", "videos": "test.npy", **layout}
    return adapter_of(root, keypoints="coco_wholebody", **options)


@pytest.fixture
def scene(tmp_path):
    """200 annotations, one an image: 150 of video A, which is the test's, then 50 of video B."""
    names = [f"/{'A' if number < 150 else 'B'}_Trim1/{number + 1:06d}.png" for number in range(200)]
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    np.save(tmp_path / "test.npy", np.array(["A", "C"]))
    return write_ubody(tmp_path, [ubody_person(number, number) for number in range(200)], images)


def test_every_nth_is_counted_over_all_annotations_and_then_the_split_is_taken(scene):
    inventory = inventory_of(ubody(scene, every_nth=100))
    assert [record.image_id for record in inventory.records] == ["annotations/Talk/keypoint_annotation/99"]
    assert inventory.records[0].path == "images/Talk/A_Trim1/000100.png"
    assert not inventory.missing
    assert inventory.notes["annotations that are no 100-th left out"] == 198
    assert inventory.notes["images of other videos left out"] == 50
    others = inventory_of(ubody(scene, every_nth=100, videos_are="left_out"))
    assert [record.image_id for record in others.records] == ["annotations/Talk/keypoint_annotation/199"]


def test_a_foot_is_seen_if_its_own_flag_says_so_and_a_confidence_is_a_score(scene):
    (one,) = people_of(inventory_of(ubody(scene, every_nth=100)))
    assert (one.keypoints[:17, 2] == 0.75).all()
    assert one.keypoints[17:23, 2].tolist() == [1, 1, 1, 0, 0, 0]
    assert (one.keypoints[23:, 2] == 1).all()


def test_people_whom_ubody_calls_invalid_are_left_out_and_counted(tmp_path):
    images = [{"id": 0, "file_name": "A/000001.png"}]
    rows = [ubody_person(k, 0, valid_label=k) for k in range(3)] + [ubody_person(3, 0, num_keypoints=0)]
    write_ubody(tmp_path, rows, images)
    (tmp_path / "test.txt").write_text("A\r\n")
    inventory = inventory_of(ubody(tmp_path, videos="test.txt"))
    assert inventory.num_people == 3
    assert inventory.notes["people with valid_label 0 left out"] == 1
    stricter = inventory_of(ubody(tmp_path, videos="test.txt", drop=["num_keypoints"]))
    assert stricter.num_people == 3
    assert stricter.notes["people with num_keypoints 0 left out"] == 1


def test_smplx_parameters_are_the_truth_and_who_has_none_is_left_out(tmp_path):
    sizes = {"root_pose": 3, "body_pose": 63, "shape": 10, "trans": 3, "lhand_pose": 45, "rhand_pose": 45}
    sizes |= {"jaw_pose": 3, "expr": 10}
    camera = {"focal": [35000.0, 34000.0], "princpt": [500.0, 400.0]}
    given = {"smplx_param": {name: [0.5] * size for name, size in sizes.items()}, "cam_param": camera}
    short = {"smplx_param": given["smplx_param"] | {"expr": [0.5]}}
    rows = [ubody_person(number, 0) for number in range(3)]
    write_ubody(tmp_path, rows, [{"id": 0, "file_name": "A/000001.png"}])
    path = tmp_path / "annotations/Talk/smplx.json"
    path.write_text(json.dumps({"0": given, "2": short}))
    inventory = inventory_of(ubody(tmp_path, videos=None, smplx="annotations/{folder}/smplx.json"))
    one, wrong = people_of(inventory)
    assert (one.truth_3d.model, one.truth_3d.frame, one.truth_3d.num_betas) == ("smplx", "camera", 10)
    assert one.truth_3d.intrinsics_px == (35000, 34000, 500, 400)
    of_flame = {"flame_shape", "flame_expression", "eyelids"}
    assert set(one.truth_3d.parameters) == set(PARAMETER_SIZES) - of_flame - {"leye_pose", "reye_pose"}
    assert wrong.error_code == ErrorCode.SOURCE_ROW_INVALID
    assert "expr must be 10 numbers (of SMPL-X), got 1." in wrong.error_detail
    assert inventory.notes["people without SMPL-X left out"] == 1


@pytest.mark.parametrize(
    ("name", "video"),
    [("/A_Trim1/1.png", "A"), ("Show/B_S2_Trim3/1.png", "B_S2"), ("Show/C/1.png", "C"), ("1.png", "")],
)
def test_a_frame_is_of_the_video_that_its_folder_is_called_by(name, video):
    assert video_of(name) == video


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.npy", None, "does not exist"),
        ("objects.npy", np.array([{}], dtype=object), "cannot be read: Object arrays cannot be loaded"),
        ("numbers.npy", np.arange(3), "names none"),
        ("empty.txt", "\n\n", "names none"),
    ],
)
def test_a_list_of_videos_that_names_none_is_refused(tmp_path, name, content, sentence):
    write_ubody(tmp_path, [], [{"id": 0, "file_name": "A/000001.png"}])
    if isinstance(content, str):
        (tmp_path / name).write_text(content)
    elif content is not None:
        np.save(tmp_path / name, content)
    with pytest.raises(ValueError, match=sentence):
        inventory_of(ubody(tmp_path, videos=name))


# --- options ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "third", "score"),
    [("coco012", 1, 0.5), ("coco012", 2.0, 1), ("binary", 1, 1), ("score", 0.83, 0.83), ("score", 2, 1)],
)
def test_the_manifest_says_what_stands_behind_x_and_y(tmp_path, flags, third, score):
    root = write(tmp_path, [person(1, keypoints=[1, 2, third] * 17)])
    (one,) = people_of(inventory_of(adapter_of(root, flags=flags)))
    np.testing.assert_allclose(one.keypoints[:17, 2], score)


@pytest.mark.parametrize(
    ("flags", "third", "sentence"),
    [("binary", 2, "must be 0 or 1, got 2"), ("score", -1, "must be 0 or more, got -1"), (None, 0.5, "flags: score")],
)
def test_a_flag_that_is_none_is_reported(tmp_path, flags, third, sentence):
    root = write(tmp_path, [person(1, keypoints=[1, 2, third] * 17)])
    (missing,) = inventory_of(adapter_of(root, flags=flags)).missing
    assert sentence in missing.reason


def test_a_file_that_names_other_points_than_the_manifest_is_refused(tmp_path):
    root = write(tmp_path, [person(1)], names=POSETRACK)
    with pytest.raises(ValueError, match=r"head_bottom, .* are not those of layout.keypoint_set coco \(nose, left_e"):
        inventory_of(adapter_of(root, keypoint_set="coco"))
    assert inventory_of(adapter_of(root, keypoint_set="posetrack18")).num_people == 1


def test_where_the_first_pixel_is_one_boxes_and_points_move(tmp_path):
    row = person(1, keypoints=[11, 21, 2] * 16 + [0, 0, 0])
    (one,) = people_of(inventory_of(adapter_of(write(tmp_path, [row]), first_pixel=1)))
    np.testing.assert_array_equal(one.bbox_xyxy, [9, 19, 39, 59])
    np.testing.assert_array_equal(one.keypoints[[0, 16]], [[10, 20, 1], [0, 0, 0]])


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ({"annotations": []}, "annotations: expected a file or more, got none"),
        ({"annotations": ["a", 3]}, r"annotations\[1\]: expected a text"),
        ({"images": "{scene}"}, "images: may hold {folder} and {file}, and no other"),
        ({"every_nth": 0}, "every_nth: expected 1 or more"),
        ({"drop": ["crowd"]}, r"drop\[0\]: expected one of iscrowd"),
        ({"videos_are": "left_out"}, "videos names no file"),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(tmp_path, layout, sentence):
    with pytest.raises(ValueError, match=sentence):
        adapter_of(tmp_path, **layout)

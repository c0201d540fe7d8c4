"""The adapter on a few real files of the data sets, where they stand beside the project."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inventories import inventory_of

from datasets_manifest.adapters.photo_check import with_photos_checked
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.opening import open_images

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no samples of the data sets stand beside the project")


def inventory(folder, *, keypoints: Any = "coco", **layout):
    manifest = Manifest(
        id="sample", version="1", licence="x", access="x", adapter="coco", root=str(DATA / folder), split="val",
        boxes="manifest", keypoints=keypoints, purpose="test", layout=layout,
    )  # fmt: skip
    found = inventory_of(open_adapter(manifest))
    # Nothing of the real samples is told to be what it is not.
    list(with_photos_checked(found.records, open_images(DATA / folder), "sample"))
    return found


def people_of(found):
    return [one for record in found.records for one in record.people]


def opened(folder, found):
    """Sizes of the photos, height before width."""
    source = open_images(DATA / folder)
    return [decode_image(source.read(record.path), name=record.path).shape[:2] for record in found.records]


def test_coco_has_fourteen_people_on_four_photos():
    found = inventory("coco", keypoints="coco_wholebody", annotations="test_coco_wholebody.json")
    assert (len(found.records), found.num_people, found.missing) == (4, 14, ())
    assert opened("coco", found) == [(record.height, record.width) for record in found.records]


def test_the_evaluation_filter_keeps_seven_of_coco():
    found = inventory("coco", keypoints="coco_wholebody", annotations="test_coco_wholebody.json", require_limbs=True)
    assert found.num_people == 7
    assert found.notes["people without all limbs left out"] == 7


def test_keypoints_of_coco_are_those_of_the_file():
    rows = json.loads((DATA / "coco/test_coco_wholebody.json").read_text())["annotations"]
    found = inventory("coco", keypoints="coco_wholebody", annotations="test_coco_wholebody.json").records
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


def test_the_evaluation_filter_keeps_three_of_posetrack():
    found = inventory("posetrack18", annotations="annotations/val/*.json")
    assert (len(found.records), found.num_people, found.missing) == (3, 14, ())
    assert min(one.bbox_xyxy[1] for one in people_of(found)) == pytest.approx(-54.6, abs=0.05)
    assert all(record.ignore_regions for record in found.records)
    assert not np.stack([one.keypoints for one in people_of(found)])[:, 1:5].any()
    assert len(opened("posetrack18", found)) == 3
    filtered = inventory("posetrack18", annotations="annotations/val/*.json", require_limbs=True)
    assert [len(record.people) for record in filtered.records] == [1, 2]
    assert [record.image_id.rpartition("/")[2] for record in filtered.records] == ["10094730000", "10128340000"]


def test_ai_challenger_has_shoulders_where_the_photo_has_them():
    found = inventory("aic", annotations="test_aic.json")
    assert (len(found.records), found.num_people, found.missing) == (3, 9, ())
    one = found.records[0].people[0]
    np.testing.assert_array_equal(one.bbox_xyxy, [279, 55, 492, 599])
    np.testing.assert_array_equal(one.keypoints[6], [313, 201, 1])
    assert {"head_top", "neck"} >= set(one.other_points)
    assert opened("aic", found) == [(record.height, record.width) for record in found.records]


def test_the_hips_of_human36m_are_on_the_side_of_their_shoulders():
    found = inventory("h36m", annotations="h36m_coco.json")
    assert (len(found.records), found.num_people) == (4, 4)
    points = np.stack([one.keypoints[:, :2] for one in people_of(found)])
    own, cross = (np.linalg.norm(points[:, [11, 12]] - points[:, order], axis=-1).sum() for order in ([5, 6], [6, 5]))
    assert own < cross
    assert all("root_pelvis" in one.other_points for one in people_of(found))


def test_mpiis_own_file_is_no_file_in_cocos_form():
    with pytest.raises(ValueError, match=r"test_mpii\.json is not in COCO's format"):
        inventory("mpii", annotations="test_mpii.json")


def test_ubody_has_hands_and_no_feet(tmp_path):
    """mmpose put 3D points, projected to the photo, in the place of COCO's 17, which are not looked at here."""
    content = json.loads((DATA / "ubody3d/ubody3d_train.json").read_text())
    (row,) = content["annotations"]
    (tmp_path / "a.json").write_text(json.dumps(content | {"annotations": [row | {"keypoints": [0] * 51}]}))
    options = {"keypoints": "coco_wholebody", "flags": "score"}
    (one,) = people_of(inventory(tmp_path, annotations="a.json", images="images", **options))
    assert not one.keypoints[:23].any()
    np.testing.assert_array_equal(one.keypoints[91:112].ravel(), np.array(row["lefthand_kpts"], np.float32))
    assert (one.keypoints[91:, 2] == 1).all()
    assert int(one.keypoints[23:91, 2].sum()) == sum(row["face_kpts"][2::3]) > 0
    (missing, *_) = inventory("ubody3d", annotations="ubody3d_train.json", **options).missing
    assert missing.detail.endswith("keypoints must be 51 numbers (17 points of x, y, flag), got 133.")

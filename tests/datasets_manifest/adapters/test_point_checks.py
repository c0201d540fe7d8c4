"""Points in another order, and pixels that are counted from 1, stop a listing before its first photo."""

import json
from typing import Any

import numpy as np
import pytest
from inventories import inventory_of

from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS

FRONT = {
    0: (0, 0), 1: (2, -2), 2: (-2, -2), 3: (4, -1), 4: (-4, -1), 5: (12, 12), 6: (-12, 12), 7: (16, 30), 8: (-16, 30),
    9: (18, 45), 10: (-18, 45), 11: (8, 45), 12: (-8, 45), 13: (9, 70), 14: (-9, 70), 15: (9, 94), 16: (-9, 94),
}  # fmt: skip
"""COCO's points of somebody who stands upright, seen from the front."""
BETWEEN = {"root_pelvis": (11, 12), "spine": (5, 12), "thorax": (5, 6), "neck_base": (5, 6), "head": (1, 2)}


def people(name: Any = "coco", count=12):
    """(count, N, 3) points of a set, of people seen from the front and from behind, each a little otherwise."""
    rng = np.random.default_rng(0)
    own = KEYPOINT_SETS[name]
    found = []
    for number in range(count):
        body = np.array([FRONT[index] for index in range(17)], float) + rng.normal(0, 2, (17, 2))
        body = body * [1 - 2 * (number % 2), 1] + [300, 100]
        points = [
            body[index] if index is not None else body[list(BETWEEN[point])].mean(0)
            for point, index in zip(own.points, own.wholebody, strict=True)
        ]
        found.append(np.column_stack([points, np.full(len(points), 2)]))
    return np.array(found)


def listed(root, points, box=(200, 50, 200, 200), **layout):
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(len(points))]
    rows = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": list(box), "keypoints": own.ravel().tolist()}
        for number, own in enumerate(points)
    ]
    (root / "a.json").write_text(json.dumps({"images": images, "annotations": rows}))
    manifest = Manifest(
        id="set", version="1", licence="x", access="x", adapter="coco", root=str(root), split="val", boxes="manifest",
        keypoints="coco", purpose="test", layout={"annotations": "a.json", **layout},
    )  # fmt: skip
    return inventory_of(open_adapter(manifest)).num_people


@pytest.mark.parametrize("name", ["coco", "human36m"])
def test_points_in_the_order_they_are_said_to_be_in_are_read(tmp_path, name):
    assert listed(tmp_path, people(name), keypoint_set=name) == 12


@pytest.mark.parametrize(
    ("own", "said", "relation"),
    [
        ("human36m", "human36m_spin", "0 are as people are (hips are nearer to the shoulders of their own side)"),
        ("human36m", "coco", "a.json: of 12 people on whom it can be told, "),
        ("coco", "human36m", "in another order than they are said to be in. Say what they are by layout.keypoint_set"),
    ],
)
def test_points_in_another_order_stop_the_listing(tmp_path, own, said, relation):
    with pytest.raises(ValueError, match=r"a\.json: ") as caught:
        listed(tmp_path, people(own), keypoint_set=said)
    assert relation in str(caught.value)
    assert listed(tmp_path, people(own), keypoint_set=said, check_order=False) == 12


def test_a_few_people_say_nothing(tmp_path):
    assert listed(tmp_path, people("human36m", 7), keypoint_set="human36m_spin") == 7


def test_lengths_that_nobody_has_stop_the_listing(tmp_path):
    points = people()
    points[:, [9, 10], :2] = points[:, [7, 8], :2] + (points[:, [9, 10], :2] - points[:, [7, 8], :2]) * 0.1
    with pytest.raises(ValueError, match=r"upper arms over forearms are 1\d in the median of 24, expected 0.2 to 3"):
        listed(tmp_path, points)


def test_pixels_that_are_counted_from_one_stop_the_listing(tmp_path):
    with pytest.raises(ValueError, match=r"of 12 of 12 people lie at 1 exactly .* Set layout.first_pixel to 1, or"):
        listed(tmp_path, people(), box=(1, 50, 200, 200))
    for said in (0, 1):
        assert listed(tmp_path, people(), box=(1, 50, 200, 200), first_pixel=said) == 12


def test_a_box_at_zero_says_that_pixels_are_counted_from_zero(tmp_path):
    points = people()
    points[0, 0, :2] = [0, 100]
    assert listed(tmp_path, points, box=(1, 50, 200, 200)) == 12

"""Masks of COCO's form: polygons and runs of people, crowds, and what is none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coco_files import HEIGHT, WIDTH, coco_image, coco_person, write_coco
from inventories import inventory_of

from datasets_manifest.manifest import load_manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.rle import Rle

SQUARE = [10, 20, 40, 20, 40, 80, 10, 80]
PIXELS = np.zeros((HEIGHT, WIDTH), bool)
PIXELS[20:80, 10:40] = True
RUNS = Rle.of_mask(PIXELS)
SIZE = [HEIGHT, WIDTH]


def listed(folder: Path, *people, image=None, **layout):
    manifest = load_manifest(write_coco(folder, [image or coco_image(1)], people))
    return inventory_of(open_adapter(replace(manifest, layout=manifest.layout | layout)))


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        [[10, 20, 40, 20, 40, 50, 10, 50], [10, 50, 40, 50, 40, 80, 10, 80]],
        {"size": SIZE, "counts": RUNS.runs.tolist()},
        {"size": SIZE, "counts": RUNS.counts.decode()},
    ],
    ids=["polygon", "two polygons", "runs", "packed"],
)
def test_a_person_has_the_mask_of_each_form(tmp_path, segmentation):
    ((person,),) = [record.people for record in listed(tmp_path, coco_person(1, segmentation=segmentation)).records]
    np.testing.assert_array_equal(person.mask().mask(), PIXELS)


@pytest.mark.parametrize("segmentation", [..., None, []])
def test_who_has_no_mask_has_none(tmp_path, segmentation):
    inventory = listed(tmp_path, coco_person(1, segmentation=segmentation))
    assert inventory.records[0].people[0].mask is None
    assert inventory.missing == ()


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ([[1, 2, 3, 4]], "three corners or more"),
        ([[1, 2, 3, 4, 5, 6, 7]], "three corners or more"),
        ([[1, 2, 3, 4, 5, "6"]], "number 5 is"),
        ([[1, 2, 3, 4, 5, float("nan")]], "number 5 is NaN"),
        ("text", "polygons, or runs"),
        ({"size": SIZE}, "numbers or a text"),
        ({"size": [HEIGHT, 0], "counts": [0]}, "polygons, or runs"),
        ({"size": SIZE, "counts": [3, 4]}, "whole numbers whose sum is"),
        ({"size": SIZE, "counts": [HEIGHT * WIDTH + 1, -1]}, "whole numbers whose sum is"),
        ({"size": SIZE, "counts": "zz"}, "counts of"),
        ({"size": SIZE, "counts": "§"}, "ascii"),
        ({"size": SIZE[::-1], "counts": [HEIGHT * WIDTH]}, f"photo of {HEIGHT} x {WIDTH} px, the photo has"),
    ],
)
def test_what_is_no_mask_is_said_and_leaves_its_person(tmp_path, segmentation, said):
    inventory = listed(tmp_path, coco_person(1, segmentation=segmentation))
    (person,) = inventory.records[0].people
    assert (person.error_code, person.mask) == (None, None)
    (missing,) = inventory.missing
    assert missing.code == ErrorCode.SOURCE_ROW_INVALID
    assert said in missing.detail
    assert "annotation 1 of image 1" in missing.detail


def test_polygons_need_the_size_of_the_photo(tmp_path):
    inventory = listed(tmp_path, coco_person(1, segmentation=[SQUARE]), image=coco_image(1, width=...))
    assert inventory.records[0].people[0].mask is None
    assert inventory.missing == ()


def test_crowds_are_regions_that_nobody_annotated(tmp_path):
    crowd = {"iscrowd": 1, "keypoints": [0] * 51}
    inventory = listed(
        tmp_path,
        coco_person(1, segmentation=[SQUARE]),
        coco_person(2, **crowd, segmentation={"size": SIZE, "counts": RUNS.runs.tolist()}),
        coco_person(3, **crowd, segmentation=None, bbox=[50, 60, 10, 20]),
        coco_person(4, **crowd, segmentation={"size": SIZE, "counts": "zz"}, bbox=[0, 0, 5, 5]),
        coco_person(5, **crowd, segmentation=None, bbox=[0, 0, 0, 5]),
    )
    (record,) = inventory.records
    assert len(record.people) == 1
    assert [mask() for mask in record.ignore_masks] == [RUNS]
    assert [region.tolist() for region in record.ignore_regions] == [
        [[50, 60], [60, 60], [60, 80], [50, 80]],
        [[0, 0], [5, 0], [5, 5], [0, 5]],
    ]
    assert inventory.notes["crowds left out"] == 4
    assert [missing.path for missing in inventory.missing] == ["a.json mask of annotation 4 of image 1"]


def test_crowds_are_counted_from_the_first_pixel_as_people_are(tmp_path):
    crowd = coco_person(2, iscrowd=1, keypoints=[0] * 51, segmentation=None)
    (record,) = listed(tmp_path, coco_person(1), crowd, first_pixel=1).records
    (region,) = record.ignore_regions
    assert [*region[0], *region[2]] == record.people[0].bbox_xyxy.tolist() == [9, 4, 69, 114]

"""Adapters by name, and what an inventory says of itself."""

import pytest

from datasets_manifest.adapters.base import ImageRecord, Inventory, LeftOut, Missing, PersonRecord
from datasets_manifest.adapters.registry import adapter_class
from datasets_manifest.schema.error_codes import ErrorCode


def test_the_summary_counts_what_is_missing():
    missing = [Missing.of(name, ErrorCode.IMAGE_MISSING, "x") for name in "ab"]
    record = ImageRecord(image_id="1", path="1.jpg", people=(PersonRecord(index=0),))
    inventory, told = Inventory(), []
    entries = [missing[0], record, LeftOut("crowds left out", 2), missing[1], LeftOut("crowds left out", 1)]
    assert list(inventory.records(entries, told.append)) == [record]
    assert told == missing
    assert inventory.summary == "1 photo, 1 annotated person, crowds left out: 3, 2 x image_missing"


def test_photos_without_annotations_are_not_told_to_have_no_people():
    inventory = Inventory()
    list(inventory.records([ImageRecord(image_id=name, path=name) for name in "ab"], print))
    assert inventory.summary == "2 photos"


def test_an_unknown_adapter_gets_the_known_ones():
    with pytest.raises(ValueError, match=r"known are coco, folder, .*scene, .*synthetic"):
        adapter_class("webdataset")

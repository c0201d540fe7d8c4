"""Adapters by name, and what an inventory says of itself."""

import pytest

from datasets_manifest.adapters.base import Inventory, Missing
from datasets_manifest.adapters.registry import adapter_class
from datasets_manifest.schema.error_codes import ErrorCode


def test_the_summary_counts_what_is_missing():
    missing = (Missing.of("a", ErrorCode.IMAGE_MISSING, "x"), Missing.of("b", ErrorCode.IMAGE_MISSING, "x"))
    summary = Inventory(records=(), missing=missing, notes={"crowds left out": 3}).summary
    assert summary == "0 images, 0 annotated people, 3 crowds left out, 2 x image_missing"


def test_an_unknown_adapter_gets_the_known_ones():
    with pytest.raises(ValueError, match="known are coco, folder, synthetic"):
        adapter_class("webdataset")

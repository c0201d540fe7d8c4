"""Masks that a data set has: in plans, labels and the pixel refinement."""

import logging
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.part_files import plan_schema
from datasets_manifest.schema.rle import Rle, mask_column
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sources.masks import NOBODY, PERSON, UNKNOWN
from tasks.annotate.plan.plan_rows import plan_footer, plan_table
from tasks.annotate.provenance import step_footer
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.masks import AnnotatedMasks, has_masks, with_masks
from tasks.annotate.workspace import ShardRef

LEFT, RIGHT = np.zeros((2, 6, 8), bool)
LEFT[1:5, 0:5], RIGHT[2:6, 3:8] = True, True
SHARD = ShardRef(dataset="demo_people", split="all", index=0)


def unreadable() -> Rle:
    raise ValueError("p.detection.npz: mask 3 cannot be read")


def planned(*masks):
    """A plan of one photo of people who have such masks."""
    people = tuple(
        PersonRecord(index=k, mask=mask if mask is None or callable(mask) else lambda own=mask: Rle.of_mask(own))
        for k, mask in enumerate(masks)
    )
    return plan_table(
        [ImageRecord(image_id="a", path="a.jpg", people=people)],
        replace(load_manifest("demo_people"), boxes="manifest"),
    )


@pytest.fixture
def plan():
    return Columns(planned(LEFT, RIGHT, None))


def test_masks_survive_into_labels_by_the_name_of_their_person(plan, tmp_path):
    names = plan["sample_id"][[1, 2, 0]].tolist()
    labels = pa.table({"sample_id": [*names, "demo_people/all/b#0"]})
    labels = labels.append_column(mask_column(), pa.nulls(4, mask_column().type))
    found = [Rle.of_value(value) for value in with_masks(labels, plan)["mask"].to_pylist()]
    assert found == [Rle.of_mask(RIGHT), None, Rle.of_mask(LEFT), None]
    path = tmp_path / "plan.parquet"
    write_shard(path, plan.table, Footer(config={}, code_version="1", manifest={}, shard="00000"))
    assert read_shard(path, plan_schema(optional=None))["mask"].to_pylist() == plan.table["mask"].to_pylist()
    assert "mask" not in label_schema().names
    assert label_schema(has_mask=True).names[-1] == "mask"


def test_what_is_another_persons_alone_may_be_in_front(plan):
    masks, name = AnnotatedMasks(plan), plan["sample_id"][0]
    expected = np.full((6, 8), NOBODY)
    expected[RIGHT], expected[LEFT] = UNKNOWN, PERSON
    np.testing.assert_array_equal(masks.of(name, (8, 6)), expected)
    assert masks.of(plan["sample_id"][2], (8, 6)) is None


def test_a_mask_of_another_size_is_not_used_and_said(plan, caplog):
    with caplog.at_level(logging.WARNING):
        assert AnnotatedMasks(plan).of(plan["sample_id"][0], (6, 8)) is None
    assert "of a photo of 8 x 6 px, the photo has 6 x 8" in caplog.text


def test_people_without_a_mask_have_an_estimated_one(plan):
    batch = type("Batch", (), {"images": [np.zeros((6, 8, 3), np.uint8)] * 3})()
    asked = []

    def estimate(own):
        asked.append(own)
        return [np.full((6, 8), 7, np.uint8)] * 3

    masks, names = AnnotatedMasks(plan), plan["sample_id"].tolist()
    found, is_own = masks.or_estimated(batch, names, estimate)
    assert is_own.tolist() == [True, True, False]
    assert [int(mask.max()) for mask in found] == [PERSON, PERSON, 7]
    masks.or_estimated(batch, names[:2] + names[:1], estimate)
    assert len(asked) == 1


def test_a_mask_that_cannot_be_read_leaves_its_person_and_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        plan = planned(unreadable, LEFT)
    assert [value is None for value in plan["mask"].to_pylist()] == [True, False]
    assert f"{plan['sample_id'][0]}: its mask is left out: " in caplog.text
    assert "mask 3 cannot be read" in caplog.text


def test_masks_do_no_step_again_but_the_refinement():
    records = [ImageRecord(image_id="a", path="a.jpg", people=())]
    manifest = replace(load_manifest("demo_people"), boxes="manifest")
    images = type("Images", (), {"state": lambda self, path: (1, 1)})()
    hashes = {}
    for name, masks in {"none": (None, None), "one": (LEFT, None), "other": (RIGHT, None)}.items():
        table = planned(*masks)
        assert has_masks(Columns(table)) == (name != "none")
        stated = plan_footer(SHARD, table, records, manifest, images).manifest
        for step in ("keypoints", "refine"):
            hashes[name, step] = step_footer(step, AnnotateConfig(), SHARD, stated).manifest["inputs_hash"]
    assert len({hashes[name, "keypoints"] for name in ("none", "one", "other")}) == 1
    assert len({hashes[name, "refine"] for name in ("none", "one", "other")}) == 3

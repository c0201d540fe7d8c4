"""Shard names and places of files."""

from pathlib import Path

import pytest

from tasks.annotate.workspace import ShardRef, Workspace, parse_shard_name


def test_a_shard_is_called_what_people_look_for():
    shard = ShardRef(dataset="coco", split="val", index=12)
    assert shard.name == "coco/00012"
    assert parse_shard_name(shard.name) == ("coco", 12)


@pytest.mark.parametrize("name", ["coco", "coco/", "coco/x", "coco/val/00012", "../coco/1", ""])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="coco/00012"):
        parse_shard_name(name)


def test_every_step_has_a_place_of_its_own():
    workspace = Workspace(work=Path("work"), labels=Path("labels"))
    shard = ShardRef(dataset="coco", split="val", index=0)
    places = {workspace.step_path(step, shard) for step in ("keypoints", "body", "hands", "face", "refine")}
    assert len(places) == 5
    assert workspace.step_path("refine", shard) == Path("labels/coco/val/00000.parquet")

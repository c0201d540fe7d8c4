"""Shard names and places of files."""

from pathlib import Path

import pytest

from tasks.annotate.workspace import ShardRef, Workspace, named_shards, shard_paths

PLANNED = [("coco", "train"), ("coco", "val"), ("mine", "all")]


def test_a_shard_is_called_what_people_look_for():
    shard = ShardRef(dataset="coco", split="val", index=12)
    assert shard.name == "coco/val/00012"
    assert named_shards([shard.name], PLANNED) == [shard]


def test_the_split_may_be_left_out_where_there_is_one():
    assert named_shards(["mine/3", "mine/all/00003"], PLANNED) == [ShardRef(dataset="mine", split="all", index=3)]


def test_a_name_that_may_mean_two_shards_is_refused_with_both():
    with pytest.raises(ValueError, match="coco/train/00012 or coco/val/00012"):
        named_shards(["coco/12"], PLANNED)


@pytest.mark.parametrize("name", ["coco/test/1", "other/1", "../coco/1"])
def test_what_is_not_planned_is_refused_with_what_is(name):
    with pytest.raises(ValueError, match=f"{name}.*coco/train, coco/val, mine/all"):
        named_shards([name], PLANNED)


@pytest.mark.parametrize("name", ["coco", "coco/", "coco/x", "coco/val/x", "a/coco/val/00012", ""])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="for example coco/val/00012"):
        named_shards([name], PLANNED)


def test_every_step_has_a_place_of_its_own():
    workspace = Workspace(work=Path("work"), labels=Path("labels"))
    shard = ShardRef(dataset="coco", split="val", index=0)
    places = {workspace.step_path(step, shard) for step in ("keypoints", "body", "hands", "face", "refine")}
    assert len(places) == 5
    assert workspace.step_path("refine", shard) == Path("labels/coco/val/00000.parquet")


def test_files_that_are_no_shards_are_passed_over(tmp_path):
    shard = ShardRef(dataset="coco", split="val", index=7)
    for name in ("00007.parquet", "mine.parquet", ".ipynb_checkpoints/00007.parquet", "00008.txt"):
        path = tmp_path / "coco/val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(shard_paths(tmp_path)) == [(shard, tmp_path / "coco/val/00007.parquet")]

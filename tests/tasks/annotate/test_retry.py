"""Doing finished shards again keeps their old files."""

import pytest

from tasks.annotate.retry import set_shards_aside
from tasks.annotate.workspace import ShardRef, Workspace


def test_files_of_the_shard_are_kept_aside_and_others_stay(tmp_path):
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    shards = [ShardRef(dataset="coco", split="val", index=i) for i in range(2)]
    for shard in shards:
        for path in (workspace.plan_path(shard), *(workspace.step_path(s, shard) for s in ("body", "refine"))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(path))
    moved = set_shards_aside(workspace, [("coco", 1)])
    assert sorted(path.read_text() for path in moved) == sorted(
        str(workspace.step_path(step, shards[1])) for step in ("body", "refine")
    )
    assert not workspace.step_path("refine", shards[1]).exists()
    assert workspace.step_path("refine", shards[0]).exists()
    assert workspace.plan_path(shards[1]).exists()


def test_a_shard_that_was_never_planned_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="never planned"):
        set_shards_aside(Workspace(work=tmp_path, labels=tmp_path / "labels"), [("coco", 1)])

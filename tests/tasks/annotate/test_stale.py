"""Files that are replaced or no longer planned are kept."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.annotate.stale import keep, set_aside, set_shards_aside, stale_folder
from tasks.annotate.workspace import ShardRef, Workspace

SHARD = ShardRef(dataset="coco", split="val", index=1)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    for step in ("body", "refine"):
        path = workspace.step_path(step, SHARD)
        path.parent.mkdir(parents=True)
        path.write_text(f"old {step}")
    return workspace


def contents(folder):
    return sorted(path.read_text() for path in folder.rglob("*.parquet"))


def test_files_that_are_set_aside_are_elsewhere_and_whole(workspace):
    places = [workspace.step_path(step, SHARD) for step in ("body", "refine")]
    folder = set_aside(workspace, places)
    assert contents(folder) == ["old body", "old refine"]
    assert not any(path.exists() for path in places)


def test_a_file_that_is_kept_stays_until_it_is_replaced(workspace):
    path, folder = workspace.step_path("refine", SHARD), stale_folder(workspace)
    keep(workspace, path, folder)
    assert path.read_text() == "old refine"
    replacement = path.with_name("new")
    replacement.write_text("new refine")
    replacement.replace(path)
    keep(workspace, path, folder)  # As a step does that is tried again.
    assert contents(folder) == ["old refine"]


def test_a_file_is_copied_where_disks_know_no_links(workspace, monkeypatch):
    monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(OSError("other disk")))
    folder = stale_folder(workspace)
    keep(workspace, workspace.step_path("refine", SHARD), folder)
    assert contents(folder) == ["old refine"]


def test_a_parquet_of_somebody_else_stays_whatever_it_is_called(workspace):
    theirs = workspace.labels / "coco/val/00007.parquet"
    pq.write_table(pa.table({"mine": [1]}), theirs)
    assert set_shards_aside(workspace, ("coco", "val")).startswith("1 shard set aside in ")
    assert theirs.is_file()
    assert not workspace.step_path("refine", SHARD).exists()


def test_every_call_has_a_folder_of_its_own(workspace):
    assert len({stale_folder(workspace) for _ in range(3)}) == 3

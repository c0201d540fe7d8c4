"""A plan is made photo by photo, recognised when nothing changed, and made again when a photo did."""

import numpy as np
import pytest

from datasets_manifest.shards.shard import read_footer
from tasks.annotate import plan as planning
from tasks.annotate.plan import plan_dataset
from tasks.annotate.settings import AnnotateConfig, RunConfig
from tasks.annotate.workspace import ShardRef, Workspace

MANIFEST = """
id: few
version: "1"
licence: CC0
access: here
adapter: folder
root: {root}
split: all
layout: {{}}
boxes: detector
keypoints: none
purpose: test
"""


@pytest.fixture
def project(tmp_path):
    """A function that plans seven files, three a shard, and gives plan and workspace."""
    (tmp_path / "photos").mkdir()
    for number in range(7):
        (tmp_path / f"photos/{number}.jpg").write_bytes(bytes(number + 1))
    (tmp_path / "few.yaml").write_text(MANIFEST.format(root=tmp_path / "photos"))
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")

    def planned(images_per_shard=3):
        config = AnnotateConfig(run=RunConfig(images_per_shard=images_per_shard))
        return plan_dataset(str(tmp_path / "few.yaml"), workspace, config)

    return planned, workspace, tmp_path


def inputs(workspace, count):
    refs = [ShardRef(dataset="few", split="all", index=index) for index in range(count)]
    return [read_footer(workspace.plan_path(ref)).manifest["inputs_hash"] for ref in refs]


def test_photos_are_cut_into_shards_in_order(project):
    planned, workspace, _ = project
    plan = planned()
    assert [shard.name for shard in plan.shards] == ["few/00000", "few/00001", "few/00002"]
    assert len(plan.shards) == 3
    assert ShardRef(dataset="few", split="all", index=2) in plan.shards
    assert ShardRef(dataset="few", split="all", index=3) not in plan.shards
    assert "7 images" in plan.summary
    rows = [read_footer(workspace.plan_path(shard)).row_count for shard in plan.shards]
    assert rows == [3, 3, 1]


def test_an_unchanged_plan_stays_and_a_changed_photo_changes_its_shard_alone(project):
    planned, workspace, folder = project
    planned()
    before, written = inputs(workspace, 3), [p.stat().st_mtime_ns for p in sorted(workspace.work.rglob("*.parquet"))]
    planned()
    assert inputs(workspace, 3) == before
    assert [p.stat().st_mtime_ns for p in sorted(workspace.work.rglob("*.parquet"))] == written
    (folder / "photos/4.jpg").write_bytes(b"another photo")
    planned()
    np.testing.assert_array_equal(np.array(inputs(workspace, 3)) == np.array(before), [True, False, True])


def test_shards_that_are_no_longer_planned_are_set_aside(project):
    planned, workspace, _ = project
    planned()
    assert len(planned(images_per_shard=4).shards) == 2
    assert len(list((workspace.work / "plan").rglob("*.parquet"))) == 2
    assert len(list((workspace.work / "stale").rglob("*.parquet"))) == 1


def test_no_more_photos_are_listed_than_the_shard_in_work_needs(project, monkeypatch):
    planned, _, _ = project
    listed, seen = [], []
    whole = planning.open_adapter

    class Watched:
        def __init__(self, manifest, images):
            self._adapter = whole(manifest, images)

        def entries(self):
            for entry in self._adapter.entries():
                listed.append(entry)
                yield entry

    def write(*arguments, whole=planning._write_plan):
        seen.append(len(listed))
        return whole(*arguments)

    monkeypatch.setattr(planning, "open_adapter", Watched)
    monkeypatch.setattr(planning, "_write_plan", write)
    planned()
    assert np.diff([*seen, len(listed)]).tolist() == [3, 1, 0]

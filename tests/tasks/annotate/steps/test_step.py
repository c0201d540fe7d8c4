"""A step is done once, recognised on disk, and leaves a record when it fails."""

import json

import pytest
from table_rows import table_from_rows

from datasets_manifest.schema.labels import ErrorCode, Status
from datasets_manifest.schema.part_files import BODY_SCHEMA
from datasets_manifest.shards.footer import Footer
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.step import run_step
from tasks.annotate.workspace import ShardRef, Workspace

SHARD = ShardRef(dataset="coco", split="val", index=3)


class Job(ShardJob):
    """A job whose footers the test states."""

    def __init__(self, workspace, stated):
        super().__init__(SHARD, workspace, AnnotateConfig())
        self.stated = stated

    def footer(self, _step):
        return self.stated()


def run(workspace, stated, compute, step="body"):
    return run_step(step, Job(workspace, stated), compute)


def footer(settings=1, inputs="a"):
    return Footer(
        config={"settings": settings},
        code_version="test",
        manifest={"id": "coco", "version": "1", "hash": "h", "inputs_hash": inputs},
        shard="00003",
    )


def table(_job=None):
    key = {"dataset": "coco", "split": "val", "image": "1.jpg", "person": 0, "valid": False}
    rows = [
        key | {"sample_id": "coco/val/1#0", "status": Status.OK},
        key
        | {"sample_id": "coco/val/1#1", "status": Status.FAILED, "error_code": ErrorCode.BODY_NOT_FOUND}
        | {"error_detail": "nothing there"},
    ]
    return table_from_rows(rows, BODY_SCHEMA)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(work=tmp_path / "work", labels=tmp_path / "labels")


def test_a_finished_shard_is_skipped_and_counted_again(workspace):
    first = run(workspace, footer, table)
    second = run(workspace, footer, lambda _job: pytest.fail("computed twice"))
    assert (first.state, second.state) == ("done", "skipped")
    assert (first.rows, first.failed_rows) == (second.rows, second.failed_rows) == (2, 1)


@pytest.mark.parametrize("changed", [footer(settings=2), footer(inputs="b")])
def test_other_settings_or_other_photos_redo_the_shard(workspace, changed):
    run(workspace, footer, table)
    assert run(workspace, lambda: changed, table).state == "done"


def test_a_half_written_shard_is_done_again(workspace):
    run(workspace, footer, table)
    path = workspace.step_path("body", SHARD)
    path.write_bytes(path.read_bytes()[:200])
    assert run(workspace, footer, table).state == "done"


def test_a_failed_shard_leaves_a_record_until_it_succeeds(workspace):
    def broken(_job):
        raise RuntimeError("the disk of node 7 is gone")

    with pytest.raises(RuntimeError, match="node 7"):
        run(workspace, footer, broken)
    record = workspace.failure_path("body", SHARD)
    content = json.loads(record.read_text())
    assert content["message"] == "the disk of node 7 is gone"
    assert "broken" in content["trace"]
    assert not workspace.step_path("body", SHARD).exists()
    run(workspace, footer, table)
    assert not record.exists()


def test_an_estimator_that_cannot_be_built_is_on_record_too(workspace):
    def unknown():
        raise ValueError("no hands estimator is called hammer")

    with pytest.raises(ValueError, match="hammer"):
        run(workspace, unknown, table, step="hands")
    assert "hammer" in json.loads(workspace.failure_path("hands", SHARD).read_text())["message"]


def test_a_file_that_cannot_be_written_is_on_record_too(workspace):
    workspace.step_path("body", SHARD).parent.parent.mkdir(parents=True)
    workspace.step_path("body", SHARD).parent.write_text("a file where a folder should be")
    with pytest.raises(OSError, match="exist"):
        run(workspace, footer, table)
    assert workspace.failure_path("body", SHARD).is_file()

"""A run enters what it writes, and asks of a shard that is done no more than the journal."""

import shutil

import pytest
from annotated_project import PEOPLE, annotate, step_states, write_project
from parquet_opens import watch_opens

from tasks.annotate.look.failures import list_failures
from tasks.annotate.look.status import dataset_states
from tasks.annotate.look.verify import verify_labels
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import STEPS, ShardRef, Workspace

pytestmark = pytest.mark.long


def test_after_a_run_nothing_has_to_be_opened_to_look(rendered, tmp_path, monkeypatch):
    params = write_project(tmp_path, rendered)
    annotate(params)
    workspace = Workspace.of(Origin.of(params).config().output)
    origin, opened = Origin.of(params), watch_opens(monkeypatch, without="state")
    said = dataset_states(workspace), list(list_failures(workspace, origin)), verify_labels(workspace, origin)
    assert all("/plan/" in path for path in opened), opened
    assert sum(state.labels.people for state in said[0]) == PEOPLE
    shutil.rmtree(workspace.work / "state")
    again = dataset_states(workspace), list(list_failures(workspace, origin)), verify_labels(workspace, origin)
    assert again == said

    shard = ShardRef(dataset="few", split="all", index=1)
    workspace.step_path("body", shard).unlink()
    with step_states() as ended:
        annotate(params)
    assert ended.pop("body/few/all/00001") == "done"
    assert set(ended.values()) == {"skipped"}
    assert len(ended) == 2 * len(STEPS) - 1

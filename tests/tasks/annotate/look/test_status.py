"""Who is bridged is told by status and is nobody's failure, seen through a journal or without."""

import pyarrow as pa
from label_shards import footer, label_table
from plans import write_plan

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.store import write_shard
from tasks.annotate.look.failures import list_failures
from tasks.annotate.look.status import dataset_states, status_lines
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import ShardRef, Workspace


def test_who_is_bridged_is_counted_and_no_failure(tmp_path):
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    shard, origin = ShardRef(dataset="demo", split="all", index=0), Origin.of(tmp_path / "params.yaml")
    table = label_table(count=4)
    for name, values in {
        "status": ["failed", "ok", "partial", "partial"],
        "error_code": ["fit_not_finite", None, "bridged", "bridged"],
    }.items():
        field = LABEL_SCHEMA.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    write_plan(workspace, shard, table, footer())
    write_shard(workspace.step_path("refine", shard), table, footer())
    for _ in range(2):
        states = dataset_states(workspace)
        assert states[0].labels.sentence == "1 photo: 4 people (1 ok, 1 failed, 2 bridged)"
        assert "2 bridged" in next(status_lines(states, workspace, 1, origin))
        assert [failure.code for failure in list_failures(workspace, origin)] == ["fit_not_finite"]

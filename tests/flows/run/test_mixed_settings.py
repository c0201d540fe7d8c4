"""Two runs of different settings in one workspace: no label states settings that its numbers were not made with."""

import pandas as pd
import pytest
from annotated_project import annotate

import flows.run.runners
from tasks.annotate.job import ShardJob
from tasks.annotate.settings import load_config
from tasks.annotate.step import run_step
from tasks.annotate.steps import STEP_FUNCTIONS
from tasks.annotate.workspace import STEPS, ShardRef, Workspace

OTHER = {"keypoints.options": {"seed": 99}}
FIRST = ShardRef(dataset="few", split="all", index=0)


@pytest.fixture
def places(tmp_path):
    """Folders of the test's own."""
    return {f"output__{name}": str(tmp_path / name) for name in ("labels", "work", "report", "metrics")}


@pytest.mark.parametrize("overtaken", ["body", "refine"])
def test_a_step_refuses_files_that_another_run_put_there_meanwhile(rendered, places, monkeypatch, overtaken):
    """The other run does the whole first shard just before a step of this run reads it."""
    alone = annotate(rendered, **places)
    assert alone.is_good
    labels = pd.read_parquet(places["output__labels"])
    other = load_config(rendered, {key.replace("__", "."): value for key, value in places.items()} | OTHER)
    annotate(rendered, **places, keypoints__options={"seed": 7})
    whole = dict(STEP_FUNCTIONS)

    def after_the_other_run(job):
        if job.shard == FIRST:
            overtaking = ShardJob(FIRST, Workspace.of(other.output), other)
            for step in STEPS:
                run_step(step, overtaking, whole[step])
        return whole[overtaken](job)

    monkeypatch.setitem(flows.run.runners.STEP_FUNCTIONS, overtaken, after_the_other_run)
    result = annotate(rendered, **places)
    assert result.failed_shards == ("few/00000",)
    (reason,) = {failure.reason for failure in result.publication.failures.shown if failure.code == "shard_failed"}
    assert "00000.parquet was made with the settings" in reason
    assert "keypoints" in reason
    monkeypatch.undo()
    assert annotate(rendered, **places).is_good
    pd.testing.assert_frame_equal(pd.read_parquet(places["output__labels"]), labels)

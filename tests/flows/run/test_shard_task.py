"""A whole shard as one piece of work: steps fail by themselves, and a lost worker is a failure where it was."""

import json
import logging
from concurrent.futures import Future

import pytest
from annotated_project import PEOPLE, own_results
from pickling import sent

import flows.run.shard_task
from datasets_manifest.files import WriteError
from flows.run.clusters import dask_runner
from flows.run.orchestrate import run
from flows.run.shard_task import NotPrepared, annotate_shard, lost_shard
from tasks.annotate.settings import ClusterConfig, Origin, RunConfig, load_config
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.workspace import STEPS, ShardRef, Workspace

LOG = logging.getLogger("shards")
FIRST = ShardRef(dataset="few", split="all", index=0)


class AtOnce:
    """Does a shard when it is submitted, as a worker does: from a copy of the job, with a copy of the answer."""

    def __init__(self, work=annotate_shard):
        self.work = work

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit_shard(self, job):
        future = Future()
        try:
            future.set_result(sent(self.work(sent(job))))
        except Exception as error:
            future.set_exception(sent(error))
        return future


@pytest.fixture
def places(rendered, tmp_path):
    """Folders of the test's own, where nothing is annotated."""
    return own_results(rendered, tmp_path)


def run_whole(params, places, runner=None, **overrides):
    given = places | {"run__task_runner": "processes"} | overrides
    origin = Origin.of(params, {key.replace("__", "."): value for key, value in given.items()})
    return run(origin.config(), lambda _: runner or AtOnce(), LOG, origin=origin)


def failing(monkeypatch, step, error):
    """Makes a step of the first shard raise."""

    def broken(job, whole=flows.run.shard_task.STEP_FUNCTIONS[step]):
        if job.shard == FIRST:
            raise error
        return whole(job)

    monkeypatch.setitem(flows.run.shard_task.STEP_FUNCTIONS, step, broken)


def records(tmp_path):
    return {path.parts[-4]: json.loads(path.read_text()) for path in tmp_path.glob("work/failed/*/*/*/*.json")}


def test_a_step_that_fails_is_the_failure_and_what_reads_it_is_not_run(rendered, places, tmp_path, monkeypatch, caplog):
    failing(monkeypatch, "hands", RuntimeError("CUDA out of memory on device 3"))
    result = run_whole(rendered, places)
    assert (result.failed_shards, result.failed_parts) == (("few/all/00000",), 2)
    assert {step: record["message"] for step, record in records(tmp_path).items()} == {
        "hands": "CUDA out of memory on device 3"
    }
    assert (tmp_path / "work/parts/face/few/all/00000.parquet").is_file()
    assert not (tmp_path / "labels/few/all/00000.parquet").exists()
    assert (tmp_path / "labels/few/all/00001.parquet").is_file()
    told = [record.getMessage() for record in caplog.records if record.name == LOG.name]
    assert "hands/few/all/00000 failed: CUDA out of memory on device 3" in told
    assert "refine/few/all/00000 failed: not run, because hands/few/all/00000 failed" in told
    monkeypatch.undo()
    assert run_whole(rendered, places).is_good
    assert records(tmp_path) == {}


@pytest.mark.long
def test_an_error_that_passes_is_told_as_a_try_of_its_step(rendered, places, monkeypatch, caplog):
    errors = [OSError("busy")]

    def busy_once(job, whole=flows.run.shard_task.STEP_FUNCTIONS["body"]):
        if errors:
            raise errors.pop()
        return whole(job)

    monkeypatch.setitem(flows.run.shard_task.STEP_FUNCTIONS, "body", busy_once)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert run_whole(rendered, places, run__retries=1).is_good
    assert "body/few/all/00000: busy; next try in 2 s" in caplog.messages


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_a_worker_that_is_lost_has_failed_at_the_step_it_was_at(rendered, tmp_path, done):
    places = own_results(rendered, tmp_path, annotated=True)
    config = load_config(rendered, {key.replace("__", "."): value for key, value in places.items()})
    workspace = Workspace.of(config.output)
    for step in STEPS[done:]:
        workspace.step_path(step, FIRST).unlink()
    summaries = lost_shard(ShardJob(FIRST, workspace, config), RuntimeError("the worker is gone"))
    assert [own.state for own in summaries] == ["skipped"] * done + ["failed"] * (len(STEPS) - done)
    assert {step: record["message"] for step, record in records(tmp_path).items()} == (
        {} if done == len(STEPS) else {STEPS[done]: "the worker is gone"}
    )


@pytest.mark.long
def test_a_lost_worker_is_a_failed_shard_of_the_run(rendered, places):
    def dies(job):
        if job.shard == FIRST:
            raise RuntimeError("the worker is gone")
        return annotate_shard(job)

    result = run_whole(rendered, places, AtOnce(dies))
    assert (result.failed_shards, result.publication.count.people) == (("few/all/00000",), PEOPLE - 2)


def test_a_worker_that_cannot_be_prepared_ends_the_run(rendered, places, tmp_path, monkeypatch):
    def refuse(part, config):
        raise ValueError(f"{part}: no network")

    monkeypatch.setattr(flows.run.shard_task, "borrowed", refuse)
    with pytest.raises(NotPrepared, match="keypoints: no network"):
        run_whole(rendered, places)
    assert records(tmp_path) == {}


def test_a_machine_that_is_broken_ends_its_worker_and_takes_no_shard_from_others(
    rendered, places, tmp_path, monkeypatch
):
    def broken(part, config):
        raise RuntimeError("CUDA error: no device\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(flows.run.shard_task, "borrowed", broken)
    with pytest.raises(NotPrepared, match=r"cannot be loaded on .* \(RuntimeError: CUDA error: no device Compile"):
        run_whole(rendered, places)
    assert records(tmp_path) == {}


def test_a_disk_that_is_full_while_networks_are_loaded_is_told_as_that(rendered, places, tmp_path, monkeypatch):
    def full(part, config):
        raise WriteError.of(tmp_path / "x", OSError(28, "No space left on device"))

    monkeypatch.setattr(flows.run.shard_task, "borrowed", full)
    with pytest.raises(WriteError, match="The disk is full"):
        run_whole(rendered, places)


def test_a_worker_that_does_not_see_the_folders_ends_the_run(rendered, tmp_path):
    config = load_config(rendered, {"output.work": str(tmp_path / "elsewhere")})
    with pytest.raises(NotPrepared, match="on a disk that all of its workers share"):
        annotate_shard(ShardJob(FIRST, Workspace.of(config.output), config))


def test_a_full_disk_ends_the_run(rendered, places, tmp_path, monkeypatch):
    failing(monkeypatch, "body", WriteError.of(tmp_path / "x", OSError(28, "No space left on device")))
    with pytest.raises(WriteError, match="The disk is full"):
        run_whole(rendered, places)


@pytest.mark.long
def test_nobody_is_started_for_shards_that_are_done(rendered, places):
    assert run_whole(rendered, places).is_good

    def refuse(_):
        raise AssertionError

    origin = Origin.of(rendered, {key.replace("__", "."): value for key, value in places.items()})
    assert run(origin.config(), refuse, LOG, origin=origin).is_good


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"address": "tcp://head:8786"}, "address: is of run.task_runner dask and ray, not of threads"),
        ({"task_runner": "processes", "task_options": {"num_gpus": 1}}, "task_options: is of run.task_runner dask"),
        ({"task_runner": "ray", "cluster": ClusterConfig(class_name="a.B")}, "cluster: is of run.task_runner dask"),
        (
            {"task_runner": "dask", "address": "tcp://h:1", "cluster": ClusterConfig(kwargs={"cores": 1})},
            "cluster: is a cluster that is started, and address one that runs already; give one",
        ),
    ],
)
def test_settings_of_a_runner_that_has_none_are_refused(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        RunConfig(**values)


@pytest.mark.parametrize(
    ("cluster", "error", "sentence"),
    [
        ({"class_name": "Cluster"}, ValueError, "expected <module>.<class>, such as dask_jobqueue.SLURMCluster"),
        ({"class_name": "no_such_package.Cluster"}, ImportError, "no_such_package.Cluster cannot be imported"),
        ({"class_name": "distributed.NoCluster"}, ValueError, "the module distributed has no NoCluster"),
        (
            {"class_name": "distributed.SpecCluster", "kwargs": {"no_such_argument": 1}},
            ValueError,
            "run.cluster.kwargs: distributed.SpecCluster refuses them",
        ),
    ],
)
def test_a_cluster_that_cannot_be_had_is_one_sentence(cluster, error, sentence):
    config = RunConfig(task_runner="dask", cluster=ClusterConfig(**cluster))
    with pytest.raises(error, match=sentence), dask_runner(config):
        pass

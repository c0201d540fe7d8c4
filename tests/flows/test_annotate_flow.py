"""The flow itself against a real server: what the UI shows of a good run and of one with a failed shard."""

import json
import math
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from annotated_project import own_results, write_project
from manifests import write_manifest
from pages import blocks, command_lines
from prefect_api import ask, of_run, task_runs
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner
from watched_estimators import install

import tasks.estimators
from flows import annotate as annotate_module
from flows.annotate import PrefectShardRunner, annotate_part_labels
from flows.cli.app import app
from flows.run import gpu_slots
from model.estimators.simulated import SimulatedKeypoints
from tasks.annotate.workspace import ShardRef


def places(rendered, folder):
    return {name.replace("__", "."): place for name, place in own_results(rendered, folder).items()}


def run(rendered, tmp_path):
    state = annotate_part_labels(params=str(rendered), overrides=places(rendered, tmp_path), return_state=True)
    return state, str(state.state_details.flow_run_id)


@pytest.mark.promise(
    6,
    "The database of the server grows with shards, not with photos",
    "task runs = shards x steps, never one a photo",
)
@pytest.mark.long
def test_every_shard_part_is_a_task_run_of_its_name(api, rendered, tmp_path, measured):
    state, flow_run = run(rendered, tmp_path)
    assert state.is_completed(), state.message
    assert "4 people" in state.message
    wanted = {
        f"{step}/few/all/{shard:05d}" for step in ("keypoints", "body", "hands", "face", "refine") for shard in (0, 1)
    }
    found = task_runs(api, flow_run, len(wanted))
    assert {task_run["name"] for task_run in found} == wanted
    assert {task_run["state_type"] for task_run in found} == {"COMPLETED"}
    measured(f"{len(found)} task runs of 2 shards and 5 steps")


@pytest.mark.promise(
    4,
    "What the page of a run says is what is on disk",
    "the failed shards of the run's page are those on disk; at most 300 task runs in a flow run",
)
@pytest.mark.long
def test_a_failed_shard_fails_the_run_and_is_in_its_table(api, rendered, tmp_path, monkeypatch, measured):
    def broken(job, whole=annotate_module.STEP_FUNCTIONS["hands"]):
        if job.shard.index == 1:
            raise RuntimeError("CUDA out of memory on device 3")
        return whole(job)

    monkeypatch.setitem(annotate_module.STEP_FUNCTIONS, "hands", broken)
    state, flow_run = run(rendered, tmp_path)
    assert state.is_failed()
    assert "few/all/00001" in state.message
    artifacts = of_run(api, "artifacts", flow_run)
    table = next(artifact["data"] for artifact in artifacts if artifact["key"] == "failed-shards")
    assert "hands/few/all/00001" in table
    assert "CUDA out of memory" in table
    assert "pear retry few/all/00001" in table
    assert any(artifact["key"] == "worst-fit" for artifact in artifacts)
    failed = task_runs(api, flow_run, 10)
    assert {t["name"] for t in failed if t["state_type"] == "FAILED"} == {"hands/few/all/00001"}
    (waited,) = [t for t in failed if t["name"] == "refine/few/all/00001"]
    assert (waited["state_type"], waited["state_name"]) == ("CANCELLED", "NotReady")
    assert waited["state"]["message"] == "not run, because hands/few/all/00001 failed"
    on_disk = {path.stem for path in (tmp_path / "work/failed/hands").rglob("*.json")}
    assert on_disk == {"00001"}
    measured(f"threads, 2 shards, 1 failed: the one of the page is the one on disk; {len(failed)} task runs")
    assert table.startswith("# Failed\n")
    assert ask(f"{api}/flow_runs/{flow_run}")["name"] == "few 2 people"


@pytest.mark.promise(4)
@pytest.mark.slow
@pytest.mark.parametrize(("shards", "runner"), [(310, "threads"), (61, "processes")])
def test_of_many_shards_all_failed_ones_are_named_and_task_runs_are_few(
    api, tmp_path, monkeypatch, shards, runner, measured
):
    write_photos(tmp_path / "photos", [f"{number:04d}.png" for number in range(shards)])
    manifest = write_manifest(tmp_path / "many.yaml", "many", tmp_path / "photos")
    for index in {index for start in (5, 7, 40, 41, 42, 300) for index in (start, start + 10)} & set(range(shards)):
        (tmp_path / f"work/parts/hands/many/all/{index:05d}.parquet").mkdir(parents=True)
    install(tmp_path / "package")
    monkeypatch.syspath_prepend(tmp_path / "package")  # Processes get the path, and so find the estimators.
    overrides = {"run.task_runner": runner, "run.workers": 2, "keypoints.options": {"refuse": True}}
    params = write_stub_params(tmp_path, images_per_shard=1)
    state = annotate_part_labels([str(manifest)], str(params), overrides, return_state=True)
    flow_run = str(state.state_details.flow_run_id)
    failed = {path.stem for path in (tmp_path / "work/failed/hands").rglob("*.json")}
    assert len(failed) > 5
    artifacts = of_run(api, "artifacts", flow_run)
    table = next(artifact["data"] for artifact in artifacts if artifact["key"] == "failed-shards")
    (line,) = [line for line in table.splitlines() if line.startswith("Failed shards: ")]
    named = [tuple(map(int, name.split("-"))) for name in re.findall(r"`many/all/([\d-]+)`", line)]
    assert {f"{index:05d}" for own in named for index in range(own[0], own[-1] + 1)} == failed
    wanted = math.ceil(shards / math.ceil(shards / 300))
    found = task_runs(api, flow_run, wanted)
    assert len({own["name"] for own in found}) == len(found) == wanted <= 300
    told = " ".join(own["state"]["message"] for own in found if own["state_type"] == "FAILED")
    assert all(f"hands/many/all/{index}: " in told for index in failed)
    measured(
        f"{runner}, {shards} shards, {len(failed)} failed: those of the page are those on disk; {len(found)} task runs"
    )


class InThreads:
    """Has the part of Prefect's task runner that shows shards."""

    def __init__(self, pool):
        self.pool, self.said = pool, {}

    def submit(self, shown, parameters):
        self.said[parameters["name"]] = self.pool.submit(shown.fn, **parameters)
        return SimpleNamespace(wait=self.said[parameters["name"]].exception)


@pytest.mark.parametrize("shards", [1, 299, 300, 301, 1000, 6001])
def test_every_shard_is_in_one_of_at_most_300_task_runs_and_a_lost_one_hides_no_other(shards):
    lost = {index for index in (0, 3, 500, shards - 1) if index < shards}

    def worked(index):
        handle = Future()
        if index in lost:
            handle.set_exception(RuntimeError(f"lost {index}."))
        else:
            handle.set_result([])
        return handle

    workers = SimpleNamespace(submit_shard=lambda job: worked(job.shard.index))
    with ThreadPoolExecutor(4) as pool:
        shown = InThreads(pool)
        runner = PrefectShardRunner(shown, workers, shards)
        for index in range(shards):
            job = SimpleNamespace(shard=ShardRef(dataset="many", split="all", index=index))
            assert runner.submit_shard(job).done()
        runner.end(is_good=True)
    assert len(shown.said) <= 300
    counts = [1 + int((re.findall(r" and (\d+) more", name) or ["0"])[0]) for name in shown.said]
    assert (sum(counts), max(counts) - 1) == (shards, (shards - 1) // 300)
    told = " ".join(str(future.exception()) for future in shown.said.values())
    assert all(f"lost {index}." in told for index in lost)


def test_a_run_that_is_stopped_leaves_no_task_run_that_waits_for_more_shards():
    with ThreadPoolExecutor(1) as pool:
        shown = InThreads(pool)
        handle = Future()
        handle.set_result([])
        runner = PrefectShardRunner(shown, SimpleNamespace(submit_shard=lambda job: handle), 1000)
        runner.submit_shard(SimpleNamespace(shard=ShardRef(dataset="many", split="all", index=0)))
        runner.end(is_good=False)
    assert list(shown.said) == ["many/all/00000 and 3 more"]


@pytest.mark.parametrize("datasets", [["nope"], []])
def test_a_wrong_data_set_is_one_sentence_of_the_failed_run(api, rendered, tmp_path, datasets):
    overrides = places(rendered, tmp_path) | {"datasets": ["nope"]}
    state = annotate_part_labels(datasets=datasets, params=str(rendered), overrides=overrides, return_state=True)
    assert state.is_failed()
    assert state.message.startswith("There is no manifest 'nope'")


def test_a_root_and_a_setting_are_given_as_the_page_says(api, tmp_path):
    page = (ROOT / "docs/prefect.md").read_text(encoding="utf-8")
    (line,) = [line for block in blocks(page, "bash") for line in command_lines(block) if "overrides=" in line]
    given = {name: json.loads(value) for name, _, value in (word.partition("=") for word in shlex.split(line)) if value}
    assert given["overrides"]["roots.my_photos"] == "/path/to/folder"
    given["overrides"]["roots.my_photos"] = str(write_photos(tmp_path / "photos", ["1.png"]))
    state = annotate_part_labels(params=str(write_stub_params(tmp_path)), return_state=True, **given)
    assert state.is_completed(), state.message
    assert (tmp_path / "labels/my_photos/all/00000.parquet").is_file()


SMALL = "from small_pages import small_pages; from flows.cli.app import app\nwith small_pages(): app()"
ROOT = Path(__file__).parents[2]


def annotate_command(api, folder, *words):
    """The command in a process of its own, which reports to the server."""
    command = [sys.executable, "-c", SMALL, "annotate", "--params", str(folder / "params.yaml"), *words]
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/support'}"}
    env = os.environ | {"PREFECT_API_URL": api, "PREFECT_LOGGING_LEVEL": "INFO"} | paths
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.parametrize("root", ["empty", pytest.param("gone", marks=pytest.mark.slow)])
def test_what_planning_refuses_is_one_sentence_with_a_server_too(api, tmp_path, root):
    write_project(tmp_path)
    (tmp_path / "empty").mkdir()
    manifest = write_manifest(tmp_path / "photos.yaml", "photos", tmp_path / root)
    done = annotate_command(api, tmp_path, str(manifest))
    assert done.returncode == 2, done.stderr
    local = CliRunner().invoke(app, ["annotate", str(manifest), "--params", str(tmp_path / "params.yaml"), "--local"])
    assert local.exit_code == 2
    (sentence,) = [line for line in local.stderr.splitlines() if line.startswith("pear: ")]
    assert (done.stdout + done.stderr).count(sentence.removeprefix("pear: ")) == 1
    assert sentence in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_the_sentence_of_a_run_is_printed_once(api, rendered):
    done = annotate_command(api, rendered.parent)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count(done.stdout.splitlines()[-1]) == 1


@pytest.mark.long
def test_of_one_gpu_one_shard_computes_at_a_time_while_others_read_and_write(api, rendered, tmp_path, monkeypatch):
    running, seen, lock = {"estimator": 0, "step": 0}, {"estimator": [], "step": []}, threading.Lock()

    @contextmanager
    def counted(what, seconds):
        with lock:
            running[what] += 1
            seen[what].append(running[what])
        time.sleep(seconds)  # long enough for the other shard's part to start beside it, if it may
        yield
        with lock:
            running[what] -= 1

    def slow(job, whole=annotate_module.STEP_FUNCTIONS["keypoints"]):
        with counted("step", 1.0):
            return whole(job)

    def estimate(self, *arguments, whole=SimulatedKeypoints.estimate):
        with counted("estimator", 0.5):
            return whole(self, *arguments)

    monkeypatch.setitem(annotate_module.STEP_FUNCTIONS, "keypoints", slow)
    monkeypatch.setattr(SimulatedKeypoints, "estimate", estimate)
    monkeypatch.setattr(tasks.estimators, "uses_gpu", lambda device: True)
    monkeypatch.setattr(gpu_slots, "gpu_name", lambda: "GPU-0815")
    state = annotate_part_labels(
        params=str(rendered), overrides=places(rendered, tmp_path) | {"run.workers": 2}, return_state=True
    )
    assert state.is_completed(), state.message
    assert (max(seen["estimator"]), max(seen["step"])) == (1, 2)
    limits = {limit["name"]: limit for limit in ask(f"{api}/v2/concurrency_limits/filter", {})}
    assert limits["pear-gpu-GPU-0815"]["limit"] == limits["gpu"]["limit"] == 1
    assert limits["pear-gpu-GPU-0815"]["active_slots"] == 0


@pytest.mark.long
@pytest.mark.parametrize("runner", ["processes", pytest.param("dask", marks=pytest.mark.slow)])
def test_a_whole_shard_is_a_task_run_whose_state_tells_the_part_that_failed(api, rendered, tmp_path, runner):
    overrides = places(rendered, tmp_path) | {"run.task_runner": runner}
    blocked = tmp_path / "work/parts/hands/few/all/00001.parquet"
    blocked.mkdir(parents=True)
    state = annotate_part_labels(params=str(rendered), overrides=overrides, return_state=True)
    assert state.is_failed()
    assert "1 shard failed (few/all/00001)" in state.message
    flow_run = str(state.state_details.flow_run_id)
    found = {run["name"]: run["state"] for run in task_runs(api, flow_run, 2)}
    assert {name: own["type"] for name, own in found.items()} == {
        "shard/few/all/00000": "COMPLETED",
        "shard/few/all/00001": "FAILED",
    }
    assert "hands/few/all/00001: " in found["shard/few/all/00001"]["message"]
    artifacts = of_run(api, "artifacts", flow_run)
    table = next(artifact["data"] for artifact in artifacts if artifact["key"] == "failed-shards")
    assert "hands/few/all/00001" in table
    assert "pear retry few/all/00001" in table
    blocked.rmdir()
    state = annotate_part_labels(params=str(rendered), overrides=overrides, return_state=True)
    assert state.is_completed(), state.message
    assert "4 people" in state.message

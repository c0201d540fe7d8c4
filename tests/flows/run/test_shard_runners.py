"""Whole shards on processes, Dask, Ray and by pulling workers: the same labels, and whatever dies is a failed shard."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from watched_estimators import DEADLY, SECONDS, WatchedProject

DASK = pytest.param("dask", marks=pytest.mark.slow)
RAY = pytest.param(
    "ray",
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed"),
    ],
)
PHOTOS = 4
pytestmark = pytest.mark.timeout(900)
DONE_ELSEWHERE = "another worker has published."


@pytest.fixture
def project(tmp_path):
    project = WatchedProject(tmp_path, PHOTOS)
    yield project
    for process in project.processes():  # of a test that failed
        process.kill()


def annotate(project, runner, *words, **env):
    return project.run("annotate", "--local", "--set", f"run.task_runner={runner}", *words, **env)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A project, and its labels as threads make them: what a footer says of photos depends on their times."""
    project = WatchedProject(tmp_path_factory.mktemp("shared"), PHOTOS)
    code, said = annotate(project, "threads")
    assert code == 0, said
    return project, project.labels()


def check_labels(shared):
    project, by_threads = shared
    assert project.labels() == by_threads
    assert sorted(photo for _, photo in project.begun) == [f"{number:02d}.png" for number in range(PHOTOS)]


@pytest.mark.long
@pytest.mark.parametrize("runner", ["processes", "dask", RAY])
def test_labels_are_those_of_threads_to_the_byte(shared, runner):
    project, _ = shared
    project.clear()
    code, said = annotate(project, runner)
    assert code == 0, said
    check_labels(shared)


@pytest.mark.long
def test_workers_share_the_shards_and_one_publishes(shared):
    """Each photo takes half a second, so that one worker cannot do them all before the others have begun."""
    project, _ = shared
    project.clear()
    workers = [project.start("work", **{SECONDS: "0.5"}) for _ in range(3)]
    said = [worker.communicate(timeout=500) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], said
    check_labels(shared)
    published = [out for out, _ in said if not out.endswith(f"{DONE_ELSEWHERE}\n")]
    assert published
    assert all(out.startswith("4 photos: 4 people") for out in published)
    assert (project.folder / "reports/annotate/index.html").is_file()
    assert not list((project.folder / "work/claims").rglob("*.lock"))
    code, again = project.run("annotate", "--local")
    assert code == 0, again
    check_labels(shared)


@pytest.mark.long
def test_the_shard_of_a_killed_worker_is_done_by_another(project):
    killed = project.start("work", **{SECONDS: "600"})
    project.wait_for(lambda: project.begun)
    other = project.start("work")
    (_, photo), *_ = project.begun
    project.wait_for(lambda: len({photo for _, photo in project.begun}) == PHOTOS)
    assert other.poll() is None, "it waits for the shard of the one that is at work"
    killed.send_signal(signal.SIGKILL)
    said = other.communicate(timeout=120)
    killed.communicate()
    assert other.returncode == 0, said
    assert said[0].startswith("4 photos: 4 people")
    assert project.begun.count((other.pid, photo)) == 1
    assert len(project.labels()) == PHOTOS


@pytest.mark.long
def test_workers_of_other_settings_are_refused_and_one_of_the_same_takes_the_plan_as_it_is(project):
    first = project.start("work", **{SECONDS: "600"})
    project.wait_for(lambda: project.begun)
    code, said = project.run("work", "--set", "refine.iterations=3")
    assert (code, "is being annotated with other settings" in said) == (2, True), said
    gone = "00.png" if project.begun[0][1] != "00.png" else "01.png"
    os.remove(project.folder / "photos" / gone)  # Whoever lists the photos anew does not have it.
    second = project.start("work")
    project.wait_for(lambda: len({photo for _, photo in project.begun}) == PHOTOS - 1)
    first.kill()
    first.communicate()
    _, said = second.communicate(timeout=300)
    assert len(project.labels()) == PHOTOS, said
    code, said = project.run("work")
    assert code == 0, said
    assert len(project.labels()) == PHOTOS - 1


@pytest.mark.long
def test_a_failed_shard_is_tried_by_one_worker_and_again_by_the_next_command(project):
    (project.folder / "work").mkdir()
    (project.folder / "labels").mkdir()
    blocked = project.folder / "work/parts/keypoints/my_photos/all/00001.parquet"
    blocked.mkdir(parents=True)
    workers = [project.start("work", **{SECONDS: "0.3"}) for _ in range(2)]
    said = [worker.communicate(timeout=500) for worker in workers]
    published = [worker.returncode for worker, (out, _) in zip(workers, said, strict=True) if DONE_ELSEWHERE not in out]
    assert published == [1], said
    assert sum(photo == "01.png" for _, photo in project.begun) == 1
    blocked.rmdir()
    code, again = project.run("work")
    assert code == 0, again
    assert len(project.labels()) == PHOTOS


@pytest.mark.promise(
    20,
    "A worker that is killed is a failed shard, and nobody waits for it",
    "20 of 20 killed processes of a pool are failed shards within 60 s, none hangs",
)
@pytest.mark.long
@pytest.mark.parametrize("runner", ["processes", DASK, RAY])
def test_a_shard_whose_process_is_killed_has_failed_and_the_others_are_done(project, runner, measured):
    started = time.monotonic()
    code, said = annotate(project, runner, **{DEADLY: "01.png"})
    assert time.monotonic() - started < 300
    measured(f"{runner}: 1 of 1 killed process a failed shard")
    assert (code, len(project.labels())) == (1, PHOTOS - 1), said
    assert "1 shard failed (my_photos/all/00001)" in said
    record = json.loads((project.folder / "work/failed/keypoints/my_photos/all/00001.json").read_text())
    assert record["message"]
    if runner == "processes":
        assert "ended by SIGKILL" in record["message"]
        assert sum(photo == "01.png" for _, photo in project.begun) == 1
    code, said = annotate(project, "processes")
    assert (code, len(project.labels())) == (0, PHOTOS), said


@pytest.mark.promise(20)
@pytest.mark.slow
def test_twenty_killed_processes_are_twenty_failed_shards_within_a_minute(tmp_path, measured):
    project = WatchedProject(tmp_path, 22)
    killed, told = {}, {}
    run = project.start("annotate", "--local", "--set", "run.task_runner=processes", **{DEADLY: "[01]?.png"})
    while run.poll() is None:
        now = time.monotonic()
        for _, photo in project.begun:
            killed.setdefault(photo.removesuffix(".png"), now)
        for record in (tmp_path / "work/failed/keypoints/my_photos/all").glob("*.json"):
            told.setdefault(record.stem[-2:], now)
        time.sleep(0.05)
    said = "".join(run.communicate())
    assert (run.returncode, len(project.labels()), len(told)) == (1, 2, 20), said
    latest = max(when - killed[photo] for photo, when in told.items())
    assert latest < 60
    assert not project.processes()
    measured(f"processes: 20 of 20 killed processes are failed shards, the last to be told after {latest:.1f} s")


@pytest.mark.long
def test_a_process_that_is_killed_once_is_a_try_and_its_shard_is_done_by_a_new_one(project):
    once = f"01.png:{project.folder / 'killed'}"
    code, said = annotate(project, "processes", "--set", "run.retries=1", **{DEADLY: once})
    assert (code, len(project.labels())) == (0, PHOTOS), said
    assert "my_photos/all/00001: the process of the shard was ended by SIGKILL" in said
    assert "next try in 2 s" in said


@pytest.mark.long
@pytest.mark.parametrize("command", ["work", "processes", DASK, RAY])
def test_weights_that_a_worker_cannot_load_end_the_run_with_their_sentence_before_any_shard(project, command):
    broken = ["--set", "keypoints.options.broken=true"]
    code, said = project.run("work", *broken) if command == "work" else annotate(project, command, *broken)
    assert code == 2, said
    assert said.splitlines()[-1] == "pear: keypoints.options.broken: the weights are no file of this network"
    assert "Traceback" not in said
    assert not project.labels()
    assert not list((project.folder / "work").glob("failed/*/*/*/*"))


@pytest.mark.slow
def test_labels_by_mediapipe_are_the_same_on_all(tmp_path):
    """Its networks are loaded and run in each worker; photos of a real person."""
    pytest.importorskip("skimage", reason="the extra demo is not installed")
    project = WatchedProject(tmp_path, 0)
    settings = "datasets: [demo_photos]\n  refine: {iterations: 5}\n  run: {images_per_shard: 1, retries: 0}\n"
    (tmp_path / "params.yaml").write_text(f"annotate:\n  {settings}")
    found = {}
    for runner in ("threads", "processes", "dask", "ray", "work"):
        if runner == "ray" and importlib.util.find_spec("ray") is None:
            continue
        project.clear()
        code, said = project.run("work") if runner == "work" else annotate(project, runner)
        assert code == 0, said
        found[runner] = project.labels()
    assert found["threads"]
    assert all(labels == found["threads"] for labels in found.values()), found.keys()


@pytest.mark.promise(
    19,
    "A run that is stopped or killed leaves no process",
    "10 s after SIGTERM, kill -9 or its being cancelled no process of the run lives, and the next run goes on",
)
@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("runner", ["processes", DASK, RAY])
def test_of_a_run_that_is_stopped_no_process_is_left_and_it_goes_on(project, runner, number, measured):
    process = project.start("annotate", "--local", "--set", f"run.task_runner={runner}", **{SECONDS: "600"})
    project.wait_for(lambda: len(project.begun) == 2)
    process.send_signal(number)
    process.communicate(timeout=120)
    time.sleep(0.1)
    _, alive = psutil.wait_procs(project.processes(), timeout=10)
    assert not alive, [own.cmdline() for own in alive]
    code, said = annotate(project, "threads")
    assert (code, len(project.labels())) == (0, PHOTOS), said
    measured(f"{runner}, {number.name}: 0 processes")


CLUSTERS = {
    "dask": """
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        input()
""",
    "ray": """
import ray
print(ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False).address_info["gcs_address"], flush=True)
input()
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("runner", [DASK, RAY])
def test_a_cluster_that_runs_already_is_used_and_left_running(project, runner, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")  # as docs/scale_out.md asks for
    program = project.folder / "cluster.py"
    program.write_text(CLUSTERS[runner])
    cluster = subprocess.Popen(
        [sys.executable, str(program)], env=os.environ | project.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        for _ in range(2):
            run = project.start(
                "annotate", "--local", "--set", f"run.task_runner={runner}", "--set", f"run.address={address}"
            )
            workers = set()
            while run.poll() is None:  # Ray ends those of a run with it.
                workers |= {child.pid for child in psutil.Process(cluster.pid).children(recursive=True)}
                time.sleep(0.05)
            said = "".join(run.communicate())
            assert (run.returncode, len(project.labels())) == (0, PHOTOS), said
            assert {pid for pid, _ in project.begun} <= workers
            project.clear()
    finally:
        cluster.communicate("\n", timeout=60)


@pytest.mark.parametrize("runner", [DASK, RAY])
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_sentence(project, runner):
    code, said = annotate(project, runner, "--set", "run.address=127.0.0.1:9")
    assert (code, said.splitlines()[-1].startswith("pear: run.address: no ")) == (2, True), said

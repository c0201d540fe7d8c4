"""kill -9 anywhere, two at once, other settings: nothing lost, nothing doubled, finished work kept, nothing mixed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from annotated_project import annotate, write_project
from prefect_project import make_project
from watched_estimators import COMMAND

from datasets_manifest.shards.shard import read_footer
from datasets_manifest.shards.snapshot import check_snapshot
from flows.server import local_server as server
from tasks.annotate.look.status import dataset_states
from tasks.annotate.workspace import Workspace

SUPPORT = Path(__file__).parents[1] / "support"
PROGRAM = SUPPORT / "stopped_run.py"
ALL_FILES = 20
"""Of four photos, one a shard, in five steps."""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def project_of(rendered, folder):
    """A copy of the rendered project without any result, one photo a shard."""
    shutil.copytree(rendered.parent / "work/datasets", folder / "work/datasets")
    settings = rendered.read_text().replace("images_per_shard: 2", "images_per_shard: 1")
    (folder / "params.yaml").write_text(settings)
    return folder


def start(folder):
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), "params.yaml"], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def shards(folder):
    return sorted(p for root in ("work/parts", "labels") for p in (folder / root).rglob("*.parquet"))


def kill_when(folder, files, wait_s=0.0):
    """Starts a run and kills it once that many shard files are there, and a little later."""
    process = start(folder)
    deadline = time.monotonic() + 120
    while process.poll() is None and len(shards(folder)) < files and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(wait_s)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def finish(folder):
    assert annotate(folder / "params.yaml").is_good


def check(folder, people):
    labels = pd.read_parquet(folder / "labels")
    assert len(labels) == labels["sample_id"].nunique() == people
    check_snapshot(folder / "labels", expected_rows=people)
    leftovers = [p for p in folder.rglob("*") if p.is_file() and "partial" in p.name]
    assert leftovers == []
    workspace = Workspace(work=folder / "work", labels=folder / "labels")
    said = dataset_states(workspace)
    shutil.rmtree(folder / "work/state")
    assert dataset_states(workspace) == said, "the journal of a run that was killed changes what is said"
    return labels.set_index("sample_id").sort_index()


@pytest.mark.promise(
    7,
    "A run that is started again computes exactly what is not done",
    "killed when half is done: the next run makes exactly the other half, also with Prefect's own database deleted in "
    "between",
)
@pytest.mark.long
def test_kill_and_go_on(rendered, tmp_path, measured):
    folder = project_of(rendered, tmp_path)
    assert kill_when(folder, files=10) == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in shards(folder)}
    assert 10 <= len(kept) < ALL_FILES
    finish(folder)
    labels = check(folder, people=4)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items()), "a finished shard was made again"
    assert len(shards(folder)) == ALL_FILES
    left = ALL_FILES - len(kept)
    measured(f"without a server, killed after {len(kept)} of {ALL_FILES} files: the next run makes {left}")
    whole = pd.read_parquet(rendered.parent / "labels").set_index("sample_id").sort_index()
    assert list(labels.index) == list(whole.index)
    assert labels["quality"].tolist() == pytest.approx(whole["quality"].tolist(), abs=1e-3)


@pytest.mark.promise(7)
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kill_and_go_on_after_the_record_of_the_server_is_deleted(rendered, tmp_path, measured):
    folder = project_of(rendered, make_project(tmp_path / "project"))

    def annotate_with_a_server():
        assert server.up(folder, port=0, timeout_s=300, say=lambda _: None).worker_pid
        env = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("PREFECT_")}
        paths = {"PYTHONPATH": f"{SUPPORT.parents[1]}:{SUPPORT}"}
        return subprocess.Popen([sys.executable, "-c", COMMAND, "annotate"], cwd=folder, env=env | paths)

    try:
        run = annotate_with_a_server()
        deadline = time.monotonic() + 240
        while run.poll() is None and len(shards(folder)) < ALL_FILES // 2 and time.monotonic() < deadline:
            time.sleep(0.002)
        run.kill()
        run.wait()
        server.down(folder, say=lambda _: None)
        kept = {path: path.stat().st_mtime_ns for path in shards(folder)}
        assert ALL_FILES // 2 <= len(kept) < ALL_FILES
        shutil.rmtree(folder / ".prefect")
        assert annotate_with_a_server().wait(300) == 0
    finally:
        server.down(folder, say=lambda _: None)
    check(folder, people=4)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "a finished shard was made again"
    left = len(shards(folder)) - len(kept)
    assert left == ALL_FILES - len(kept)
    measured(f"killed after {len(kept)} of {ALL_FILES} files, the server's database deleted: the next run makes {left}")


@pytest.mark.promise(
    9,
    "After a setting is changed, what depends on it is done again, nothing else, and nothing is mixed",
    "one setting of the refinement changed after a kill: no file of a part is made again, every label is; the labels "
    "have one hash of settings",
)
@pytest.mark.long
def test_a_changed_setting_after_a_kill_leaves_no_mixture(rendered, tmp_path, measured):
    folder = project_of(rendered, tmp_path)
    settings = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(settings + "  refine: {iterations: 2}\n")
    kill_when(folder, files=17)
    before = {path: path.stat().st_mtime_ns for path in shards(folder)}
    (folder / "params.yaml").write_text(settings + "  refine: {iterations: 3}\n")
    finish(folder)
    check(folder, people=4)
    labels = sorted((folder / "labels").rglob("*.parquet"))
    assert len({read_footer(path).config_hash for path in labels}) == 1
    again = {path for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert again == set(before) & set(labels)
    measured(
        f"killed after {len(before)} of {ALL_FILES} files: {len(before) - len(again)} parts kept, {len(again)} labels "
        f"made again, 1 hash of settings in {len(labels)} labels"
    )


@pytest.mark.promise(
    8,
    "Two workers that take the same shard end with one file",
    "the same shards started twice at once, 20 times: one file a shard, every sample once",
)
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_same_run_twice_at_once_makes_every_file_once(rendered, tmp_path, measured):
    params = write_project(tmp_path, rendered)
    paths = {"PYTHONPATH": f"{SUPPORT.parents[1]}:{SUPPORT}"}
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "twice_started.py"), str(params), "20"],
        cwd=tmp_path, env=ENVIRONMENT | paths, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(runs) == 20
    assert all((run["files"], run["temporary"]) == (2, 0) for run in runs)
    assert all(len(run["rows"]) == len(set(run["rows"])) == 4 for run in runs)
    measured("20 times 2 runs of 2 shards at once: 0 failed, each time 2 files, 4 rows, every sample once")


@pytest.mark.promise(1)
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_points(rendered, tmp_path, measured):
    folder = project_of(rendered, tmp_path)
    generator = random.Random(0)
    for _ in range(20):
        kill_when(folder, files=generator.randrange(0, 21), wait_s=generator.choice([0.0, 0.005, 0.05, 0.5]))
        if generator.random() < 0.3:
            shutil.rmtree(folder / "labels", ignore_errors=True)
    finish(folder)
    check(folder, people=4)
    measured("20 kills of whole runs: 4 of 4 people, each once, 0 temporary files")

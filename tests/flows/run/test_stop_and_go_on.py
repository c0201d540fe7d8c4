"""kill -9 anywhere in a run, then run again: nothing lost, nothing doubled, no temporary file, finished work kept."""

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
from annotated_project import annotate

from datasets_manifest.shards.shard import read_footer
from datasets_manifest.shards.snapshot import check_snapshot
from tasks.annotate.look.status import dataset_states
from tasks.annotate.workspace import Workspace

PROGRAM = Path(__file__).parents[2] / "support" / "stopped_run.py"
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


@pytest.mark.long
def test_kill_and_go_on(rendered, tmp_path):
    folder = project_of(rendered, tmp_path)
    assert kill_when(folder, files=5) == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in shards(folder)}
    assert len(kept) >= 5
    finish(folder)
    labels = check(folder, people=4)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items()), "a finished shard was made again"
    whole = pd.read_parquet(rendered.parent / "labels").set_index("sample_id").sort_index()
    assert list(labels.index) == list(whole.index)
    assert labels["quality"].tolist() == pytest.approx(whole["quality"].tolist(), abs=1e-3)


@pytest.mark.long
def test_a_changed_setting_after_a_kill_leaves_no_mixture(rendered, tmp_path):
    folder = project_of(rendered, tmp_path)
    settings = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(settings + "  refine: {iterations: 2}\n")
    kill_when(folder, files=17)
    (folder / "params.yaml").write_text(settings + "  refine: {iterations: 3}\n")
    finish(folder)
    check(folder, people=4)
    hashes = {read_footer(path).config_hash for path in (folder / "labels").rglob("*.parquet")}
    assert len(hashes) == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_points(rendered, tmp_path):
    folder = project_of(rendered, tmp_path)
    generator = random.Random(0)
    for _ in range(20):
        kill_when(folder, files=generator.randrange(0, 21), wait_s=generator.choice([0.0, 0.005, 0.05, 0.5]))
        if generator.random() < 0.3:
            shutil.rmtree(folder / "labels", ignore_errors=True)
    finish(folder)
    check(folder, people=4)

"""dvc repro: the stage runs, shows its figures, and loses nothing when it is killed half way."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture
def project(rendered, tmp_path):
    """A DVC project of its own with this project's stage and the small rendered data set, nothing annotated."""
    stage = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    stage["stages"] = {"annotate": stage["stages"]["annotate"]}
    stage["stages"]["annotate"]["cmd"] = f"{BIN / 'pear'} annotate --local"
    stage["stages"]["annotate"].pop("deps")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(stage))
    settings = rendered.read_text().replace("images_per_shard: 2", "images_per_shard: 1")
    (tmp_path / "params.yaml").write_text(settings)
    shutil.copytree(rendered.parent / "work/datasets", tmp_path / "work/datasets")
    shutil.copy(PROJECT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    dvc(tmp_path, "init", "-q")
    shutil.copy(PROJECT / ".dvc/config", tmp_path / ".dvc/config")
    return tmp_path


def dvc(folder, *arguments):
    result = subprocess.run([str(BIN / "dvc"), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_repro_then_figures_and_plot(project):
    dvc(project, "repro")
    assert len(pd.read_parquet(project / "labels")) == 4
    assert "pa_mpjpe_mm" in dvc(project, "metrics", "show")
    dvc(project, "plots", "show")
    page = (project / "dvc_plots/index.html").read_text()
    assert "reprojection" in page
    assert "didn't change" in dvc(project, "repro") or "up to date" in dvc(project, "repro")


@pytest.mark.promise(
    22,
    "DVC deletes nothing that is finished",
    "`dvc repro` after a kill: every finished file is kept as it is",
)
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_repro_keeps_every_finished_shard(project, measured):
    process = subprocess.Popen([str(BIN / "dvc"), "repro"], cwd=project, start_new_session=True)
    labels, parts = project / "labels", project / "work/parts"
    deadline = time.monotonic() + 120
    while len(list(labels.rglob("*.parquet"))) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p: p.stat().st_mtime_ns for root in (labels, parts) for p in root.rglob("*.parquet")}
    assert len(kept) >= 2
    dvc(project, "repro")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert pd.read_parquet(labels)["sample_id"].nunique() == 4
    measured(f"killed after {len(kept)} files: all {len(kept)} kept, the rest made")


@pytest.mark.promise(23)
def test_nothing_that_annotates_calls_dvc(measured):
    for package in ("tasks/annotate", "flows/run"):
        for path in (PROJECT / package).rglob("*.py"):
            assert not re.search(r"^\s*(import|from) dvc|[\"']dvc[\"']", path.read_text(), re.MULTILINE), path
    measured("0 calls in tasks/annotate and flows/run")

"""The run for a GPU: on a machine that has next to nothing, and when parts of it fail."""

import importlib.metadata
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement

from benchmarks import gpu
from benchmarks.carried import CARRIED, PRESENT, carry
from benchmarks.gpu_part import Part, Settings
from benchmarks.gpu_parts import PARTS
from benchmarks.table import Column

ROOT = Path(__file__).resolve().parents[2]
QUICK = Settings(device=torch.device("cpu"), size="tiny", is_quick=True)
NAMES = (Column(title="name", text=lambda row: row["name"]),) * 4


def needed_by(names):
    """Distributions, and what they cannot do without."""
    found, todo = set(), list(names)
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Folders for PYTHONPATH: torch and numpy with what they need, by links, and what was carried along."""
    present, carried = tmp_path_factory.mktemp("present"), tmp_path_factory.mktemp("carried")
    for name in needed_by(PRESENT):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            target = Path(str(distribution.locate_file(top)))
            if target.exists() and not (present / top).exists():
                (present / top).symlink_to(target)
    assert len(carry(carried)) == len(CARRIED)
    return [carried, present]


def on_a_bare_machine(folders, *arguments, timeout=120):
    """Runs Python with these folders and no packages besides."""
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-S", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)


def test_what_is_carried_needs_nothing_more():
    assert needed_by(CARRIED) <= set(CARRIED) | needed_by(PRESENT)


def test_a_bare_machine_has_none_of_our_other_packages(bare):
    absent = ("scipy", "cv2", "pyarrow", "pydantic", "safetensors", "pandas", "prefect", "yaml", "PIL", "mediapipe")
    said = on_a_bare_machine(bare, "-c", f"import importlib.util as u; print([n for n in {absent} if u.find_spec(n)])")
    assert said.stdout.strip() == "[]", said.stderr


@pytest.mark.long
def test_all_parts_run_there(bare, tmp_path):
    done = on_a_bare_machine(
        bare, "-m", "benchmarks.gpu", "--device", "cpu", "--quick", "--out", tmp_path / "gpu"
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "gpu.md").read_text()
    assert text.strip() == done.stdout.strip()
    assert f"torch {torch.__version__}" in text
    counts = {
        name: (int(rows), int(failed)) for name, rows, failed in re.findall(r"\| (\w+) \| \d+ \| (\d+) \| (\d+)", text)
    }
    assert list(counts) == list(PARTS)
    assert all(failed == 0 for _, failed in counts.values())
    assert {name for name, (rows, _) in counts.items() if not rows} == {"compiled"}
    assert "needs a CUDA device" in text
    assert re.search(r"left out \| – \| .*No module named 'cv2'", text)


def test_what_fails_is_a_row_and_the_rest_goes_on(tmp_path, monkeypatch):
    def jobs(_settings):
        yield "first", lambda: [{"name": "well"}]
        yield "second", lambda: [][1]
        yield "third", lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory | 2 GiB\nmore"))
        yield "fourth", lambda: [{"name": "done"}]
        yield "fifth", lambda: time.sleep(60)

    def broken(_settings):
        raise ValueError("no such network")
        yield

    report = gpu.Report(QUICK, tmp_path / "out")
    begin = time.monotonic()
    for name, part in {"body": jobs, "training": broken}.items():
        monkeypatch.setitem(gpu.PARTS, name, Part(title=name, limit_s=1, jobs=part, tables=[NAMES]))
        gpu.run_part(name, gpu.PARTS[name], QUICK, report, 60)
    assert time.monotonic() - begin < 30
    assert [row["name"] for row in report.rows["body"]] == ["well", "done"]
    assert report.problems == [
        ("body", "second", "IndexError: list index out of range"),
        ("body", "third", "OutOfMemoryError: CUDA out of memory | 2 GiB"),
        ("body", "fifth", "stopped by its time limit of 1 s"),
        ("training", "preparation", "ValueError: no such network"),
    ]
    assert not report.is_whole
    text = (tmp_path / "out.md").read_text()
    assert "| body | 1 | 2 | 3 |" in text
    assert "| body | third | OutOfMemoryError: CUDA out of memory / 2 GiB |" in text


def test_the_limits_of_all_parts_fit_into_one_run():
    assert sum(part.limit_s for part in PARTS.values()) <= gpu.TOTAL_S


def test_a_failed_test_is_no_success():
    report = gpu.Report(QUICK, None)
    for outcome, is_whole in (("passed", True), ("skipped", True), ("left out", True), ("failed", False)):
        report.rows["tests"] = [{"outcome": outcome}]
        assert report.is_whole == is_whole


def test_a_hang_still_leaves_the_report(tmp_path, monkeypatch, capsys):
    ends = []
    monkeypatch.setattr(gpu.os, "_exit", ends.append)
    report = gpu.Report(QUICK, tmp_path / "out")
    report.begin("regressor")
    gpu.watched(report, 0.01).join(5)
    assert ends == [1]
    assert "| regressor | all of it | hung: the run was ended after 0 s |" in (tmp_path / "out.md").read_text()
    assert "hung" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(capsys):
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "sees no CUDA device; `--device cpu --quick` checks the program" in capsys.readouterr().err


def test_compiled_packages_are_not_carried(tmp_path, monkeypatch):
    for name, message in (("numpy", "numpy .* is not pure Python"), ("no-such-package", "is not installed here")):
        monkeypatch.setattr("benchmarks.carried.CARRIED", (name,))
        with pytest.raises(ValueError, match=message):
            carry(tmp_path)

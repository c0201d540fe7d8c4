"""The tests marked `gpu`, as rows of a table."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.table import Row

TESTS = Path(__file__).resolve().parents[1] / "tests"
_NAMED = "pytest.mark.gpu"


def run_gpu_tests() -> list[Row]:
    """Runs them in this process; a file whose imports this machine lacks is a row that says so.

    Raises:
        FileNotFoundError: There are no such tests beside the package.
    """
    files = [path for path in sorted(TESTS.rglob("test_*.py")) if _NAMED in path.read_text(encoding="utf-8")]
    if not files:
        raise FileNotFoundError(f"no test marked gpu in {TESTS}: run this from a checkout of the repository")
    outcomes, threads = _Outcomes(), torch.get_num_threads()
    # Another package's clock would stop ours; a cache would be written beside the tests.
    without = [word for name in ("timeout", "xdist", "cacheprovider") for word in ("-p", f"no:{name}")]
    arguments = ["-m", "gpu", "--continue-on-collection-errors", "--rootdir", str(TESTS.parent), *without]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            pytest.main([*arguments, *map(str, files)], plugins=[outcomes])
    finally:
        torch.set_num_threads(threads)
    return outcomes.rows


class _Outcomes:
    """What pytest says of each test."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The call of a test, or what kept it from being called."""
        if report.when == "call" or not report.passed:
            self._add(report, report.nodeid, report.duration)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that could not be imported."""
        if not report.passed:
            self._add(report, report.nodeid, None)

    def _add(self, report: pytest.TestReport | pytest.CollectReport, name: str, seconds: float | None) -> None:
        file, _, test = name.partition("::")
        said = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longreprtext
        why = "" if report.passed else next((line for line in reversed(said.splitlines()) if line.strip()), "")
        is_absent = "ModuleNotFoundError" in said and report.failed
        why = next((line for line in said.splitlines() if "ModuleNotFoundError" in line), why) if is_absent else why
        self.rows.append(
            {
                "file": file,
                "test": test or "all",
                "outcome": "left out" if is_absent else report.outcome,
                "seconds": seconds,
                "why": why.removeprefix("E ").strip(),
            }
        )

"""All that is asked of a GPU, in one run of eight minutes at most: the `gpu` tests, then tables.

    make gpu                                                   the same as the next line
    python -m benchmarks.gpu --out reports/gpu                 writes reports/gpu.md after every part
    python -m benchmarks.gpu --device cpu --quick              a check of the program
    python -m benchmarks.gpu --parts refinement body

It needs Python 3.11 or 3.12, torch with CUDA, numpy, and a few packages of pure Python, which can be carried along:

    python -m benchmarks.gpu --carry carried                   here
    PYTHONPATH=carried python -m benchmarks.gpu                there, in a checkout of the repository

What fails (an exception, no memory, a part's time limit) is a row, not the end.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gc
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch

from benchmarks.carried import carry
from benchmarks.gpu_part import Part, Settings
from benchmarks.gpu_parts import PARTS
from benchmarks.table import Row, markdown
from model.networks.vit import VIT_SIZES

TOTAL_S = 450.0
"""No part may go on after so long; the limits of all parts fit."""
_GRACE_S = 25.0
"""After so much more the process ends itself: a call into CUDA may hang, and then no exception reaches it."""


class TimeLimit(KeyboardInterrupt):
    """A part has used up its time. No ``Exception``, so that nothing on the way takes it for an error of its own."""


class Report:
    """What has been found so far.

    Args:
        settings: Of the run.
        out: File without its ending; None prints only.
    """

    def __init__(self, settings: Settings, out: Path | None) -> None:
        self._head, self._out = described(settings), out
        self._begun: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self.rows: dict[str, list[Row]] = {}
        self.problems: list[tuple[str, str, str]] = []
        """Part, job and sentence."""

    def begin(self, part: str) -> None:
        """A part starts."""
        self._begun[part], self.rows[part] = time.monotonic(), []

    def end(self, part: str) -> None:
        """It is over, however it went; what is known goes to the file."""
        self._seconds[part] = time.monotonic() - self._begun[part]
        self.write()

    def write(self) -> None:
        """The file as it stands."""
        if self._out is not None:
            path = self._out.with_suffix(".md")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text, encoding="utf-8")

    @property
    def text(self) -> str:
        """Markdown for docs/benchmarks/speed.md."""
        lines = [self._head, "", "| part | seconds | rows | failed |", "|---|---|---|---|"]
        for part, rows in self.rows.items():
            failed = sum(name == part for name, _, _ in self.problems)
            lines.append(f"| {part} | {self._seconds.get(part, float('nan')):.0f} | {len(rows)} | {failed} |")
        if self.problems:
            lines += ["", "| part | what failed | why |", "|---|---|---|"]
            lines += [f"| {part} | {job} | {why.replace('|', '/')} |" for part, job, why in self.problems]
        for part, rows in self.rows.items():
            if rows:
                lines += ["", f"### {PARTS[part].title}"]
                lines += [line for table in PARTS[part].tables for line in ("", markdown(rows, table))]
        return "\n".join(lines) + "\n"

    @property
    def is_whole(self) -> bool:
        """Whether nothing failed, tests neither."""
        return not self.problems and all(row["outcome"] != "failed" for row in self.rows.get("tests", []))


def described(settings: Settings) -> str:
    """Date, machine, device and versions."""
    place = f"{torch.get_num_threads()} threads"
    if settings.is_cuda:
        properties = torch.cuda.get_device_properties(settings.device)
        place = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, compute capability "
        place += (
            f"{properties.major}.{properties.minor}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        )
    return (
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {place}, torch {torch.__version__}, Python "
        f"{platform.python_version()}; random weights, open body, regressor of size {settings.size}"
        f"{'; --quick: these figures say nothing' if settings.is_quick else ''}."
    )


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises TimeLimit inside after so many seconds, when Python is next asked to do something.

    pytest turns it into the end of its session: it is raised again on the way out.
    """
    is_over = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_over
        is_over = True
        raise TimeLimit(f"stopped by its time limit of {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
        if is_over:
            raise TimeLimit(f"stopped by its time limit of {seconds:.0f} s")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_part(name: str, part: Part, settings: Settings, report: Report, seconds: float) -> None:
    """Adds the rows of a part, and what failed of it, to the report."""
    report.begin(name)
    doing = "preparation"
    jobs = part.jobs(settings)
    try:
        with time_limit(min(part.limit_s, seconds)):
            for doing, job in jobs:
                try:
                    report.rows[name] += job()
                except Exception as error:
                    report.problems.append((name, doing, sentence(error)))
                print(f"{name}: {doing}", file=sys.stderr)
                free()
                doing = f"after {doing}"
    except TimeLimit as error:
        report.problems.append((name, doing, str(error)))
    except Exception as error:
        report.problems.append((name, doing, sentence(error)))
    del jobs  # and the networks that it holds
    free()
    report.end(name)


def free() -> None:
    """Gives the memory of what is no longer needed back to the GPU."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def sentence(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first[:300]}"


def watched(report: Report, seconds: float) -> threading.Timer:
    """A clock that writes the report and ends the process, whatever it hangs in."""

    def end() -> None:
        part = next(reversed(report.rows), "start")
        report.problems.append((part, "all of it", f"hung: the run was ended after {seconds:.0f} s"))
        report.write()
        print(report.text, flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", choices=["tiny", *VIT_SIZES], default="B", help="of the regressor's backbone")
    parser.add_argument("--seconds", type=float, default=TOTAL_S, help="limit of the whole run")
    parser.add_argument("--quick", action="store_true", help="a check of the program: tiny networks, few people")
    parser.add_argument("--out", type=Path, help="write PATH.md, after every part")
    parser.add_argument("--carry", type=Path, metavar="FOLDER", help="copy the packages a bare machine lacks, and end")
    options = parser.parse_args(arguments)
    if options.seconds <= 0:
        parser.error(f"--seconds must be more than 0, got {options.seconds:g}")
    if options.carry is None and torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        parser.error(
            f"torch {torch.__version__} (CUDA: {torch.version.cuda or 'not built in'}) sees no CUDA device; "
            "`--device cpu --quick` checks the program without one"
        )
    if options.quick:
        options.size = "tiny"
    return options


def main(arguments: list[str] | None = None) -> int:
    """Runs the program; returns its exit status: 0 where nothing failed."""
    options = parse(arguments)
    if options.carry is not None:
        print(f"{options.carry}: {', '.join(carry(options.carry))}")
        return 0
    settings = Settings(device=torch.device(options.device), size=options.size, is_quick=options.quick)
    report = Report(settings, options.out)
    end = time.monotonic() + options.seconds
    clock = watched(report, options.seconds + _GRACE_S)
    for name in options.parts:
        if time.monotonic() < end:
            run_part(name, PARTS[name], settings, report, end - time.monotonic())
        else:
            report.problems.append((name, "all of it", f"not begun: the run's {options.seconds:.0f} s were used up"))
    clock.cancel()
    report.write()
    print(report.text)
    return 0 if report.is_whole else 1


if __name__ == "__main__":
    sys.exit(main())

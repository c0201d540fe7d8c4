"""The processes of a training, started and ended as one: whatever ends the caller ends them too."""

from __future__ import annotations

import collections
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from flows.server.processes import end
from tasks.training.engine.run_folder import SENTENCE_MARK, RunFolder

GRACE_S = 10.0
"""Time the processes have to end by themselves."""
_PROGRESS = re.compile(r"\[(\d+)/(\d+)\] ")
_TAIL_LINES = 15

Progress = Callable[[int, int], None]
"""Takes steps done and steps in all."""


class TrainingFailed(RuntimeError):
    """The processes ended badly, for no reason that a setting would mend."""


def training_command(module: str, request: Path, processes: int) -> list[str]:
    """The command of a training: the module of the experiment itself, or torchrun with some of them."""
    if processes == 1:
        return [sys.executable, "-m", module, str(request)]
    return [sys.executable, "-m", "tasks.training.engine.launcher", module, str(request), str(processes)]


def run_processes(
    module: str,
    folder: RunFolder,
    processes: int,
    log: logging.Logger | logging.LoggerAdapter,
    on_progress: Progress | None = None,
) -> None:
    """Runs a training whose request lies in its folder, until it has finished; its output goes into the log.

    Args:
        module: Of the experiment, which ``tasks.training.engine.worker`` is run by.
        folder: Of the run.
        processes: How many.
        log: Receives each line.
        on_progress: Called for each line that tells a step.

    Raises:
        ValueError: The training ended with a sentence.
        TrainingFailed: It ended in another way; the last lines of its output are in the message.
    """
    folder.failure.unlink(missing_ok=True)
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    # torchrun would set 1 and say so at length; the worker sets the number of its threads itself.
    env["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // processes))
    # Threads that spin while they wait take the cores from those that work, where there are more threads than cores.
    env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    process = subprocess.Popen(
        training_command(module, folder.request, processes),
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            tail.append(line.rstrip("\n"))
            log.info("%s", tail[-1])
            if on_progress is not None and (told := _PROGRESS.match(tail[-1])):
                on_progress(int(told[1]), int(told[2]))
        code = process.wait()
    finally:
        end_tree(process)
    if code == 0:
        return
    if folder.failure.is_file():
        raise ValueError(folder.failure.read_text(encoding="utf-8").strip())
    told = [line for line in tail if line.startswith(SENTENCE_MARK)]
    if told:
        raise ValueError(told[-1].removeprefix(SENTENCE_MARK))
    raise TrainingFailed(
        f"the training processes ended with {_ending(code)}; run the same command again to go on from the last "
        "checkpoint. The last lines were:\n" + "\n".join(tail)
    )


def end_tree(process: subprocess.Popen[str]) -> None:
    """Ends a process and all that it started, if they still run."""
    if process.poll() is None:
        try:
            root = psutil.Process(process.pid)
            end([root, *root.children(recursive=True)], grace_s=GRACE_S)
        except psutil.NoSuchProcess:
            pass
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"

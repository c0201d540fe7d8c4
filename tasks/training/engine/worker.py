"""One process of a training, alone or under torchrun: ``python -m <module of the experiment> <run.json>``.

Its output is the log of the run. It ends with 0 when the training is finished, with 2 and one sentence for what a
person can mend, with 1 and a trace for anything else; the sentence is in ``failure.txt`` of the run's folder as well.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from datasets_manifest.files import WriteError, write_text
from tasks.training.engine.distributed import die_with_parent, process_group
from tasks.training.engine.experiment import Experiment
from tasks.training.engine.loop import Trainer
from tasks.training.engine.run_folder import SENTENCE_MARK

MENDABLE = 2
"""Exit code of an error with a sentence."""

Open = Callable[[Path], Experiment]
"""The experiment of a request, which lies in the folder of the run."""


def main(arguments: list[str], open_experiment: Open) -> int:
    """Runs one process; returns its exit code."""
    if len(arguments) != 1:
        print("expected one argument: the run.json of a training", file=sys.stderr)
        return MENDABLE
    die_with_parent()
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
    request = Path(arguments[0])
    is_first = int(os.environ.get("RANK", "0")) == 0
    try:
        run(request, open_experiment)
    except (ValueError, WriteError, FileNotFoundError, ImportError) as error:
        _record(request, str(error), is_first)
        print(f"{SENTENCE_MARK}{error}", file=sys.stderr)
        return MENDABLE
    except Exception as error:
        _record(request, f"{type(error).__name__}: {error}", is_first)
        traceback.print_exc()
        return 1
    return 0


def run(request: Path, open_experiment: Open) -> None:
    """Trains as a request says, to the end, from the beginning or from where the run stopped.

    Raises:
        ValueError: Something in the settings, the samples or the files; see ``Trainer``.
    """
    experiment = open_experiment(request)
    settings = experiment.config.run
    share = max(1, (os.cpu_count() or 1) // settings.processes)
    torch.set_num_threads(settings.threads or share)
    with process_group(settings.device) as group:
        if group.device.type == "cpu":
            torch.use_deterministic_algorithms(True)
            torch.utils.deterministic.fill_uninitialized_memory = False
        Trainer.start(experiment, group).run()


def _record(request: Path, sentence: str, is_first: bool) -> None:
    """Keeps the sentence for whoever started the run. Of several processes, the first to fail says why."""
    path = request.parent / "failure.txt"
    with suppress(WriteError):  # On a full disk the sentence is in the output alone.
        if is_first or not path.exists():
            write_text(path, sentence + "\n")

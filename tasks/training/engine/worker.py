"""One process of a training: ``python -m tasks.training.engine.worker <run.json>``, alone or under torchrun.

Its output is the log of the run. It ends with 0 when the training is finished, with 2 and one sentence for what a
person can mend, with 1 and a trace for anything else; the sentence is in ``failure.txt`` of the run's folder as well.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from pathlib import Path

import torch

from datasets_manifest.files import write_text
from tasks.training.engine.distributed import die_with_parent, joined
from tasks.training.engine.loop import train
from tasks.training.regressor.people import TrainingPeople
from tasks.training.regressor.plan import open_plan
from tasks.training.regressor.settings import from_plain

MENDABLE = 2
"""Exit code of an error with a sentence."""


def main(arguments: list[str]) -> int:
    """Runs one process; returns its exit code."""
    if len(arguments) != 1:
        print("usage: python -m tasks.training.engine.worker <run.json>", file=sys.stderr)
        return MENDABLE
    die_with_parent()
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
    logging.getLogger("tasks.synthetic.render").setLevel(logging.WARNING)  # who started us has said it
    request = Path(arguments[0])
    is_first = int(os.environ.get("RANK", "0")) == 0
    try:
        run(request)
    except (ValueError, FileNotFoundError, ImportError) as error:
        _record(request, str(error), is_first)
        print(f"pear train: {error}", file=sys.stderr)
        return MENDABLE
    except Exception as error:
        _record(request, f"{type(error).__name__}: {error}", is_first)
        traceback.print_exc()
        return 1
    return 0


def run(request: Path) -> None:
    """Trains as a request says.

    Raises:
        ValueError: Something in the settings, the labels or the files; see ``open_plan`` and ``train``.
    """
    config = from_plain(json.loads(request.read_text(encoding="utf-8")))
    share = max(1, (os.cpu_count() or 1) // config.run.processes)
    torch.set_num_threads(config.run.threads or share)
    with joined(config.run.device) as world:
        if world.device.type == "cpu":
            torch.use_deterministic_algorithms(True)
            torch.utils.deterministic.fill_uninitialized_memory = False
        plan = open_plan(config)
        train(plan, world, TrainingPeople(plan, world))


def _record(request: Path, sentence: str, is_first: bool) -> None:
    """Keeps the sentence for whoever started the run. Of several processes, the first to fail says why."""
    path = request.parent / "failure.txt"
    if is_first or not path.exists():
        write_text(path, sentence + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

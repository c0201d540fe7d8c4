"""One process of the training: ``python -m tasks.training.guava <run.json>``; see ``tasks.training.engine.worker``."""

from __future__ import annotations

import sys

from tasks.training.engine.worker import main
from tasks.training.guava.experiment import open_experiment

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], open_experiment))

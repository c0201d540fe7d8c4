"""Several processes of a training: ``python -m tasks.training.engine.launcher <module> <run.json> <processes>``.

torchrun itself, but it ends when the process that started it does, and with it the processes that it started.
"""

from __future__ import annotations

import sys

from tasks.training.engine.distributed import die_with_parent


def main(arguments: list[str]) -> None:
    """Starts the processes of an experiment's module and waits for them; exits with 1 when one of them fails."""
    module, request, processes = arguments
    die_with_parent()
    from torch.distributed.run import main as torchrun

    torchrun(["--standalone", "--nproc-per-node", processes, "-m", module, request])


if __name__ == "__main__":
    main(sys.argv[1:])

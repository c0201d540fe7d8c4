"""Not a test: python -m killed_training <module> <rows> <run.json> trains as the module does, killed after some rows.

The process ends as by ``kill -9`` when its curve has so many rows, on a busy machine too, where another process that
watches the curve would come late.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from typing import Any

from tasks.training.engine.curves import Curve

MODULE, ROWS, REQUEST = sys.argv[1:]
_append = Curve.append


def _append_and_die(self: Curve, row: dict[str, Any]) -> None:
    _append(self, row)
    if len(self.rows) == int(ROWS):
        os.kill(os.getpid(), signal.SIGKILL)


Curve.append = _append_and_die  # type: ignore[method-assign]
sys.argv = [MODULE, REQUEST]
runpy.run_module(MODULE, run_name="__main__")

"""Memory of a process, read without torch."""

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Largest resident memory of this program since it began, imports too.

    Not `ru_maxrss` where there is a choice: on Linux a program inherits that from the one that started it, so that
    small processes started by a large one would all seem as large.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def own_bytes() -> int:
    """Resident memory of this process that is its own: without the pages of mapped files, where the system tells."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return 1024 * int(line.split()[1])
    return peak_bytes()

"""Not a test: starts the same annotation twice at the same moment, again and again; prints what came of each as JSON.

python twice_started.py <settings file> <times>
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from annotated_project import annotate
from small_pages import small_pages


def forked(work: Callable[[], bool]) -> int:
    """The id of a process that says by its exit code whether something is good. Only this one forks, and it starts no
    thread: a fork of a process with threads may wait for ever for those that it does not have."""
    if child := os.fork():
        return child
    code = 1
    try:
        code = int(not work())
    finally:
        sys.stdout.flush()
        os._exit(code)


def annotated(params: Path) -> bool:
    with small_pages():
        return annotate(params).is_good


def told(params: Path) -> bool:
    """Prints what is there."""
    labels = pd.read_parquet(params.parent / "labels")
    files = len(list((params.parent / "labels").rglob("*.parquet")))
    temporary = len(list(params.parent.rglob("*.partial")))
    print(json.dumps({"files": files, "rows": labels["sample_id"].tolist(), "temporary": temporary}))
    return True


def main(params: Path, times: int) -> None:
    for _ in range(times):
        for name in ("labels", "work/parts", "work/state", "work/plan"):
            shutil.rmtree(params.parent / name, ignore_errors=True)
        both = [forked(lambda: annotated(params)) for _ in range(2)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in both]
        assert codes == [0, 0], codes
        os.waitpid(forked(lambda: told(params)), 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

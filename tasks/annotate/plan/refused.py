"""What a data set names and no row can be made of: kept beside its plan, so that it is found again after a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from datasets_manifest.adapters.base import Missing
from datasets_manifest.files import write_lines
from tasks.annotate.workspace import Group, Workspace


def write_refused(workspace: Workspace, group: Group, refused: Sequence[Missing]) -> None:
    """Replaces what is kept of a data set."""
    path = workspace.refused_path(group)
    if refused:
        write_lines(path, (json.dumps([missing.path, missing.reason]) + "\n" for missing in refused))
    else:
        path.unlink(missing_ok=True)


def read_refused(workspace: Workspace, group: Group) -> Iterator[Missing]:
    """What is kept of a data set, in the order in which it was listed."""
    path = workspace.refused_path(group)
    if path.is_file():
        with path.open(encoding="utf-8") as lines:
            yield from (Missing(*json.loads(line)) for line in lines)

"""The publication that was made last, by which of workers that end together one publishes, and none ends before.

work/publication.json               the last one that was begun, of which data sets, and whether it is over
<labels>/.publication.json          the same of workers that share a store and no disk
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_text
from datasets_manifest.stores import get
from tasks.annotate.workspace import Group, Workspace


class LastPublication:
    """What a worker knows of publications by others. No clocks are compared."""

    def __init__(self, workspace: Workspace, groups: Sequence[Group]) -> None:
        """Takes the data sets that are to be published, and looks."""
        labels = workspace.labels
        self._place = workspace.work / "publication.json" if isinstance(labels, Path) else labels / ".publication.json"
        self._datasets = ["/".join(group) for group in groups]
        self._seen = self._read().get("name")

    def look(self) -> None:
        """Remembers the one that was begun last: it lacks what is done later."""
        self._seen = self._read().get("name")

    @property
    def is_made(self) -> bool:
        """Whether one that was begun since the last look is over, and is of all the data sets."""
        last = self._read()
        is_later = bool(last) and last["name"] != self._seen
        return is_later and last["is_over"] and {*self._datasets} <= {*last["datasets"]}

    @contextmanager
    def being_made(self) -> Iterator[None]:
        """Tells of one that lasts as long as the block; after an error, or if the process ends, it is never over."""
        record = {"name": secrets.token_hex(8), "datasets": self._datasets}
        for is_over in (False, True):
            write_text(self._place, json.dumps(record | {"is_over": is_over}) + "\n")
            if not is_over:
                yield

    def _read(self) -> dict[str, Any]:
        try:
            text = self._place.read_bytes() if isinstance(self._place, Path) else get(self._place)
        except FileNotFoundError:
            return {}
        return json.loads(text)

"""What flow runs are called: data sets and counts tell runs apart, Prefect's own names do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

MAX_CHARACTERS = 100
_MADE_UP = re.compile(r"[a-z]+-[a-z]+")
"""A name that Prefect made up, such as ``spicy-yak``."""


class RunName:
    """Name of the present flow run; one that somebody chose for it is kept."""

    def __init__(self, datasets: Sequence[str]) -> None:
        """Takes manifest ids, or paths of manifests, photos or videos, and names the run after them."""
        self._sources = "+".join(Path(source).stem for source in datasets)
        context = FlowRunContext.get()
        run = context.flow_run if context else None
        self._run = run if run is not None and _MADE_UP.fullmatch(run.name) else None
        self.set("")

    def set(self, more: str) -> None:
        """Puts more behind the data sets."""
        if self._run is None:
            return
        with get_client(sync_client=True) as client:
            client.update_flow_run(self._run.id, name=f"{self._sources[:MAX_CHARACTERS]} {more}".strip())

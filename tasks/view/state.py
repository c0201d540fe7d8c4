"""What is looked at: folders, the index of the labels, whether they have changed since. One for all who look.

Nothing here says what somebody looks at: that is in the address of their page.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks.view.draw import drawn_rows
from tasks.view.index import LabelIndex
from tasks.view.index_file import open_index
from tasks.view.judged import JudgedRows
from tasks.view.query import Query

if TYPE_CHECKING:
    from tasks.annotate.settings import AnnotateConfig, Origin

log = logging.getLogger(__name__)

_ORDERS = 16
"""Orders that are kept, of 4 bytes a row each."""
_LOOK_SECONDS = 10.0
"""Between two looks at whether files have changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What `pear view` was started with."""

    labels: Path
    """Folder of labels or predictions."""
    config: AnnotateConfig
    """Settings, of which the body, the data sets and the folder of work count."""
    origin: Origin | None = None
    """Where the settings came from, for commands that are told; None where there is no file of settings."""
    reviews: Path = Path("reviews")
    """Folder of the verdicts."""
    reviewer: str = ""
    """Who judges."""
    errors: bool = False
    """Whether the errors of the labels are looked at, where their data sets know better."""
    read_only: bool = False
    """Whether nothing may be judged or corrected."""
    roots: Mapping[str, Path] = field(default_factory=dict)
    """Data set -> folder of its photos, where it is not the planned one."""

    @property
    def work(self) -> Path:
        """Folder of intermediate files."""
        return Path(self.config.output.work)


class View:
    """The state that all pages share."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.index: LabelIndex | None = None
        """None until it is read."""
        self.progress = (0, 0)
        """Shards read, of how many, while the index is made."""
        self.fault = ""
        """Why the labels could not be read the last time; empty if they could."""
        self._reading, self._ordering = threading.Lock(), threading.Lock()
        self.judged = JudgedRows(opened.reviews, opened.labels, opened.work / "view")
        """Verdicts, by rows."""
        self._orders: OrderedDict[tuple[str, Query], np.ndarray] = OrderedDict()
        self._looked, self._has_changed = time.monotonic(), False
        self._background: list[Callable[[], None]] = []

    def refresh(self) -> None:
        """Reads what has changed since the last time; takes seconds to a minute at the first."""
        with self._reading:
            try:
                self.index = self._opened_index()
                self.fault = ""
            except (ValueError, OSError) as error:
                log.warning("%s", error)
                self.fault = str(error)
            except Exception as error:
                # Of a thread that nobody waits for: those who look are told.
                log.exception("the labels could not be indexed")
                self.fault = f"The labels could not be indexed ({type(error).__name__}); the log has more."
            self._has_changed, self._looked = False, time.monotonic()

    def _opened_index(self) -> LabelIndex:
        opened, folder = self.opened, self.opened.work / "view"
        if opened.errors:
            from tasks.view.errors import open_errors  # It needs the body model.

            return open_errors(opened.labels, opened.config, folder, self._tell)
        return LabelIndex(open_index(opened.labels, folder, self._tell))

    def _tell(self, done: int, total: int) -> None:
        self.progress = done, total

    def has_changed(self, shown: LabelIndex) -> bool:
        """Whether the labels are no longer those that a page shows; files are looked at every ten seconds at most."""
        index = self.index
        if index is None or index.stamp != shown.stamp:
            return True
        if not self._has_changed and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            self._has_changed = not index.is_current()
        return self._has_changed

    def order(self, index: LabelIndex, query: Query) -> np.ndarray:
        """Numbers of the rows of an index that a query shows, in order, not to be changed.

        A page asks for those of the index that it was built with: another page may have had the labels read again.

        Raises:
            ValueError: The audit that the query names is none, or there is nothing to draw from; a file of verdicts
                cannot be read.
        """
        judged = self.judged.of(index) if query.verdicts else None
        key = index.stamp if judged is None else judged.stamp, query.order
        with self._ordering:
            if key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        others = () if judged is None else judged.masks(query)
        rows = drawn_rows(index, query) if query.audit else index.query(query, others)
        rows.flags.writeable = False
        with self._ordering:
            self._orders[key] = rows
            while len(self._orders) > _ORDERS:
                self._orders.popitem(last=False)
        return rows

    def start_background(self, work: Callable[[], None]) -> None:
        """Has something done, once, as soon as the first page is seen."""
        self._background.append(work)

    def begin_background(self) -> None:
        """Starts what was to be done then: a page is seen, or waits for it."""
        waiting, self._background = self._background, []
        for work in waiting:
            threading.Thread(target=work, daemon=True).start()

"""Verdicts of everybody on the people that are looked at, and the file of those that are given here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from datasets_manifest.reviews.digest import label_digests
from datasets_manifest.reviews.schema import REVIEW_FORM, Judgement, Review
from datasets_manifest.reviews.session import ReviewSession
from datasets_manifest.reviews.standing import Said, standing
from datasets_manifest.schema.ehm_fields import PART_NAMES, Part
from datasets_manifest.schema.labels import Status
from datasets_manifest.sittings import read_sittings, sitting_files
from tasks.version import code_version
from tasks.view.index import Label
from tasks.view.state import View

_LOCK = threading.Lock()
_BOOKS: WeakKeyDictionary[View, VerdictBook] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """The last verdict of one person on a part of a label."""

    review: Review
    """What was said."""
    is_stale: bool
    """Whether the label came out differently since: shown, not obeyed."""


class VerdictBook:
    """Reads verdicts on labels and adds those of one reviewer; threads share it."""

    def __init__(self, folder: Path, reviewer: str) -> None:
        """Takes the folder of the reviews of all data sets, and who judges here."""
        self._folder, self.reviewer = folder, reviewer
        self._sessions: dict[str, ReviewSession] = {}
        self._lock = threading.Lock()

    def of(self, label: Label) -> dict[Part, list[Given]]:
        """The verdicts that hold on each part of a label, one a person, the newest first.

        Raises:
            ValueError: A file of reviews cannot be read.
        """
        row, digest = label.row, label_digests(label.table)[0]
        found: dict[Part, list[Given]] = {part: [] for part in PART_NAMES}
        last = {(one.part, one.reviewer): one for one in self._standing(row["dataset"], row["sample_id"])}
        for review in last.values():
            found[review.part].append(Given(review=review, is_stale=review.label_digest != digest))
        for own in found.values():
            own.sort(key=lambda given: given.review.reviewed_utc, reverse=True)
        return found

    def give(
        self, label: Label, verdicts: Mapping[Part, Judgement], *, note: str | None = None, audit: str | None = None
    ) -> list[Review]:
        """Puts verdicts on disk; they count when this returns.

        Raises:
            ValueError: The label is of somebody who failed.
            WriteError: The file cannot be written; nothing was given.
        """
        row = label.row
        if row["status"] == Status.FAILED:
            raise ValueError("whoever failed has no label to judge")
        now, digest = datetime.now(UTC), label_digests(label.table)[0]
        given = [
            Review(
                sample_id=row["sample_id"],
                part=part,
                verdict=verdict,
                reviewer=self.reviewer,
                reviewed_utc=now,
                label_config_hash=label.config_hash,
                label_digest=digest,
                note=note or None,
                audit=audit or None,
            )
            for part, verdict in verdicts.items()
        ]
        self._add(row["dataset"], given)
        return given

    def take_back(self, dataset: str, given: Review) -> bool:
        """Takes back a verdict of this reviewer: what they had said before holds again, as it was given.

        Returns:
            Whether it was still their last one on the part; otherwise nothing is done.

        Raises:
            ValueError: A file of reviews cannot be read.
            WriteError: The file cannot be written; the verdict stands.
        """
        own = [
            one
            for one in self._standing(dataset, given.sample_id)
            if (one.part, one.reviewer) == (given.part, given.reviewer) and given.audit in (None, one.audit)
        ]
        if own[-1:] != [given]:
            return False
        # A clock that was set back must not date this before what it takes back.
        now = max(datetime.now(UTC), given.reviewed_utc)
        self._add(dataset, [replace(given, verdict="none", note=None, reviewed_utc=now)])
        return True

    def _add(self, dataset: str, reviews: Sequence[Review]) -> None:
        with self._lock:
            if dataset not in self._sessions:
                self._sessions[dataset] = ReviewSession(
                    self._folder, dataset, started_utc=reviews[0].reviewed_utc, code_version=code_version()
                )
            self._sessions[dataset].add(*reviews)

    def _standing(self, dataset: str, sample_id: str) -> list[Review]:
        """What everybody said of a person and did not take back, the oldest first."""
        with self._lock:
            session = self._sessions.get(dataset)
            own = [] if session is None else [one for one in session.verdicts if one.sample_id == sample_id]
            states = list(_states(self._folder / dataset, None if session is None else session.path))
        said = [one for state in states for one in _said_in(*state).get(sample_id, ())] + own
        said.sort(key=lambda one: one.reviewed_utc)
        places = standing(Said(one.sample_id, one.part, one.reviewer, one.verdict, one.audit) for one in said)
        return [said[place] for place in places]


def told(said: list[Given], reviewer: str, audit: str) -> list[Given]:
    """What a reviewer is told of a part: in an audit only their own word, until they have judged this label in it."""
    own = [given for given in said if given.review.reviewer == reviewer]
    has_judged = any(given.review.audit == audit and not given.is_stale for given in own)
    return said if has_judged or not audit else own


def book_of(view: View) -> VerdictBook:
    """The verdicts of a process, which writes one file a data set, however many pages are open."""
    with _LOCK:
        return _BOOKS.setdefault(view, VerdictBook(view.opened.reviews, view.opened.reviewer))


def _states(folder: Path, but: Path | None) -> Iterator[tuple[str, int, int, int]]:
    """The sittings of a data set, but for one."""
    for path in sitting_files(folder) if folder.is_dir() else ():
        if but is None or path.resolve() != but:
            state = os.stat(path)
            yield str(path), state.st_size, state.st_mtime_ns, state.st_ino


@lru_cache(maxsize=1024)
def _said_in(path: str, *_state: int) -> dict[str, list[Review]]:
    """The verdicts of one sitting by sample, read again only when it has changed."""
    rows: list[dict[str, Any]] = read_sittings([Path(path)], REVIEW_FORM).to_pylist()
    said: dict[str, list[Review]] = {}
    for row in rows:
        said.setdefault(row["sample_id"], []).append(Review(**row))
    return said

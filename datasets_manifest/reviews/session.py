"""Writing of verdicts: one file a session, whole on disk before ``add`` returns."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from datasets_manifest.reviews.schema import REVIEW_FORM, Review
from datasets_manifest.sittings import Sitting


class ReviewSession(Sitting[Review]):
    """The verdicts of one reviewer on one data set, from the first to the last of a sitting."""

    def __init__(self, folder: Path | str, dataset: str, *, started_utc: datetime, code_version: str) -> None:
        """As ``Sitting``."""
        super().__init__(REVIEW_FORM, folder, dataset, started_utc=started_utc, code_version=code_version)

    @property
    def verdicts(self) -> tuple[Review, ...]:
        """Those given so far, in their order."""
        return self.rows

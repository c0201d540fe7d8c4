"""Writing of verdicts: one file a session, whole on disk before ``add`` returns."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_manifest.files import whole_file
from datasets_manifest.paths import inside
from datasets_manifest.reviews.schema import METADATA_KEY, REVIEW_SCHEMA, SCHEMA_VERSION, Review


class ReviewSession:
    """The verdicts of one reviewer on one data set, from the first to the last of a sitting."""

    def __init__(self, folder: Path | str, dataset: str, *, started_utc: datetime, code_version: str) -> None:
        """Makes nothing yet: a session without a verdict leaves no file.

        Args:
            folder: Of the reviews of all data sets.
            dataset: Id of the data set, the name of its folder there.
            started_utc: Start of the session, which its file is called after.
            code_version: Stated in the file.
        """
        name = f"{started_utc:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.parquet"
        self.path = inside(Path(folder), dataset) / name
        stated = {"schema_version": SCHEMA_VERSION, "code_version": code_version}
        self._schema = REVIEW_SCHEMA.with_metadata({METADATA_KEY: json.dumps(stated).encode()})
        self._rows: list[Review] = []

    @property
    def verdicts(self) -> tuple[Review, ...]:
        """Those given so far, in their order."""
        return tuple(self._rows)

    def add(self, *reviews: Review) -> None:
        """Puts verdicts on disk; when this returns, a power cut does not lose them.

        Raises:
            WriteError: The file cannot be written; the earlier verdicts stay on disk, these are not counted as given.
        """
        rows = [*self._rows, *reviews]
        table = pa.Table.from_pylist([asdict(row) for row in rows], schema=self._schema)
        with whole_file(self.path) as file:
            pq.write_table(table, file, compression="zstd")
        self._rows = rows

"""Which Parquet files are opened."""

import pyarrow.parquet as pq
import pytest


def watch_opens(monkeypatch: pytest.MonkeyPatch, *, without: str = "no such name") -> list[str]:
    """The files opened from now on, in order; those with ``without`` in their path are not counted."""
    opened: list[str] = []

    class Watched(pq.ParquetFile):
        def __init__(self, source, **options):
            super().__init__(source, **options)
            if without not in str(source):
                opened.append(str(source))

    monkeypatch.setattr(pq, "ParquetFile", Watched)
    return opened

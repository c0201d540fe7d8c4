"""What people say of labels, kept as files of sittings: one a person and sitting, whole on disk, only ever added to.

    <folder>/<data set>/<start of the sitting, UTC>-<8 hex digits>.parquet

No two people write one file. Of what is said twice of the same thing, the newest counts, whoever said it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets_manifest.files import whole_file
from datasets_manifest.paths import inside

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """What files of one kind of sayings look like."""

    folder: str
    """What their folder is called, for messages."""
    noun: str
    """One of them, in the plural."""
    key: bytes
    """Entry of the Parquet metadata, JSON: ``schema_version`` and ``code_version``."""
    version: int
    """Of the schema."""
    schema: pa.Schema
    """Columns."""
    time: str
    """Column that says when."""
    about: tuple[str, ...]
    """Columns that say of what."""
    words: Mapping[str, Sequence[Any]]
    """Columns with a closed set of values."""


class Sitting(Generic[Row]):
    """What one person says of one data set, from the first to the last of a sitting; rows are dataclasses."""

    def __init__(
        self, form: Form, folder: Path | str, dataset: str, *, started_utc: datetime, code_version: str
    ) -> None:
        """Makes nothing yet: a sitting in which nothing is said leaves no file.

        Args:
            form: Of the file.
            folder: Of the files of all data sets.
            dataset: Id of the data set, the name of its folder there.
            started_utc: Start of the sitting, which its file is called after.
            code_version: Stated in the file.
        """
        name = f"{started_utc:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.parquet"
        self.path = inside(Path(folder), dataset) / name
        stated = {"schema_version": form.version, "code_version": code_version}
        self._schema = form.schema.with_metadata({form.key: json.dumps(stated).encode()})
        self._rows: list[Row] = []

    @property
    def rows(self) -> tuple[Row, ...]:
        """What was said so far, in its order."""
        return tuple(self._rows)

    def add(self, *rows: Row) -> None:
        """Puts rows on disk; when this returns, a power cut does not lose them.

        Raises:
            WriteError: The file cannot be written; earlier rows stay on disk, these do not count as said.
        """
        said = [*self._rows, *rows]
        table = pa.Table.from_pylist([asdict(row) for row in said], schema=self._schema)
        with whole_file(self.path) as file:
            pq.write_table(table, file, compression="zstd")
        self._rows = said


def sitting_files(folder: Path) -> list[Path]:
    """The files of all sittings below a folder, in order."""
    return sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith("."))


def read_sittings(files: Sequence[Path], form: Form) -> pa.Table:
    """The rows of some files, one after the other.

    Raises:
        ValueError: One is no file of this form, damaged, or of another version.
    """
    tables = [_read(path, form) for path in files]
    return pa.concat_tables(tables) if tables else form.schema.empty_table()


def by_time(table: pa.Table, form: Form) -> list[int]:
    """The rows from the oldest to the newest; those of the same instant in their order."""
    return np.argsort(table[form.time].cast(pa.int64()).to_numpy(), kind="stable").tolist()


def newest(table: pa.Table, form: Form) -> pa.Table:
    """Of the rows about the same the newest; of two of the same instant, that which comes later in the table."""
    about = list(zip(*(table[name].to_pylist() for name in form.about), strict=True))
    chosen = {about[row]: row for row in by_time(table, form)}
    return table.take(pa.array(sorted(chosen.values()), pa.int64()))


def _read(path: Path, form: Form) -> pa.Table:
    try:
        # At one go: whoever says more meanwhile replaces the file, and parts of two would be read.
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read()
        table.validate(full=True)
        stated = json.loads((table.schema.metadata or {}).get(form.key, b"null"))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise ValueError(f"{form.folder}: {path} cannot be read ({error}); move it away") from error
    version = stated.get("schema_version") if isinstance(stated, dict) else None
    if version != form.version or not table.schema.equals(form.schema):
        raise ValueError(
            f"{form.folder}: {path} is no file of {form.noun} of version {form.version} (it states {version}); move it"
            " away, or use the program that wrote it"
        )
    for name, known in form.words.items():
        if other := sorted(set(map(str, table[name].to_pylist())) - set(map(str, known))):
            expected = ", ".join(map(str, known))
            raise ValueError(f"{form.folder}: {path} has the {name} {other[0]!r}, expected {expected}; move it away")
    return table.replace_schema_metadata(None)

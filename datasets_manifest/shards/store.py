"""Shards on disk: written whole or not at all, with a footer that says how they were made.

A shard is finished if, and only if, its final file is there, can be read, and its footer has this run's config hash.
Temporary files begin with a dot, so that ``pandas.read_parquet("labels/")`` and every other reader passes over them.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datasets_manifest.canonical import canonical_json, config_hash
from datasets_manifest.schema.labels import SCHEMA_VERSION, Status
from datasets_manifest.schema.upgrades import UPGRADES

__all__ = [
    "FOOTER_KEYS",
    "UPGRADES",
    "Footer",
    "ShardError",
    "canonical_json",
    "config_hash",
    "is_complete",
    "read_footer",
    "read_shard",
    "shard_path",
    "sweep_temporary",
    "write_shard",
]

log = logging.getLogger(__name__)

FOOTER_KEYS = (
    "schema_version",
    "code_version",
    "config_hash",
    "config",
    "body_model",
    "estimators",
    "manifest",
    "shard",
    "row_count",
    "failed_count",
    "created_utc",
)
"""Keys of the Parquet key-value metadata of every shard; each value is JSON."""

STALE_SECONDS = 3600.0
"""A temporary file that nobody holds is swept after this time even if a process with its writer's id is alive."""

_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.[0-9a-f]{16}\.partial")


class ShardError(ValueError):
    """A shard cannot be read or is not what was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Footer:
    """How a shard was made. ``write_shard`` counts the rows itself, so the counts always agree with the table."""

    config: Mapping[str, Any]
    """Everything that decides the content; its canonical JSON makes ``config_hash``."""
    code_version: str
    """Version of this package, with the commit where it is known."""
    manifest: Mapping[str, Any]
    """id, version and hash of the manifest."""
    shard: str
    """Name of the shard inside its data set and split, such as 00012."""
    body_model: Mapping[str, Any] = field(default_factory=dict)
    """name and sha256 of the body model; empty where none is used."""
    estimators: tuple[Mapping[str, Any], ...] = ()
    """name, version, sha256 of the weights and licence, one each."""
    schema_version: int = SCHEMA_VERSION
    """Version of the schema of the rows."""
    created_utc: str = ""
    """ISO time; empty = now, or SOURCE_DATE_EPOCH where that is set (then files are the same byte for byte)."""
    row_count: int = -1
    """Rows in the file; filled in on writing."""
    failed_count: int = -1
    """Rows with status failed; filled in on writing."""

    @property
    def config_hash(self) -> str:
        """sha256 of the canonical config."""
        return config_hash(self.config)


def shard_path(root: Path | str, dataset: str, split: str, shard: int | str) -> Path:
    """Return ``<root>/<dataset>/<split>/<shard>.parquet``; a whole number becomes five digits."""
    name = f"{shard:05d}" if isinstance(shard, int) else shard
    return Path(root) / dataset / split / f"{name}.parquet"


def write_shard(path: Path | str, table: pa.Table, footer: Footer) -> Footer:
    """Write a table with its footer so that the final name only ever shows a whole file; return the footer as written.

    Order: a new file of a unique hidden name in the same folder, fsync, rename onto ``path``, fsync of the folder.
    A file already there is replaced. Any number of processes may write the same path at once; the last one stays.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    full = _completed(footer, table)
    values = {key: getattr(full, key) for key in FOOTER_KEYS}
    metadata = {key: canonical_json(value) for key, value in values.items()}
    temporary = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}.partial"
    try:
        with open(temporary, "xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            pq.write_table(table.replace_schema_metadata(metadata), file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            _raise_write_error(error, path)
        raise
    _fsync_folder(path.parent)
    return full


def read_footer(path: Path | str) -> Footer:
    """Read the footer of a shard, without its rows.

    Raises:
        FileNotFoundError: no such file.
        ShardError: the file is not a readable Parquet file, or not a shard of ours.
    """
    path = Path(path)
    try:
        with pq.ParquetFile(path) as file:
            return _parse_footer(path, file.metadata.metadata, file.metadata.num_rows)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"Shard {path} cannot be read as Parquet ({error}); delete it and run again.") from error


def read_shard(path: Path | str, schema: pa.Schema) -> pa.Table:
    """Read the rows of a shard (page checksums are verified) and bring an older version up to this one.

    Args:
        path: the shard.
        schema: the columns and types that are expected; the table has exactly them.

    Raises:
        FileNotFoundError: no such file.
        ShardError: unreadable, of a version that cannot be upgraded (both versions are named), or with other columns.
    """
    footer = read_footer(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"Shard {path} is damaged ({error}); delete it and run again.") from error
    table = _upgraded(Path(path), table, footer.schema_version)
    _check_columns(Path(path), table.schema, schema)
    return table.select(schema.names).cast(schema)


def is_complete(path: Path | str, config_hash: str) -> bool:
    """Return True if the final file is there, is readable, and was made with this config.

    An unreadable file is logged and counts as not done: the shard is then computed again and the file replaced.
    """
    try:
        footer = read_footer(path)
    except FileNotFoundError:
        return False
    except ShardError as error:
        log.warning("%s It counts as not done and will be replaced.", error)
        return False
    if footer.schema_version != SCHEMA_VERSION:
        log.info("Shard %s has schema version %s, not %s.", path, footer.schema_version, SCHEMA_VERSION)
        return False
    return footer.config_hash == config_hash


def sweep_temporary(root: Path | str, *, recursive: bool = True) -> list[Path]:
    """Delete the temporary files that dead writers left under ``root``; return what was deleted.

    Without ``recursive`` only the folder itself is looked at.

    A file stays while its writer lives: while it is locked (on any machine that shares the disk's locks), or while a
    process of its writer's id runs and the file is younger than ``STALE_SECONDS``.
    """
    swept: list[Path] = []
    for path in sorted(Path(root).glob(("**/" if recursive else "") + ".*.partial")):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or not path.is_file() or path.is_symlink():
            continue
        if _is_abandoned(path, int(match["pid"])):
            path.unlink(missing_ok=True)
            swept.append(path)
    if swept:
        log.info("Swept %d temporary file(s) of interrupted writers under %s.", len(swept), root)
    return swept


def _completed(footer: Footer, table: pa.Table) -> Footer:
    failed = 0
    if "status" in table.column_names:
        failed = pc.sum(pc.equal(table["status"].cast(pa.string()), Status.FAILED.value)).as_py() or 0
    return replace(footer, row_count=table.num_rows, failed_count=failed, created_utc=footer.created_utc or _utc_now())


def _utc_now() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    when = float(epoch) if epoch else time.time()
    return datetime.datetime.fromtimestamp(when, datetime.UTC).isoformat(timespec="seconds")


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_write_error(error: OSError, path: Path) -> NoReturn:
    # Arrow wraps what the operating system said, so its number can be missing from the exception itself.
    number = error.errno or (errno.ENOSPC if "No space left" in str(error) else errno.EIO)
    what = "The disk is full" if number in (errno.ENOSPC, errno.EDQUOT) else f"Writing failed ({error})"
    raise OSError(number, f"{what}: shard {path} was not written and nothing is left of it; run again.") from error


def _parse_footer(path: Path, metadata: Mapping[bytes, bytes] | None, num_rows: int) -> Footer:
    raw = metadata or {}
    missing = [key for key in FOOTER_KEYS if key.encode() not in raw]
    if missing:
        raise ShardError(f"Shard {path} has no {', '.join(missing)} in its footer; it was not written by this project.")
    try:
        values = {key: json.loads(raw[key.encode()]) for key in FOOTER_KEYS}
        stated_hash = values.pop("config_hash")
        footer = Footer(**{**values, "estimators": tuple(values["estimators"])})
        actual_hash = footer.config_hash
    except (ValueError, TypeError) as error:
        raise ShardError(f"Shard {path} has a footer that is not valid JSON ({error}); run it again.") from error
    if actual_hash != stated_hash:
        raise ShardError(f"Shard {path}: its footer's config has the hash {actual_hash}, but it states {stated_hash}.")
    if footer.row_count != num_rows:
        raise ShardError(f"Shard {path} has {num_rows} rows, but its footer states {footer.row_count}.")
    return footer


def _upgraded(path: Path, table: pa.Table, version: int) -> pa.Table:
    steps = range(version, SCHEMA_VERSION)
    if version > SCHEMA_VERSION or any(step not in UPGRADES for step in steps):
        raise ShardError(
            f"Shard {path} has schema version {version}, this program reads version {SCHEMA_VERSION} and has no way "
            f"from one to the other; use the program that wrote it, or make the shard again."
        )
    for step in steps:
        table = UPGRADES[step](table)
    return table


def _check_columns(path: Path, found: pa.Schema, expected: pa.Schema) -> None:
    absent = [name for name in expected.names if name not in found.names]
    extra = [name for name in found.names if name not in expected.names]
    other = [
        f"{name} is {found.field(name).type}, expected {expected.field(name).type}"
        for name in expected.names
        if name in found.names and found.field(name).type != expected.field(name).type
    ]
    if absent or extra or other:
        raise ShardError(
            f"Shard {path} does not have the expected columns: absent {absent}, unknown {extra}, other type {other}."
        )


def _is_abandoned(path: Path, pid: int) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            age = time.time() - os.fstat(file.fileno()).st_mtime
    except (FileNotFoundError, BlockingIOError):
        return False
    return age > STALE_SECONDS or not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True

"""Shards on disk: written whole or not at all, with a footer that says how they were made.

Temporary files begin with a dot, so that ``pandas.read_parquet("labels/")`` and every other reader passes over them.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import logging
import os
import re
import secrets
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datasets_manifest.canonical import canonical_json
from datasets_manifest.schema.labels import Status
from datasets_manifest.shards.footer import FOOTER_KEYS, Footer

log = logging.getLogger(__name__)

STALE_SECONDS = 3600.0
"""A temporary file that nobody holds is swept after this time even if a process with its writer's id is alive."""

_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.[0-9a-f]{16}\.partial")


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

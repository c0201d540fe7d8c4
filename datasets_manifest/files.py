"""Files that are written whole or not at all, and their hashes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedWriter, BytesIO
from pathlib import Path
from typing import Any

from datasets_manifest.paths import MAX_NAME_BYTES
from datasets_manifest.stores import Place, place_of, put

log = logging.getLogger(__name__)

_FULL = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The quota of the disk is used up",
    errno.EROFS: "The disk may only be read",
}
STALE_SECONDS = 3600.0
"""A temporary file that nobody holds is swept after this time even if a process with its writer's id is alive."""

_TEMPORARY = re.compile(r"\..*\.(?P<pid>\d+)\.[0-9a-f]{16}\.partial")


def file_sha256(path: Path) -> str:
    """Hash of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other processes that ask for it waiting.

    The end of a process, however it comes, frees the folder. On a disk that cannot lock folders, as some network disks
    cannot, nobody waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def shortened(name: str, num_bytes: int) -> str:
    """The beginning of a name, of at most so many bytes and of whole letters."""
    return os.fsencode(name)[:num_bytes].decode("utf-8", "ignore")


class WriteError(OSError):
    """A file that could not be written, because of its disk or of what stands in its place. Its text is a sentence."""

    @classmethod
    def of(cls, path: Place, error: OSError) -> WriteError:
        """What the system said of a file."""
        # Arrow wraps what the system said, so that its number can be missing.
        number = error.errno or (errno.ENOSPC if "No space left" in str(error) else errno.EIO)
        what = _FULL.get(number, f"Writing failed ({error.strerror or error})")
        text = f"{what}: {path} was not written and nothing is left of it; mend that and run the same command again."
        return cls(number, text)

    @property
    def is_of_disk(self) -> bool:
        """Whether no other file could be written either, nor this one by another try."""
        return self.errno in (*_FULL, errno.EIO, errno.EFBIG)

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def held_record(folder: Path, record: Mapping[str, Any], check: Callable[[Mapping[str, Any]], None]) -> Iterator[None]:
    """Keeps a record in a folder for as long as the block lasts, beside those of other blocks and processes.

    The end of a process, however it comes, ends its records. On a disk that cannot lock files, none is ever seen.

    Args:
        folder: Is made; holds records alone.
        record: Plain values.
        check: Called with each record of a block that still lasts; what it raises is raised before the block begins.
    """
    with alone_in(folder):
        for path in sorted(folder.glob("*.json")):
            if (other := _held(path)) is not None:
                check(other)
        path = folder / f"{os.getpid()}.{secrets.token_hex(8)}.json"
        file = path.open("x", encoding="utf-8")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        json.dump(record, file)
        file.flush()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _held(path: Path) -> Mapping[str, Any] | None:
    """The record of a file whose holder lives; a file that nobody holds is deleted."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return json.load(file)
        except OSError:
            return None
        path.unlink()
    return None


@contextmanager
def whole_file(path: Place, stated: Mapping[str, str] | None = None) -> Iterator[BufferedWriter | BytesIO]:
    """Opens a new file that takes the place of ``path`` at the end of the block, or leaves nothing after an error.

    In a store that is one put; ``stated`` becomes the metadata of the object, and is nowhere else.

    On a disk: a new file of a unique hidden name in the same folder, fsync, rename onto ``path``, fsync of the folder.
    Any number of processes may replace the same file at once; the last one stays. Temporary names begin with a dot, so
    that ``pandas.read_parquet("labels/")`` and every other reader passes over them.

    Raises:
        WriteError: The file cannot be written.
    """
    if not isinstance(path, Path):
        yield (whole := BytesIO())
        try:
            put(path, whole.getvalue(), stated)
        except OSError as error:
            raise WriteError.of(path, error) from error
        return
    ending = f".{os.getpid()}.{secrets.token_hex(8)}.partial"
    temporary = path.parent / f".{shortened(path.name, MAX_NAME_BYTES - 1 - len(ending))}{ending}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
        _fsync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, WriteError):
            raise WriteError.of(path, error) from error
        raise


def write_lines(path: Place, lines: Iterable[str]) -> None:
    """``write_bytes`` of UTF-8 text that need not be in memory at once."""
    with whole_file(path) as file:
        file.writelines(line.encode("utf-8") for line in lines)


def write_bytes(path: Place, data: bytes) -> None:
    """Replaces a file in one step; a reader sees the old content or the new, never a part."""
    with whole_file(path) as file:
        file.write(data)


def write_text(path: Place, text: str) -> None:
    """``write_bytes`` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def sweep_temporary(root: Place | str, *, recursive: bool = True) -> list[Path]:
    """Delete the temporary files that dead writers left under ``root``; return what was deleted. Of a store: nothing.

    Without ``recursive`` only the folder itself is looked at.

    A file stays while its writer lives: while it is locked (on any machine that shares the disk's locks), or while a
    process of its writer's id runs and the file is younger than ``STALE_SECONDS``.
    """
    swept: list[Path] = []
    place = place_of(root)
    if not isinstance(place, Path):
        return swept
    for path in sorted(place.glob(("**/" if recursive else "") + ".*.partial")):
        match = _TEMPORARY.fullmatch(path.name)
        if match is None or not path.is_file() or path.is_symlink():
            continue
        if _is_abandoned(path, int(match["pid"])):
            path.unlink(missing_ok=True)
            swept.append(path)
    if swept:
        log.info("Swept %d temporary file(s) of interrupted writers under %s.", len(swept), root)
    return swept


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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

"""Stores of objects, such as s3://bucket/labels: what of files is otherwise there than on a disk, written once.

A place is a path of this machine, a plain ``pathlib.Path``, or an address in a store, a ``UPath`` with the methods of a
path that only read. A store knows no rename, no lock and no folder. An object appears whole, by one put, or not at all;
whoever puts last is read next.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from zlib import crc32

from datasets_manifest.paths import is_address, placed
from datasets_manifest.store_answers import answer_of, raised_as_os_error, status_of, store_of

if TYPE_CHECKING:  # What runs without stores runs without their packages.
    from upath import UPath

Place: TypeAlias = "Path | UPath"

_PACKAGES = {"s3": "pip install -e '.[s3]'", "gs": "pip install gcsfs"}
"""Kinds of stores, and what installs the package that reaches them."""
_METADATA = {"s3": "Metadata", "gs": "metadata"}
"""What the argument of a put is called that an object's metadata are given by."""
_OTHERS = (409, 412)
"""HTTP statuses of a put that others were faster with: at the same moment, or before."""


class FileState(Protocol):
    """What tells a file that was replaced from the one before; ``os.stat_result`` has it."""

    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ObjectState:
    """The state of an object."""

    st_size: int
    """Bytes."""
    st_mtime_ns: int
    """The second of its last change; the part below a second, which stores do not tell, is a checksum of its ETag."""

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> ObjectState:
        """From what fsspec says of an object."""
        changed = info.get("LastModified", info.get("mtime"))
        tag = str(info.get("ETag", info.get("etag", "")))
        seconds = 0 if changed is None else int(changed.timestamp())
        return cls(int(info["size"]), seconds * 10**9 + crc32(tag.encode()) % 10**9)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a list; has what is asked of an ``os.DirEntry``."""

    path: str
    """Its address."""
    state: ObjectState

    @property
    def name(self) -> str:
        """The end of it."""
        return self.path.rpartition("/")[2]

    def stat(self) -> ObjectState:
        """Its state when it was listed."""
        return self.state


def place_in(folder: str | Path, text: str) -> str:
    """A path or an address, as text that needs no folder: the path absolute.

    Raises:
        ValueError: As ``placed``; or an address of a kind that there is no way to, or that names no bucket.
    """
    if not is_address(text):
        return str(placed(text, folder))
    kind, mark, rest = text.partition("://")
    if kind not in _PACKAGES or not mark:
        known = " or ".join(f"{kind}://" for kind in _PACKAGES)
        raise ValueError(f"Expected a path, or an address that begins with {known}, got {text!r}.")
    bucket, *folders = rest.rstrip("/").split("/")
    if not bucket or {"", ".", ".."} & {*folders} or set("?#*@") & {*rest}:
        raise ValueError(f"Expected an address as {kind}://bucket/folder, got {text!r}.")
    _check_package(kind)
    return "/".join([f"{kind}://{bucket}", *folders])


@lru_cache
def _check_package(kind: str) -> None:
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(kind)
    except ImportError as error:
        raise ValueError(f"Addresses {kind}:// need a package that is not installed: {_PACKAGES[kind]}") from error


def place_of(text: str | Place) -> Place:
    """The place that a text of ``place_in`` names."""
    if isinstance(text, str) and is_address(text):
        from upath import UPath

        return UPath(text, use_listings_cache=False)
    return Path(text) if isinstance(text, str) else text


def typed_place(text: str) -> Place:
    """The path or address that a person typed.

    Raises:
        ValueError: As ``place_in``.
    """
    return place_of(place_in("", text))


def check_store(place: Place) -> None:
    """Asks a store for something, so that what is wrong with it ends a command before work is done.

    Raises:
        ValueError: The bucket is not there, may not be read, or cannot be reached.
    """
    if isinstance(place, Path):
        return
    with _told(place, "cannot be looked at"):
        try:
            answer_of(place, lambda: store_of(place).info(place.path))
        except FileNotFoundError:  # Nothing is there yet, or there is no bucket.
            with suppress(PermissionError):  # Of a key that opens only what is below the address.
                answer_of(place, lambda: store_of(place).info(place.path.split("/", 1)[0]))


def below(root: Place, path: Place | str) -> str:
    """What the path of something below a place is from there; of a bucket too, whose address ends with a slash."""
    return str(path).removeprefix(f"{str(root).rstrip('/')}/")


def put(place: UPath, data: bytes, stated: Mapping[str, str] | None = None) -> None:
    """Puts an object in one step; a reader sees what was there before or the new one, never a part.

    Args:
        place: Its address.
        data: Its bytes.
        stated: Metadata of it: ASCII, 2 kB together.

    Raises:
        OSError: The store did not take it.
    """
    more: dict[str, Any] = {_METADATA[place.protocol]: dict(stated)} if stated else {}
    answer_of(place, lambda: store_of(place).pipe_file(place.path, data, **more))


def put_if_absent(place: UPath, data: bytes) -> bool:
    """Puts an object unless there is one; of several who try at once one succeeds. Returns whether this one did, which
    one that succeeded and did not hear of it does not know.

    Raises:
        OSError: The store did not answer.
    """
    try:
        answer_of(place, lambda: store_of(place).pipe_file(place.path, data, mode="create"))
    except FileExistsError:
        return False
    except OSError as error:
        if status_of(error) in _OTHERS:
            return False
        raise
    return True


def get(place: UPath, start: int | None = None, end: int | None = None) -> bytes:
    """The bytes of an object, or those of a range of it that is not empty.

    Raises:
        FileNotFoundError: It is not there.
        OSError: The store does not give it.
    """
    found = answer_of(place, lambda: store_of(place).cat_file(place.path, start=start, end=end))
    return bytes(found)  # pyright: ignore[reportArgumentType]


def opened(place: UPath, block_bytes: int = 4 << 20) -> BytesIO | BufferedReader:
    """An object to be read here and there: small ones at once, of others blocks about what is asked for.

    Raises:
        OSError: As ``get``; so does reading.
    """
    size = state_of(place).st_size
    if size <= block_bytes:
        return BytesIO(get(place))
    return BufferedReader(_Ranges(place, size), block_bytes)


class _Ranges(RawIOBase):
    """An object as a file that asks the store for whatever is read."""

    def __init__(self, place: UPath, size: int) -> None:
        self._place, self._size, self._at = place, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        self._at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        end = min(self._at + len(buffer), self._size)
        if self._at >= end:
            return 0
        data = get(self._place, self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def delete(place: UPath) -> None:
    """Deletes an object; one that is gone may be.

    Raises:
        OSError: The store did not do it.
    """
    with suppress(FileNotFoundError):
        answer_of(place, lambda: store_of(place).rm_file(place.path))


def stated_of(place: UPath) -> Mapping[str, str]:
    """Metadata of an object, by one request; raises FileNotFoundError."""
    if place.protocol == "gs":
        return answer_of(place, lambda: store_of(place).info(place.path)).get("metadata", {})
    return answer_of(place, lambda: store_of(place).metadata(place.path))


def state_of(place: Place) -> FileState:
    """The state of a file or object; raises FileNotFoundError."""
    if isinstance(place, Path):
        return place.stat()
    info = answer_of(place, lambda: store_of(place).info(place.path))
    if info["type"] != "file":
        raise FileNotFoundError(errno.ENOENT, "No such object", str(place))
    return ObjectState.of(info)


def is_file(place: Place) -> bool:
    """Whether there is a file or object; ``UPath.is_file`` also says no where a store does not answer."""
    if isinstance(place, Path):
        return place.is_file()
    try:
        state_of(place)
    except FileNotFoundError:
        return False
    return True


def listed(root: UPath) -> Iterator[Listed]:
    """The objects below an address in the order of their names, hidden ones left out; of one folder at a time.

    Raises:
        ValueError: As ``check_store``.
    """
    with _told(root, "cannot be listed"):
        try:
            found = answer_of(root, lambda: store_of(root).ls(root.path, detail=True))
        except FileNotFoundError:
            found = None
    if found is None:
        check_store(root)
        return
    for info in sorted(found, key=lambda info: info["name"]):
        name = info["name"].rstrip("/")
        if name == root.path.rstrip("/") or name.rpartition("/")[2].startswith("."):
            continue
        if info["type"] == "directory":
            yield from listed(root / name.rpartition("/")[2])
        else:
            yield Listed(f"{root.protocol}://{name}", ObjectState.of(info))


@contextmanager
def _told(place: UPath, what: str) -> Iterator[None]:
    """What goes wrong with a store, in one sentence."""
    try:
        with raised_as_os_error():
            yield
    except OSError as error:
        raise ValueError(
            f"{place} {what} ({error.strerror or error}); see that the bucket is there, that it can be reached, and "
            "that the environment has a key for it."
        ) from error

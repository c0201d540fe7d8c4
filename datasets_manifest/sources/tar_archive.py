"""A tar file as a set of named byte ranges: indexed once, read without unpacking."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from datasets_manifest.paths import plain
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import MAX_FILE_BYTES, file_error
from datasets_manifest.sources.images import ImageError, UnreachableError
from datasets_manifest.stores import Place, get, opened, state_of

if TYPE_CHECKING:
    from upath import UPath

_BLOCK_BYTES = 64 << 10
"""Of a tar file in a store that are asked for at each header."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TarArchive:
    """An uncompressed tar file. Every read opens it anew, so it can be forked, pickled and used by several threads."""

    path: Place
    """The file, or the address of an object in a store, of which ranges are asked for."""
    members: dict[str, tuple[int, int]] = field(repr=False)
    """Name of a regular file in it (without a leading ./) to the offset and number of its bytes."""
    size: int
    """Bytes of the tar file when it was indexed."""
    modified_ns: int
    """Its modification time then."""
    refused: tuple[str, ...] = ()
    """Members that are left out because of their names, which lead outside the tar file."""

    @classmethod
    def index(cls, path: Place) -> TarArchive:
        """Reads the headers of a tar file, not its contents. A name that occurs twice is the later member, as for tar.

        Raises:
            ValueError: The file is missing, compressed, damaged, cut short, or no tar file.
        """
        try:
            state = state_of(path)
            if isinstance(state, os.stat_result) and not stat.S_ISREG(state.st_mode):
                raise OSError(f"it is no file but {stat.filemode(state.st_mode)}")  # A pipe would keep one waiting.
            with _opened(path) as data, tarfile.open(fileobj=data, mode="r:") as file:
                members = dict(_regular(file))
                data.seek(file.offset)
                is_whole = data.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)  # The mark of its end.
            refused = tuple(sorted(name for name in members if not _is_plain(name, path)))
        except FileNotFoundError as error:
            raise ValueError(f"The tar file {path} does not exist.") from error
        except OSError as error:
            problem = file_error(f"the tar file {path}", error)
            raise problem if isinstance(problem, UnreachableError) else ValueError(_unreadable(path, error)) from error
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(_unreadable(path, error)) from error
        late = [name for name, (offset, size) in members.items() if offset + size > state.st_size]
        if late:
            raise ValueError(f"The tar file {path} is cut short: {late[0]} ends after its end; fetch it again.")
        if not is_whole:  # Cut, or damaged, between two members: nobody would miss the later ones.
            raise ValueError(
                f"The tar file {path} is cut short or damaged: behind its last readable member is no mark of its end; "
                "fetch it again."
            )
        for name in refused:
            del members[name]
        return cls(path=path, members=members, size=state.st_size, modified_ns=state.st_mtime_ns, refused=refused)

    def current(self) -> TarArchive:
        """This index, or that of the file as it is now if it was replaced; a lost file is said when it is read.

        Raises:
            ValueError: As ``index``.
        """
        try:
            state = state_of(self.path)
        except OSError:
            return self
        return self if (state.st_size, state.st_mtime_ns) == (self.size, self.modified_ns) else self.index(self.path)

    def problems(self) -> list[tuple[str, ImageError]]:
        """The refused members, each with the reason."""
        detail = f"the member's name is not a plain path in {self.path}; rename it."
        return [(name, ImageError(ErrorCode.SOURCE_ROW_INVALID, detail)) for name in self.refused]

    def state(self, member: str) -> tuple[int, int]:
        """Bytes of a member, and when the tar file last changed (ns).

        Raises:
            ImageError: There is no such member.
        """
        if member not in self.members:
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{member} is not a file in {self.path}.")
        return self.members[member][1], self.modified_ns

    def read(self, member: str) -> bytes:
        """The bytes of a member.

        Raises:
            ImageError: There is no such member, it is too large, or the tar file is gone or another than was indexed.
        """
        size, _ = self.state(member)
        if size > MAX_FILE_BYTES:
            raise ImageError(
                ErrorCode.IMAGE_TOO_LARGE, f"{member} in {self.path} has {size} bytes, allowed are {MAX_FILE_BYTES}."
            )
        if not isinstance(self.path, Path):
            return self._of_object(self.path, member)
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise file_error(f"{member}: the tar file {self.path}", error) from error
        try:
            state = os.fstat(descriptor)
            if (state.st_size, state.st_mtime_ns) != (self.size, self.modified_ns) or not stat.S_ISREG(state.st_mode):
                raise ImageError(
                    ErrorCode.IMAGE_MISSING, f"{member}: the tar file {self.path} changed since it was indexed."
                )
            return _read_range(descriptor, self.members[member][0], size)
        finally:
            os.close(descriptor)

    def _of_object(self, place: UPath, member: str) -> bytes:
        offset, size = self.members[member]
        try:
            state = state_of(place)
            if (state.st_size, state.st_mtime_ns) == (self.size, self.modified_ns):
                return get(place, offset, offset + size) if size else b""
        except (FileNotFoundError, PermissionError) as error:
            raise file_error(f"{member}: the tar file {place}", error) from error
        raise ImageError(ErrorCode.IMAGE_MISSING, f"{member}: the tar file {place} changed since it was indexed.")


def _opened(path: Place) -> BinaryIO | BytesIO | BufferedReader:
    return path.open("rb") if isinstance(path, Path) else opened(path, _BLOCK_BYTES)


def _unreadable(path: Place, error: Exception) -> str:
    return f"The file {path} cannot be read as an uncompressed tar file ({error}); decompress it or fetch it again."


def _read_range(descriptor: int, offset: int, size: int) -> bytes:
    data = os.pread(descriptor, size, offset)
    while len(data) < size and (more := os.pread(descriptor, size - len(data), offset + len(data))):
        data += more  # a network disk may give less than was asked for
    return data


def _is_plain(member: str, path: Place) -> bool:
    try:
        member.encode()
        plain(member, path)
    except ValueError:
        return False
    return True


def _regular(file: tarfile.TarFile) -> Iterator[tuple[str, tuple[int, int]]]:
    for member in file:
        if member.isreg() and not member.issparse():
            yield member.name.removeprefix("./"), (member.offset_data, member.size)
        file.members = []  # tarfile keeps every header it has read; millions of them would not fit into memory

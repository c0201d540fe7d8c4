"""Arrays of an .npz file by name, mapped rather than held, so that a file of millions of rows takes no memory.

Members that are stored are mapped where they lie, compressed ones are unpacked into a file without a name, which goes
with the array. Members that are object arrays are pickles: the one restricted unpickler reads them, whole.
"""

from __future__ import annotations

import math
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from datasets_manifest.numpy_files import DAMAGED, array_header
from datasets_manifest.restricted_pickle import unpickle

_MAX_PICKLED_BYTES = 4 << 30
_MAX_UNPACKED_BYTES = 64 << 30
_PIECE = 1 << 20
_LOCAL_HEADER_BYTES = 30


class NpzFile:
    """An .npz file of which chosen arrays are asked for; the others are not looked at."""

    def __init__(self, path: Path) -> None:
        """Read the list of the members.

        Raises:
            ValueError: The file is missing, cut short or no .npz file.
        """
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                self._members = {info.filename.removesuffix(".npy"): info for info in file.infolist()}
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ValueError(f"The file {path} does not exist; put it there or correct the manifest.") from error
        except DAMAGED as error:
            raise ValueError(f"The file {path} cannot be read as .npz ({error}); fetch it again.") from error

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def array(self, name: str) -> Any:
        """An array by its name, read-only; of an object array what it holds, a 0-d one opened.

        Raises:
            ValueError: There is none, it is damaged, or its pickle asks for what no array needs.
        """
        if name not in self._members:
            has = ", ".join(sorted(self._members)[:20])
            raise ValueError(f"The file {self.path} has no array {name}; it has {has}.")
        info = self._members[name]
        try:
            with zipfile.ZipFile(self.path) as file, file.open(info) as member:
                shape, is_fortran, dtype = array_header(member)
                if dtype.hasobject:
                    return self._objects(member, info)
                size = math.prod(shape) * dtype.itemsize
                start = info.file_size - size
                if start < 0 or start != member.tell():
                    raise ValueError("its length does not match its shape")
                order = "F" if is_fortran else "C"
                if size == 0:
                    return np.zeros(shape, dtype)
                if info.compress_type == zipfile.ZIP_STORED:
                    return np.asarray(np.memmap(self.path, dtype, "r", self._offset(info) + start, shape, order))
                unpacked = np.memmap(_unpacked(member, size), dtype, "r", 0, shape, order)  # pyright: ignore[reportCallIssue]
                return np.asarray(unpacked)  # Whose rows are taken much faster than those of a map.
        except DAMAGED as error:
            detail = str(error).removesuffix(".")
            raise ValueError(f"The array {name} of {self.path} cannot be read: {detail}; fetch it again.") from error

    def _objects(self, member: IO[bytes], info: zipfile.ZipInfo) -> Any:
        if info.file_size > _MAX_PICKLED_BYTES:
            raise ValueError(f"it is a pickle of {info.file_size} bytes, allowed are {_MAX_PICKLED_BYTES}")
        found = unpickle(member.read(), f"{self.path.name}:{info.filename}")
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found

    def _offset(self, info: zipfile.ZipInfo) -> int:
        """Where the bytes of a stored member begin: behind a header of its own in front of them."""
        with open(self.path, "rb") as file:
            file.seek(info.header_offset)
            header = file.read(_LOCAL_HEADER_BYTES)
        if len(header) < _LOCAL_HEADER_BYTES or header[:4] != b"PK\x03\x04":
            raise ValueError("a member has no header")
        return info.header_offset + _LOCAL_HEADER_BYTES + sum(np.frombuffer(header[26:30], "<u2").tolist())


def _unpacked(member: IO[bytes], size: int) -> IO[bytes]:
    if size > _MAX_UNPACKED_BYTES:
        raise ValueError(f"it unpacks to {size} bytes, allowed are {_MAX_UNPACKED_BYTES}")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the mapping of it outlives this function
    left = size
    while left and (piece := member.read(min(_PIECE, left))):
        left -= file.write(piece)
    if left:
        raise ValueError("it is cut short")
    file.flush()
    return file

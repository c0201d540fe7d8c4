"""A way in which a file of others is read, with small good files to begin from; for fuzzing.

A reader reads a file or raises the error that it documents, whose sentence names the file. Anything else is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """One way in which a file of others is read."""

    name: str
    """Of the reader."""
    suffix: str
    """Of the file."""
    seeds: Callable[[Path], Sequence[bytes]]
    """Good contents, made in a folder."""
    read: Callable[[Path], object]
    """Reads a file."""
    packed: Callable[[bytes], bytes] = bytes
    """From what is fuzzed to the bytes of a file: behind checksums and headers, where edits of the whole file seldom
    come."""

    def problem(self, folder: Path, data: bytes) -> Exception | None:
        """What a file of this content makes the reader raise that it should not, None if nothing."""
        path = folder / f"hostile{self.suffix}"
        path.write_bytes(self.packed(data))
        try:
            self.read(path)
        except ValueError as error:
            return None if path.name in str(error) else error
        except Exception as error:
            return error
        return None


@cache
def seeds_of(reader: Reader, folder: Path) -> tuple[bytes, ...]:
    """The good contents of a reader, made once a folder."""
    return tuple(reader.seeds(folder))

"""An NPZ of people who come batch by batch: their columns wait in files, so that memory holds one batch of one column.

A member of an NPZ has to be written at once, and a column is whole only when everybody has come.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

from datasets_manifest.restricted_pickle import write_pickle


class Column:
    """A column of everybody, in a file without a name."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._batches: list[tuple[np.dtype, tuple[int, ...]]] = []

    def add(self, values: np.ndarray) -> None:
        """Takes the rows of a batch."""
        self._file.write(np.ascontiguousarray(values).data)
        self._batches.append((values.dtype, values.shape))

    @property
    def dtype(self) -> np.dtype:
        """One that holds the values of all batches: of texts the longest."""
        return np.result_type(*{dtype for dtype, _ in self._batches})

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""
        return sum(shape[0] for _, shape in self._batches), *self._batches[0][1][1:]

    @property
    def num_bytes(self) -> int:
        """Of all values."""
        return self.dtype.itemsize * int(np.prod(self.shape))

    def batches(self) -> Iterator[np.ndarray]:
        """The rows as they came."""
        own = self.dtype
        self._file.seek(0)
        for dtype, shape in self._batches:
            data = self._file.read(dtype.itemsize * int(np.prod(shape)))
            yield np.frombuffer(data, dtype).reshape(shape).astype(own, copy=False)

    def array(self) -> np.ndarray:
        """(N, ...) all rows, of numbers without being in memory."""
        if len({dtype for dtype, _ in self._batches}) > 1 or not self.num_bytes:
            return np.concatenate(list(self.batches()))
        self._file.flush()
        return np.asarray(np.memmap(self._file, self.dtype, "r", shape=self.shape))


class Columns(ExitStack):
    """Columns of everybody, for as long as a ``with`` block lasts.

    Args:
        folder: Where their files are, which have no names: a disk with room for what is written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.columns: dict[str, Column] = {}
        """By name, in the order of the first batch."""

    def take(self, batches: Iterable[Mapping[str, np.ndarray]]) -> int:
        """Takes columns (n, ...) of all batches, which have the same names; returns the number of rows."""
        count = 0
        for batch in batches:
            if not self.columns:
                self._folder.mkdir(parents=True, exist_ok=True)
                for name in batch:
                    file = TemporaryFile(dir=self._folder)  # noqa: SIM115 (the stack closes it)
                    self.columns[name] = Column(self.enter_context(file))
            for name, column in self.columns.items():
                column.add(batch[name])
            count += len(next(iter(batch.values())))
        return count


def write_npz(file: IO[bytes], members: Mapping[str, Column | np.ndarray]) -> None:
    """Writes an NPZ; objects in it are pickled so that numpy of before 2 reads them too. The same members give the same
    bytes, whenever they are written."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in members.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            # As numpy does: how long a member becomes, compressed, nobody knows before.
            with archive.open(member, "w", force_zip64=True) as out:
                _write_npy(out, values)


def _write_npy(out: IO[bytes], values: Column | np.ndarray) -> None:
    if isinstance(values, Column):
        _write_header(out, values.dtype, values.shape)
        for batch in values.batches():
            out.write(batch.data)
    elif values.dtype.hasobject:
        _write_header(out, values.dtype, values.shape)
        write_pickle(values, out)
    else:
        np.lib.format.write_array(out, values, allow_pickle=False)


def _write_header(out: Any, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)

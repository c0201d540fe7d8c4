"""Deterministic npz files, and sparse and bit-packed arrays inside them."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays so that equal arrays give equal bytes: no clock, fixed order (numpy stamps the time of day)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)


def pack_sparse(name: str, matrix: np.ndarray, *, smallest: float, dtype: type) -> dict[str, np.ndarray]:
    """Entries above `smallest` of a matrix (R, C) as three arrays: row, column, value."""
    rows, columns = np.nonzero(matrix > smallest)
    return {
        f"{name}_row": rows.astype(np.uint16),
        f"{name}_column": columns.astype(np.uint16),
        f"{name}_value": matrix[rows, columns].astype(dtype),
    }


def unpack_sparse(name: str, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Dense float32 matrix of `pack_sparse`, its rows scaled to sum to 1."""
    matrix = np.zeros(shape)
    matrix[arrays[f"{name}_row"], arrays[f"{name}_column"]] = arrays[f"{name}_value"]
    return (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)


def pack_masks(masks: np.ndarray) -> np.ndarray:
    """Boolean masks (R, V) as bits (R, ceil(V / 8))."""
    return np.packbits(masks, axis=1)


def unpack_masks(bits: np.ndarray, count: int) -> np.ndarray:
    """Boolean masks (R, count) of `pack_masks`."""
    return np.unpackbits(bits, axis=1, count=count).astype(bool)

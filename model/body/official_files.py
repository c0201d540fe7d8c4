"""Official .npz, .npy and .pkl files of body models, read by their content without running anything in them."""

import hashlib
import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.files import file_sha256
from datasets_manifest.numpy_files import DAMAGED, array_header
from datasets_manifest.restricted_pickle import PickleError, unpickle

MAX_SOURCE_BYTES = 4 << 30
"""Larger sources, or archives that unpack to more, are refused: no published body model comes near."""


class ConvertError(ValueError):
    """A source file cannot be converted; the text says which, why and what to do."""


def read_source(path: Path) -> Any:
    """Read an official .npz, .npy or .pkl file by its content, running nothing in it.

    Returns:
        A dict of arrays for .npz and for a pickled dict; an array for .npy.

    Raises:
        ConvertError: It is missing, too large or damaged.
        PickleError: A pickle in it is damaged or asks for what none is given.
    """
    if not path.is_file():
        raise ConvertError(f"{path} does not exist: download it from the model's site and pass its path.")
    if path.stat().st_size > MAX_SOURCE_BYTES:
        raise ConvertError(f"{path} has {path.stat().st_size} bytes; no body-model file is larger than 4 GB.")
    data = path.read_bytes()
    if data.startswith(b"PK\x03\x04"):
        return _read_npz(data, path.name)
    if data.startswith(b"\x93NUMPY"):
        return _read_npy(data, path.name)
    return unpickle(data, path.name)


def _read_npz(data: bytes, source: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_SOURCE_BYTES:
                raise ConvertError(f"{source} unpacks to more than 4 GB; no body-model file does.")
            members = [name for name in archive.namelist() if name.endswith(".npy")]
            return {name[: -len(".npy")]: _read_npy(archive.read(name), f"{source}:{name}") for name in members}
    except (ConvertError, PickleError):
        raise
    except DAMAGED as error:
        raise ConvertError(f"{source} is corrupt ({error}): download it again.") from error


def _read_npy(data: bytes, source: str) -> Any:
    file = io.BytesIO(data)
    try:
        shape, is_fortran, dtype = array_header(file)
    except DAMAGED as error:
        raise ConvertError(f"{source} is corrupt ({error}): download it again.") from error
    rest = data[file.tell() :]
    if dtype.hasobject:
        found = unpickle(rest, source)
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
    if len(rest) != math.prod(shape) * dtype.itemsize:
        raise ConvertError(f"{source} is corrupt (its length does not match its shape): download it again.")
    return np.frombuffer(rest, dtype=dtype).reshape(shape, order="F" if is_fortran else "C")


def sha256_of(*paths: Path) -> str:
    """Hash of one file, or of the hashes of several."""
    digests = [file_sha256(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

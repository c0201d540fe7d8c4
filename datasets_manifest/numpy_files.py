"""Files of numpy's own formats, whoever wrote them: the header of an array, and what reading a damaged one raises."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from typing import IO

import numpy as np

DAMAGED = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SyntaxError, OSError, EOFError),
    *(RuntimeError, MemoryError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What numpy and the standard library raise of a damaged .npy or .npz file, or of one that is none. Archives of several
volumes, passwords, unknown compressions and lengths beyond the memory are such damage too."""


def array_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape of an array, whether it is stored in Fortran's order, and type; the file then stands at its first value.

    Raises:
        One of ``DAMAGED``: It is.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape {shape} is none")
    return shape, is_fortran, dtype

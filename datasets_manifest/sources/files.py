"""One file below a data set's root: where it really is, and its bytes."""

from __future__ import annotations

from pathlib import Path

from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError

MAX_FILE_BYTES = 512 * 1024 * 1024
"""An image file above this size is refused without being read."""


def find_file(root: Path, relative: str) -> Path:
    """Returns the resolved path of a file inside the root; reads none of its bytes.

    Raises:
        ImageError: source_row_invalid (the path leads outside) or image_missing (also where it may not be looked at).
    """
    try:
        path = inside(root, relative)
    except ValueError as error:
        raise ImageError(ErrorCode.SOURCE_ROW_INVALID, str(error)) from error
    try:
        is_file = path.is_file()
    except PermissionError as error:
        raise _no_access(root, relative) from error
    if not is_file:
        raise ImageError(ErrorCode.IMAGE_MISSING, f"{relative} is not a file in {root}.")
    return path


def read_file(root: Path, relative: str) -> bytes:
    """Returns the bytes of a file inside the root.

    Raises:
        ImageError: As ``find_file``, and image_too_large.
    """
    path = find_file(root, relative)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(ErrorCode.IMAGE_TOO_LARGE, f"{relative} has {size} bytes, allowed are {MAX_FILE_BYTES}.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(ErrorCode.IMAGE_MISSING, f"{relative} is no longer in {root}.") from error
    except PermissionError as error:
        raise _no_access(root, relative) from error


def _no_access(root: Path, relative: str) -> ImageError:
    detail = f"{relative} in {root} may not be read by this user; change its permissions."
    return ImageError(ErrorCode.IMAGE_MISSING, detail)

"""One file, whatever it is: the bytes of a regular file, or an image error that says why there are none.

Whoever reads a photo or a video decides here what is one: a pipe, a device, a socket or a folder is not, and looking at
it neither waits nor raises anything else.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from datasets_manifest.paths import Links, inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError, UnreachableError

MAX_FILE_BYTES = 512 * 1024 * 1024
"""An image file above this size is refused without being read."""

_OF_ONE_FILE = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EINVAL),
}
"""Errors that say something of the one file; with any other the disk has failed, and the same may pass next time."""

_UNREACHABLE = {errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO}
"""Errors of a lacking right, or a failed disk or store, which say nothing of the file itself."""


def regular_state(path: str | Path, name: str, links: Links = "follow") -> os.stat_result:
    """State of a regular file; opens nothing.

    Args:
        path: Where it lies.
        name: How to call it in an error.
        links: Whether ``path`` may itself be a link.

    Raises:
        ImageError: image_missing: not there, no regular file, or not to be looked at.
    """
    try:
        state = os.stat(path, follow_symlinks=links == "follow")
    except (OSError, ValueError) as error:
        raise file_error(name, error) from error
    if not stat.S_ISREG(state.st_mode):
        raise ImageError(ErrorCode.IMAGE_MISSING, f"{name} is not a file but {_kind(state.st_mode)}.")
    return state


def read_regular(path: str | Path, name: str, links: Links = "follow") -> bytes:
    """Bytes of a regular file.

    Args:
        path: Where it lies.
        name: How to call it in an error.
        links: Whether ``path`` may itself be a link.

    Raises:
        ImageError: As ``regular_state``, and image_too_large.
        OSError: The disk failed while it was read.
    """
    regular_state(path, name, links)
    # Without waiting: what was a file a moment ago may be a pipe now, whose opening waits for its writer.
    only = os.O_NONBLOCK | (0 if links == "follow" else os.O_NOFOLLOW)
    try:
        with open(path, "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | only)) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_FILE_BYTES:
                raise ImageError(ErrorCode.IMAGE_TOO_LARGE, f"{name} has {size} bytes, allowed are {MAX_FILE_BYTES}.")
            return file.readall()
    except OSError as error:
        if error.errno in _OF_ONE_FILE:
            raise file_error(name, error) from error
        raise


def find_file(root: Path, relative: str, links: Links = "refuse") -> Path:
    """Returns the resolved path of a file below the root; reads none of its bytes.

    Raises:
        ImageError: source_row_invalid (the path leads outside) or image_missing (also where it may not be looked at).
    """
    try:
        path = inside(root, relative, links)
    except ValueError as error:
        raise ImageError(ErrorCode.SOURCE_ROW_INVALID, str(error)) from error
    regular_state(path, f"{relative} in {root}")
    return path


def read_file(root: Path, relative: str, links: Links = "refuse") -> bytes:
    """Returns the bytes of a file below the root.

    Raises:
        ImageError: As ``find_file``, and image_too_large.
        OSError: The disk failed while it was read.
    """
    return read_regular(find_file(root, relative, links), f"{relative} in {root}")


def file_error(name: str, error: OSError | ValueError) -> ImageError:
    """The image error of a file that cannot be looked at; an ``UnreachableError`` where that says nothing of it."""
    if isinstance(error, PermissionError):
        detail = f"{name} may not be read by this user; change its permissions."
    elif isinstance(error, FileNotFoundError | NotADirectoryError):
        detail = f"{name} does not exist."
    else:
        detail = f"{name} cannot be looked at ({getattr(error, 'strerror', None) or error})."
    kind = UnreachableError if getattr(error, "errno", None) in _UNREACHABLE else ImageError
    return kind(ErrorCode.IMAGE_MISSING, detail)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "of an unknown kind")

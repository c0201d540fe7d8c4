"""Asking a store: again where it did not answer, and what its packages raise becomes an OSError."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # What runs without stores runs without their packages.
    from fsspec import AbstractFileSystem
    from upath import UPath

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_LATER = (408, 429)
"""Of the client's errors those that pass: it was too slow, or asks too much."""
_WAITS_S = (1.0, 2.0, 4.0)
"""Before a store that did not answer is asked again, after the packages that reach it have tried by themselves."""
_REFUSALS = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
"""Answers that stay what they are."""


def store_of(place: UPath) -> AbstractFileSystem:
    """Asked for anew each time: fsspec keeps it, and makes another in a process that was forked."""
    from fsspec import filesystem

    return filesystem(place.protocol, use_listings_cache=False)


def answer_of(place: UPath, ask: Callable[[], Answer]) -> Answer:
    """What a store says; it is asked again where it did not answer. Raises OSErrors alone."""
    for wait_s in _WAITS_S:
        try:
            with raised_as_os_error():
                return ask()
        except OSError as error:
            if isinstance(error, _REFUSALS) or (
                400 <= (status_of(error) or 0) < 500 and status_of(error) not in _LATER
            ):
                raise
            log.warning("%s: %s; next try in %.0f s", place, error.strerror or error, wait_s)
            time.sleep(wait_s)
    with raised_as_os_error():
        return ask()


@contextmanager
def raised_as_os_error() -> Iterator[None]:
    """What the packages of stores raise, as an OSError with a number, by which it is no fault of a disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            error.errno, error.strerror = errno.EREMOTEIO, str(error)
        raise
    except Exception as error:
        raise OSError(errno.EREMOTEIO, f"{type(error).__name__}: {error}") from error


def status_of(error: OSError) -> int | None:
    """The HTTP status that an error of S3 came with; s3fs keeps it in what it was raised from."""
    answer = getattr(error.__cause__, "response", None)
    return answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None

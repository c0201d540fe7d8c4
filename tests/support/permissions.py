"""A process that permissions hold for, even that of root."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root may read whatever the mode says.
_VERSION = 0x20080522


@contextmanager
def permissions_hold() -> Iterator[None]:
    """Takes root's right to read everything from this thread and those that it starts, as long as the block lasts."""
    if os.geteuid():
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()

    def call(function: str) -> None:
        if getattr(libc, function)(header, sets):
            raise OSError(ctypes.get_errno(), function)

    call("capget")
    before = sets[0]  # Effective, permitted, inheritable, then those of the higher numbers.
    sets[0] = before & ~_OVERRIDES
    call("capset")
    try:
        yield
    finally:
        sets[0] = before
        call("capset")

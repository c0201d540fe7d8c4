"""Keeps the harmless start-up lines of LiteRT off the terminal.

They are written by C++ code straight to file descriptor 2, past ``sys.stderr`` and past every logging setting.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

HARMLESS = re.compile(r"Created TensorFlow Lite XNNPACK delegate for CPU")
"""Lines that say nothing a user could act on."""


def worth_telling(text: str) -> str:
    """Returns the text without its harmless lines."""
    return "".join(line for line in text.splitlines(keepends=True) if not HARMLESS.search(line))


@contextlib.contextmanager
def without_harmless_lines() -> Iterator[None]:
    """Holds back what is written to file descriptor 2 and repeats it at the end, without the harmless lines.

    The descriptor belongs to the whole process: hold a lock, and only for as long as networks are created.
    """
    sys.stderr.flush()
    try:
        terminal = os.dup(2)
    except OSError:  # a process without a standard error has nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            told = worth_telling(held.read().decode(errors="replace")).encode()
            while told:
                told = told[os.write(2, told) :]

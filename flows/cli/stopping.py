"""Ctrl-C, SIGTERM and SIGHUP: one sentence, the way on, and the exit code that a shell expects, within two seconds.

What a command has finished is on disk, whole, so nothing has to be brought to an end that takes long. A server that
shows the run is told meanwhile; one that does not answer is not waited for.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import psutil

from flows.run.own_run import tell_server

GRACE_S = 1.2
"""Time that a command has to leave what it is in; then it is ended wherever it is, as in a long call of a library."""

ANSWER_S = 0.5
"""Time that a server has beyond it to take note."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ending = threading.Lock()


class Stopped(BaseException):
    """The command was asked to stop."""


@contextmanager
def stoppable(way_on: str) -> Iterator[None]:
    """Ends this process with 128 + the signal when one comes inside the block; one that is ignored stays so.

    Args:
        way_on: What the user can do next, the end of the sentence.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    told_out, told_in = os.pipe()
    os.set_blocking(told_in, False)

    def stop(number: int, _frame: FrameType | None) -> None:
        if not came:
            came.append(number)
            raise Stopped

    def watch() -> None:
        while told := os.read(told_out, 1):
            if told[0] not in asked:
                continue
            threading.Thread(target=tell, args=told, daemon=True).start()
            if not is_over.wait(GRACE_S):
                end(told[0])

    def tell(number: int) -> None:
        with suppress(BaseException):  # Prefect's own refusals are none of Exception.
            tell_server(f"stopped by {signal.Signals(number).name}")
        is_told.set()

    def end(number: int) -> NoReturn:
        is_told.wait(ANSWER_S)
        _end(number, way_on)

    is_over, is_told = threading.Event(), threading.Event()
    asked = {number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN}
    before = {number: signal.signal(number, stop) for number in asked}
    woken = signal.set_wakeup_fd(told_in, warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, name="stop", daemon=True)
    watcher.start()
    try:
        yield
    except BaseException:
        if came:  # Whatever the unwinding made of it.
            end(came[0])
        raise
    finally:
        is_over.set()
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(told_in)  # The watcher reads to the end.
        watcher.join()
        os.close(told_out)


def _end(number: int, way_on: str) -> NoReturn:
    """Ends the processes that this one started, then it, without waiting for its threads."""
    _ending.acquire()  # Never given back: the first to come ends the process.
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            child.kill()
    # A bar hides the cursor, and is not taken away where the grace was not enough.
    show_cursor = "\x1b[?25h\r\x1b[K" if os.isatty(2) else ""
    sentence = f"{show_cursor}pear: stopped by {signal.Signals(number).name}; {way_on}\n"
    with suppress(OSError):
        os.write(2, sentence.encode())  # Not through Python's files, which another thread may be writing to.
    os._exit(128 + number)

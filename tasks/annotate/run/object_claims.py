"""Claims of processes that share a store and no disk.

<labels>/.claims/<name>/<number>    somebody is at the shard, plan or publication of this name

Of the objects of a name the one of the highest number counts, and it is put if it is absent, so that of several who try
one succeeds. Its holder puts it anew every few seconds; one that stays as it is was left by a dead process, and the
next number may be put. Clocks are not compared, but for claims that are older than any clock is wrong. Where a holder
sleeps for longer than its claim lasts, two do the same work, which is a waste, but no harm.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from datasets_manifest.stores import Listed, delete, get, listed, put, put_if_absent

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

LASTS_S = 60.0
"""Time after which a claim that nobody puts anew is free."""
_CLOCKS_S = 600.0
"""Most by which the clocks of machines and store differ."""


class ObjectClaims:
    """See ``tasks.annotate.run.claims.Claims``."""

    def __init__(self, root: UPath, lasts_s: float = LASTS_S) -> None:
        """Takes the address that claims lie below."""
        self._root, self._lasts_s = root, lasts_s

    @contextmanager
    def held(self, name: str, *, wait: bool) -> Iterator[bool]:
        """See ``Claims``.

        Raises:
            ValueError: The store cannot be listed.
            OSError: It takes no claim.
        """
        own = self._taken(name, wait)
        if own is None:
            yield False
            return
        is_over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(own, is_over), daemon=True)
        renewing.start()
        try:
            yield True
        finally:
            is_over.set()
            renewing.join()
            self._free(own)

    def _taken(self, name: str, wait: bool) -> UPath | None:
        folder = self._root / name
        seen: Listed | None = None
        told = ""
        since = time.monotonic()
        while True:
            last = max(listed(folder), key=_number, default=None)
            if last is None or self._is_left(last) or (last == seen and time.monotonic() - since > self._lasts_s):
                own = folder / str(0 if last is None else _number(last) + 1)
                if put_if_absent(own, _record(_now())):
                    return own
                continue  # Somebody was faster.
            if not wait:
                return None
            if last.path != told:
                told = last.path
                log.info("waiting for %s%s", name, _holder(folder / str(_number(last))))
            if last != seen:
                seen, since = last, time.monotonic()
            time.sleep(min(self._lasts_s / 10, 2.0))

    def _is_left(self, claim: Listed) -> bool:
        return time.time() - claim.state.st_mtime_ns / 1e9 > self._lasts_s + _CLOCKS_S

    def _renew(self, own: UPath, is_over: threading.Event) -> None:
        since, count = _now(), 0
        while not is_over.wait(self._lasts_s / 4):
            count += 1
            try:
                put(own, _record(since, count))
            except OSError as error:
                log.warning("%s could not be put anew (%s); others may take it", own, error)

    def _free(self, own: UPath) -> None:
        """Deletes a claim and those that it came after."""
        try:
            for claim in listed(own.parent):
                if _number(claim) <= int(own.name):
                    delete(own.parent / str(_number(claim)))
        except (OSError, ValueError) as error:
            log.warning("%s could not be deleted (%s); it is free in %.0f s", own, error, self._lasts_s)


def _number(claim: Listed) -> int:
    return int(claim.path.rpartition("/")[2])


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _record(since: str, count: int = 0) -> bytes:
    """Who holds it since when, for a person who looks, and how often it was put anew, each time as another object."""
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since, "renewed": count}).encode()


def _holder(claim: UPath) -> str:
    """Who is at it, and since when by the clock there."""
    try:
        said = json.loads(get(claim))
        return f", which process {said['pid']} on {said['host']} is at since {said['since']}"
    except (OSError, ValueError, KeyError):  # It is free again, or was put by another version.
        return ""

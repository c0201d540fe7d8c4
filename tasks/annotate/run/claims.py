"""Who does what, where several processes share the work of one workspace without anybody who deals it out.

work/claims/<name>.lock    somebody is at the shard, plan or publication of this name

The end of a process, however it comes, frees what it held. On a disk that cannot lock files nobody is kept from
anything: work may then be done twice, which is a waste, but no harm.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tasks.annotate.run.object_claims import ObjectClaims
from tasks.annotate.workspace import Group, Workspace

log = logging.getLogger(__name__)

PUBLICATION = "publication"
"""Name of what the one who publishes holds."""

_told: set[Path] = set()
"""Folders that were told of to be on a disk without locks."""


class Claims(Protocol):
    """Who does what in a workspace."""

    def held(self, name: str, *, wait: bool) -> AbstractContextManager[bool]:
        """Holds a name for as long as the block lasts, and says whether it does.

        Args:
            name: Of a shard, ``coco/val/00012``, or of something else.
            wait: Begin the block when nobody else holds the name; else, where somebody does, begin it without.
        """
        ...


def claims_of(workspace: Workspace) -> Claims:
    """The claims of a workspace."""
    if not isinstance(workspace.labels, Path):  # Those who share labels in a store need share no disk.
        return ObjectClaims(workspace.labels / ".claims")
    return LockedFiles(workspace.work / "claims")


@contextmanager
def plans_held(groups: Iterable[Group], workspace: Workspace) -> Iterator[None]:
    """Nobody else plans these for as long as the block lasts."""
    claims = claims_of(workspace)
    with ExitStack() as held:
        for group in sorted(groups):  # In one order, so that no two wait for each other.
            held.enter_context(claims.held(f"{'/'.join(group)}/plan", wait=True))
        yield


class LockedFiles:
    """Claims of processes that share a disk."""

    def __init__(self, folder: Path) -> None:
        """Takes where the files of the locks are."""
        self._folder = folder

    @contextmanager
    def held(self, name: str, *, wait: bool) -> Iterator[bool]:
        """See ``Claims``."""
        path = self._folder / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = self._locked(path, wait)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                with suppress(FileNotFoundError):
                    path.unlink()  # before others may have it: they look whether it is still there
                os.close(descriptor)

    def _locked(self, path: Path, wait: bool) -> int | None:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except FileNotFoundError:
                pass  # Whoever held it has deleted it since.
            except OSError as error:
                if self._folder not in _told:
                    _told.add(self._folder)
                    log.warning("files in %s cannot be locked (%s); shards may be done twice", self._folder, error)
                return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

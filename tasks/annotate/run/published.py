"""The publication that was made last, which stands for as long as nothing that decides it changes.

work/published.json    a hash of what it was made from, the files that it wrote, and what it said
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from datasets_manifest.files import write_bytes
from datasets_manifest.shards.snapshot import shard_entries
from datasets_manifest.sources.images import ImageError
from datasets_manifest.stores import FileState, Place
from tasks.annotate.photos import WorkspacePhotos
from tasks.annotate.plan.plan import DatasetPlan
from tasks.annotate.provenance import step_config
from tasks.annotate.run.publication import Publication
from tasks.annotate.settings import AnnotateConfig, Origin, RunConfig
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.evaluate.reference import can_know
from tasks.version import code_version

log = logging.getLogger(__name__)

Photo = tuple[str, str, str]
"""Data set, split and name of a photo."""
_State = tuple[int, int] | None
"""Size and time of change in nanoseconds of a file; None where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    inputs: str
    labels: str
    files: dict[str, _State]
    lost: list[Photo]
    warning: str
    publication: Publication


_RECORD = TypeAdapter(_Record)


class Published:
    """Whether the last publication of a workspace is the one that a run would make."""

    def __init__(
        self,
        workspace: Workspace,
        config: AnnotateConfig,
        plans: Sequence[DatasetPlan],
        shards: Collection[ShardRef],
        origin: Origin,
    ) -> None:
        """Takes what ``publish`` takes, and looks at the files: what changes later is found by the next run."""
        self._workspace, self._path = workspace, workspace.work / "published.json"
        self._photos = WorkspacePhotos(workspace, config.run.photo_cache_mb)
        try:
            self._inputs = _digest(_inputs(workspace, config, plans, shards, origin))
        except _Unknown as error:
            log.info("%s, so that labels are compared with known people anew each time", error)
            self._inputs = None

    def last(self) -> Publication | None:
        """The last publication if all of it is as it would be made now; what was told of it is told again."""
        try:
            record = _RECORD.validate_json(self._path.read_bytes())
        except (OSError, ValueError):
            return None
        if (record.inputs, record.labels) != (self._inputs, self._labels()) or record.files != _states(record.files):
            return None
        if any(map(self._is_had, record.lost)):
            return None
        if record.warning:
            log.warning("%s", record.warning)
        return record.publication

    def keep(self, publication: Publication, files: Iterable[Path], lost: Iterable[Photo], warning: str) -> None:
        """Remembers a publication without faults.

        Args:
            publication: What it says.
            files: What it wrote.
            lost: Photos that could not be drawn.
            warning: What is told of it besides.
        """
        if self._inputs is not None:
            states = _states(map(str, files))
            record = _Record(
                inputs=self._inputs,
                labels=self._labels(),
                files=states,
                lost=sorted(set(lost)),
                warning=warning,
                publication=publication,
            )
            write_bytes(self._path, _RECORD.dump_json(record))

    def _labels(self) -> str:
        """Of files that were made of the labels of shards."""
        return _digest(_listed(self._workspace.labels)) if self._workspace.shards_per_file > 1 else ""

    def _is_had(self, photo: Photo) -> bool:
        with suppress(ImageError, OSError):
            self._photos(*photo)
            return True
        return False


def _states(files: Iterable[str]) -> dict[str, _State]:
    return {file: _state(Path(file)) for file in files}


def _state(path: Path) -> _State:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _of(found)


def _of(found: FileState) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _inputs(
    workspace: Workspace,
    config: AnnotateConfig,
    plans: Sequence[DatasetPlan],
    shards: Collection[ShardRef],
    origin: Origin,
) -> Iterator[object]:
    """All that decides what is published, or the state of the file that says it."""
    yield code_version(), dataclasses.asdict(dataclasses.replace(config, run=RunConfig())), dataclasses.asdict(origin)
    yield step_config("refine", config, in_groups=True)  # Knows the files that settings name by their content.
    for plan in plans:
        refused = workspace.refused_path(plan.shards.group)
        yield (
            plan.manifest.hash,
            plan.manifest.root,
            plan.shards.group,
            refused.is_file() and refused.read_text("utf-8"),
        )
        if can_know(plan.manifest):  # Whom labels are compared with: in whatever files, those below the root.
            yield from _tree(plan.manifest.root_path)
    for shard in shards:
        yield shard.name
    for group in workspace.planned_groups():  # Where their photos are.
        record = workspace.record_path(group)
        yield group, record.is_file() and record.read_text("utf-8")
    for path in sorted((workspace.work / "failed").glob("*/*/*/*.json")):
        yield str(path), _state(path)
    yield from _listed(workspace.step_folder("refine"))


class _Unknown(Exception):
    """Whether files are as they were cannot be known."""


def _tree(root: Path) -> Iterator[tuple[str, _State]]:
    """Every file below a folder, or the file itself; raises ``_Unknown`` where one cannot look."""
    if not root.is_dir():
        yield str(root), _state(root)
        return
    folders = [str(root)]
    while folders:
        try:
            entries = sorted(os.scandir(folders.pop()), key=lambda entry: entry.name)
            for entry in entries:
                if not entry.is_dir():
                    yield entry.path, _state(Path(entry.path)) if entry.is_symlink() else _of(entry.stat())
                elif entry.is_symlink():
                    raise _Unknown(f"{entry.path} is a link to a folder")
                else:
                    folders.append(entry.path)
        except OSError as error:
            raise _Unknown(f"{root} cannot be looked through ({error})") from error


def _listed(folder: Place) -> Iterator[tuple[str, int, int]]:
    for file in shard_entries(folder):
        yield file.path, *_of(file.stat())


def _digest(values: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value, sort_keys=True, default=str).encode() + b"\n")
    return digest.hexdigest()

"""Snapshots: labels, and what people said of them, as they are now, under a name that never means anything else.

snapshots/<name>/labels/...         the files of labels
snapshots/<name>/reviews/...        verdicts, where there are some
snapshots/<name>/corrections/...    corrected keypoints, where there are some
snapshots/<name>/SHA256SUMS         the hash of each of them, as `sha256sum -c` reads it; its own is the snapshot's
snapshots/<name>/snapshot.json      what it is: data sets with the hashes of their manifests and settings, people

The files are second names of those they were made from (hard links, where the disk has them): nothing ever changes a
file in place, so that a snapshot costs no room until labels are made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datasets_manifest.files import alone_in, file_sha256, write_bytes, write_lines, write_text
from datasets_manifest.schema.people import PeopleCount
from datasets_manifest.settings import read_settings
from datasets_manifest.shards.journal import Journal
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.shards.snapshot import GroupSnapshot, SnapshotError, read_snapshot, shard_files
from datasets_manifest.source_date import utc_now
from datasets_manifest.stores import Place, below, get
from tasks.version import code_version
from tasks.wording import counted

FOLDER = "snapshots"
"""Of a project."""
FACTS, SUMS = "snapshot.json", "SHA256SUMS"
_FORMAT = "pear-snapshot/1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_OF_DATASET = ("id", "version", "hash", "licence")
"""What a snapshot says of a manifest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSet:
    """The labels of one split of a data set in a snapshot."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    manifest: Mapping[str, str]
    """id, version, hash and licence."""
    config_hash: str
    """Of the settings of the labels, as checkpoints that learnt from them state it."""
    body_model: Mapping[str, Any]
    """As the footers of the labels state it."""
    shards: int
    """Files."""
    count: Mapping[str, int]
    """People and photos, see ``PeopleCount``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSnapshot:
    """What a snapshot says of itself."""

    format: str = _FORMAT
    name: str
    """As it was asked for."""
    hash: str
    """sha256 of ``SHA256SUMS``: two snapshots with the same hash have the same files."""
    created_utc: str
    """ISO time."""
    code_version: str
    """Of the program that took it."""
    note: str = ""
    """What for."""
    files: int
    """All but the two that describe it."""
    datasets: tuple[LabelledSet, ...] = field(default=())
    """By data set and split."""
    said: Mapping[str, int] = field(default_factory=dict)
    """Files of verdicts and of corrections."""

    @property
    def people(self) -> int:
        """With or without a label."""
        return sum(PeopleCount(**own.count).people for own in self.datasets)

    @property
    def line(self) -> str:
        """For a person."""
        datasets = ", ".join(f"{own.dataset}/{own.split}" for own in self.datasets)
        said = "".join(f", {counted(count, 'file')} of {name}" for name, count in self.said.items())
        note = f" ({self.note})" if self.note else ""
        return f"{self.name} {self.hash[:12]} {self.created_utc}: {self.people} people of {datasets}{said}{note}"


def check_name(name: str) -> None:
    """Refuses a name that no folder and no tag of git can have.

    Raises:
        ValueError: It is none.
    """
    if not _NAME.fullmatch(name) or ".." in name or name.endswith((".", ".lock", ".dvc")):
        raise ValueError(
            f"a snapshot cannot be called {name!r}; take letters, digits, - _ and ., for example v1 or 2026-11-30"
        )


def take_snapshot(
    name: str, project: Path, labels: Place, said: Mapping[str, Path], journal: Journal, note: str = ""
) -> LabelSnapshot:
    """Puts labels, and what people said of them, under a name, and checks what was put there.

    Args:
        name: Of the snapshot.
        project: Folder whose ``snapshots`` has it.
        labels: Folder of labels, or their address in a store, from which they are copied.
        said: Name to folder of what people said; a folder need not be there.
        journal: Of the workspace, so that files it knows are not opened.
        note: What for.

    Raises:
        ValueError: The name is none, or taken.
        SnapshotError: There are no labels, or they are not all readable, of one setting a data set, everybody once.
    """
    check_name(name)
    folder = project / FOLDER / name
    with alone_in(folder.parent):
        if folder.exists():
            raise ValueError(
                f"{folder} is there already, and a snapshot never changes; take another name, or delete it first"
            )
        unfinished = folder.with_name(f".{name}.partial")
        shutil.rmtree(unfinished, ignore_errors=True)  # Of one that was stopped: nobody else is at it now.
        try:
            snapshot = _fill(unfinished, name, {"labels": labels, **said}, journal, note)
            os.rename(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return snapshot


def _fill(folder: Path, name: str, sources: Mapping[str, Place], journal: Journal, note: str) -> LabelSnapshot:
    counts = {kind: _link_all(source, folder / kind) for kind, source in sources.items()}
    found = read_snapshot(folder / "labels", journal=journal)
    if fault := found.fault() or ("" if found.groups else f"There are no labels in {sources['labels']} yet."):
        raise SnapshotError(fault.replace(str(folder / "labels"), str(sources["labels"])))
    write_lines(folder / SUMS, (f"{file_sha256(path)}  {path.relative_to(folder)}\n" for path in shard_files(folder)))
    snapshot = LabelSnapshot(
        name=name,
        hash=file_sha256(folder / SUMS),
        created_utc=utc_now(),
        code_version=code_version(),
        note=note,
        files=sum(counts.values()),
        datasets=tuple(_labelled_set(*group, own) for group, own in found.groups.items()),
        said={kind: count for kind, count in counts.items() if count and kind != "labels"},
    )
    write_text(folder / FACTS, json.dumps(asdict(snapshot), indent=2) + "\n")
    return snapshot


def _link_all(source: Place, target: Path) -> int:
    """Gives the Parquet files below a folder a second name, or copies them where the disk cannot; how many they are."""
    count = 0
    for path in shard_files(source):
        own = target / below(source, path)
        if not isinstance(path, Path):
            write_bytes(own, get(path))
            count += 1
            continue
        own.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, own)
        except OSError:  # Another disk, or one without links.
            shutil.copy2(path, own)
        count += 1
    return count


def _labelled_set(dataset: str, split: str, labels: GroupSnapshot) -> LabelledSet:
    ((config_hash, (shards, first)),) = labels.settings.items()
    footer = read_footer(first)
    return LabelledSet(
        dataset=dataset,
        split=split,
        manifest={key: str(footer.manifest[key]) for key in _OF_DATASET if key in footer.manifest},
        config_hash=config_hash,
        body_model=footer.body_model,
        shards=shards,
        count=asdict(labels.count),
    )


def read_facts(folder: Path) -> LabelSnapshot:
    """What a snapshot says of itself.

    Raises:
        ValueError: The folder is no snapshot, or its description is damaged.
    """
    try:
        values = json.loads((folder / FACTS).read_bytes())
        if values.get("format") != _FORMAT:
            raise ValueError(f"its format is {values.get('format')!r}, not {_FORMAT!r}")
        snapshot = read_settings(LabelSnapshot, values, FACTS)
        _ = snapshot.people
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{folder} is no snapshot of this project, or it is damaged: {error}") from error
    return snapshot


def list_snapshots(project: Path) -> Iterator[LabelSnapshot]:
    """The snapshots of a project that are here, by name."""
    for facts in sorted((project / FOLDER).glob(f"*/{FACTS}")):
        if not facts.parent.name.startswith("."):
            yield read_facts(facts.parent)


def differences(folder: Path) -> Iterator[str]:
    """A sentence for each file of a snapshot that is not as it was taken: gone, changed, or added."""
    sums = folder / SUMS
    try:
        content = sums.read_bytes()
    except OSError as error:
        yield f"{sums} cannot be read ({error})."
        return
    if hashlib.sha256(content).hexdigest() != read_facts(folder).hash:
        yield f"{sums} is not the one that {FACTS} was written with."
    lines = (line.partition("  ") for line in content.decode("utf-8").splitlines())
    stated = {name: sha256 for sha256, _, name in lines}
    present = {str(path.relative_to(folder)): path for path in shard_files(folder)}
    for name in sorted(stated.keys() | present.keys()):
        if name not in present:
            yield f"{folder / name} is gone."
        elif name not in stated:
            yield f"{folder / name} was added."
        elif file_sha256(present[name]) != stated[name]:
            yield f"{folder / name} has changed."

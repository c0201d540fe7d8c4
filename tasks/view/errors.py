"""Errors of labels beside them, a file a shard, made anew where the labels have changed; and their index."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.labels import LABEL_SCHEMA, image_id_of
from datasets_manifest.schema.people_errors import PEOPLE_ERRORS
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import Shard, read_footer
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.shards.store import write_shard
from tasks.annotate.dataset_records import read_record
from tasks.annotate.workspace import Group, Workspace
from tasks.version import code_version
from tasks.view.index import Label, LabelIndex, LabelsChanged
from tasks.view.index_file import IndexFile, name_of, open_index, shard_states, stamp_of
from tasks.view.kinds import LABELS, MISSED

if TYPE_CHECKING:
    from tasks.annotate.settings import AnnotateConfig

log = logging.getLogger(__name__)

_KNOWN = "A person whom the data set knows was not found; box and keypoints are those of the data set."


class ErrorIndex(LabelIndex):
    """The errors of labels, and as whole rows the labels that they are of."""

    def __init__(self, file: IndexFile, labels: Path, labels_stamp: str) -> None:
        """Takes the index of the errors, the folder of the labels, and their stamp from before they were measured."""
        super().__init__(file)
        self._labels, self._labels_stamp = labels, labels_stamp

    def label(self, number: int) -> Label:
        """The label of a row; of a known person who has none, what is known of them, with the status `missed`.

        Raises:
            LabelsChanged: The shard is gone or another one.
        """
        errors = super().label(number)
        row = errors.row
        if row["found"] == "missed":
            known = row | {"status": MISSED, "error_detail": _KNOWN, "keypoints_2d": row["known_keypoints"]}
            return dataclasses.replace(errors, table=pa.Table.from_pylist([known]))
        path = self._labels / errors.path.relative_to(self.root)
        if not path.is_file():
            raise LabelsChanged(f"{path} is gone")
        with Shard(path) as shard:
            ids = shard.table(LABEL_SCHEMA, ["sample_id"])["sample_id"]
            place = pc.index(ids, pa.scalar(row["sample_id"], pa.string())).as_py()
            if place < 0:
                raise LabelsChanged(f"{path} has lost {row['sample_id']}")
            table = LABELS.whole_row(shard, place)
            return Label(table=table, path=path, config_hash=shard.footer.config_hash)

    def is_current(self) -> bool:
        """Whether the labels are still those that were measured."""
        return stamp_of(shard_states(self._labels)) == self._labels_stamp


def open_errors(
    labels: Path, config: AnnotateConfig, folder: Path, progress: Callable[[int, int], None] | None = None
) -> ErrorIndex:
    """Measures the labels of the planned data sets that know their people, and indexes that.

    Raises:
        ValueError: No data set with labels knows its people.
    """
    workspace = Workspace.of(config.output)
    root = folder / "errors" / name_of(labels)
    stamp = stamp_of(shard_states(labels))  # Measuring takes minutes, in which they may change.
    paths = list(shard_files(labels))
    names = {path: root / path.relative_to(labels) for path in paths}
    done = 0
    for group in dict.fromkeys(map(_group, paths)):
        own = {path: names[path] for path in paths if _group(path) == group}
        _measure(group, own, workspace, config)
        done += len(own)
        if progress is not None:
            progress(done, len(paths))
    for path in list(shard_files(root)):
        if path not in names.values():
            path.unlink()
    if not any(shard_files(root)):
        raise ValueError(f"none of the data sets in {labels} knows its people: there are no errors to look at")
    return ErrorIndex(open_index(root, folder), labels, stamp)


def _group(path: Path) -> Group:
    return path.parent.parent.name, path.parent.name


def _measure(group: Group, shards: dict[Path, Path], workspace: Workspace, config: AnnotateConfig) -> None:
    """Writes the errors of the shards of a data set that have changed; says in the log why there are none.

    Args:
        group: Data set and split.
        shards: Files of labels, and of their errors.
        workspace: Where it is planned.
        config: Settings.
    """
    from tasks.annotate.provenance import labelled_body
    from tasks.evaluate.each_person import EachPerson
    from tasks.evaluate.matching import KnownPhotos
    from tasks.evaluate.reference import reference_records

    stale = {path for path, errors in shards.items() if not _is_current(path, errors)}
    if not stale:
        return
    for path in stale:
        shards[path].unlink(missing_ok=True)  # Whatever keeps them from being measured, these are errors no more.
    try:
        record = read_record(workspace, group)
        known = reference_records(load_manifest(record.manifest, root_override=record.root))
    except (ValueError, OSError) as error:
        log.warning("no errors of %s: %s", "/".join(group), error)
        return
    if known is None:
        return
    photos, measure = KnownPhotos(known), EachPerson(labelled_body(config))
    for path, errors in shards.items():
        measured = _config(path)
        try:
            with Shard(path) as shard:
                labels, footer = shard.columns(LABEL_SCHEMA), shard.footer
        except ShardError as error:
            log.warning("%s", error)
            continue
        records = photos.take(dict.fromkeys(image_id_of(sample_id) for sample_id in labels["sample_id"]))
        if path in stale:
            stated = dataclasses.replace(
                footer, config=measured, code_version=code_version(), estimators=(), row_count=-1, failed_count=-1,
                empty_count=-1, created_utc="",
            )  # fmt: skip
            write_shard(errors, measure.errors(labels, records), stated)


def _config(path: Path) -> dict[str, object]:
    stat = path.stat()
    return {"step": "errors", "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "schema": PEOPLE_ERRORS.names}


def _is_current(labels: Path, errors: Path) -> bool:
    try:
        return read_footer(errors).config == _config(labels)
    except (FileNotFoundError, ShardError):
        return False

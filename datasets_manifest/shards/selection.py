"""Which rows of a folder of labels supervise a model: read, checked as a whole, filtered, and every other row counted.

A selection has no gaps: what a row states of a part that is not valid, and what may be absent, is filled in (see
``select_labels``), lists become fixed-size lists, and ``Selection.array`` gives a column as one matrix.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.canonical import config_hash
from datasets_manifest.reviews.verdicts import Obedience, Reviewed
from datasets_manifest.schema.columns import array_of
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.people import is_bridged, is_empty_photo
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.footer import Footer, ShardError, differing_settings
from datasets_manifest.shards.label_filter import LabelFilter, reasons_to_drop, with_good_parts
from datasets_manifest.shards.selection_columns import FLAGS, WHO_IS_WHO, check_conventions, check_lengths, filled
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import check_snapshot
from datasets_manifest.stores import Place, check_store, place_of

log = logging.getLogger(__name__)

TEST_SPLIT = "test"
"""Rows of this split are read only if they are asked for by name."""
_GROUPED = label_schema(in_groups=True)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Selection:
    """The rows of one data set that supervise."""

    path: Place
    """Folder they were read from."""
    table: pa.Table
    """Rows in the order of the shards' paths; columns as ``selection_columns.filled`` leaves them, without nulls
    but for the track of who has none."""
    config: Mapping[str, Any]
    """Settings that the labels were made with, as their footers state them."""
    snapshot_hash: str
    """See ``snapshot_hash``: equal for rows that supervise alike."""
    body_model: Mapping[str, Any]
    """What their footers state of the body that the labels are labels of."""
    manifest: Mapping[str, Any]
    """Id, version, hash and licence of the data set."""
    dropped: Mapping[str, int]
    """Rows of the asked splits that are not in the table, by reason."""
    splits: tuple[str, ...]
    """All splits that the folder has, asked for or not."""
    reviewed: Reviewed | None = None
    """What verdicts of people did to the rows of the asked splits; None: none were asked for."""

    @property
    def num_rows(self) -> int:
        """Number of rows that supervise."""
        return self.table.num_rows

    @property
    def sentence(self) -> str:
        """The counts, for a log."""
        lost = sum(self.dropped.values())
        return (
            f"{self.path}: {self.num_rows} of {self.num_rows + lost} people of {self.manifest.get('id', '?')} supervise"
            + (f"; left out: {_counts(self.dropped)}" if lost else "")
            + (f"; reviews: {self.reviewed.sentence or 'no verdict'}." if self.reviewed else ".")
        )

    @property
    def origin(self) -> dict[str, Any]:
        """What a model that learns from the rows says of them, plain values."""
        return {
            "dataset": self.manifest.get("id"),
            "version": self.manifest.get("version"),
            "manifest_hash": self.manifest.get("hash"),
            "config_hash": config_hash(self.config),
            "snapshot_hash": self.snapshot_hash,
            "people": self.num_rows,
            "reviewed": None if self.reviewed is None else asdict(self.reviewed),
        }

    def array(self, name: str) -> np.ndarray:
        """A numeric column as (N,), or as (N, *shape) with the shape of the label schema; a read-only view.

        Raises:
            KeyError: There is no such column.
        """
        return array_of(self.table[name], self.table.schema.field(name))


def select_labels(
    path: Place | str,
    label_filter: LabelFilter | None = None,
    *,
    max_dropped_share: float,
    body_model: Mapping[str, Any] | None = None,
    size: BodySize = DEFAULT_SIZE,
    obedience: Obedience | None = None,
) -> Selection:
    """Reads the labels below a folder and keeps the rows that may supervise.

    Args:
        path: Folder of one data set's labels, or of one of its splits.
        label_filter: Which rows; None: every row with a valid part.
        max_dropped_share: Largest share of the rows of the asked splits that may be left out, for whatever reason.
        body_model: What states the body that the labels must be labels of; None accepts any one body.
        size: Numbers of coefficients the labels must have.
        obedience: What people judged of the labels, and what follows from it; None: nothing.

    Returns:
        The rows. What is absent of a part that is not valid is filled in: poses and coefficients with zero, the head's
        scale with one. What labels of an earlier schema version do not state of joints and limbs is all true, an absent
        quality is one, an absent image size is zero.

    Raises:
        ValueError: The folder is no snapshot (unreadable shards, a person twice, another schema version), mixes
            settings, bodies or data sets, is of another body, number of coefficients or coordinate convention than
            expected, holds the split `test` unasked, nothing is left, or more is left out than stated.
    """
    root, rule = place_of(path), label_filter or LabelFilter()
    if not 0 <= max_dropped_share <= 1:
        raise ValueError(f"max_dropped_share: expected a share from 0 to 1, got {max_dropped_share}")
    check_store(root)
    if isinstance(root, Path) and not root.is_dir():
        raise ValueError(f"There is no folder of labels {root}; annotate the data set first or correct its path.")
    schema = label_schema(size)
    reader = _Reader(root=root, schema=schema, rule=rule, obedience=obedience)
    if warning := check_snapshot(root, visit=lambda shard, table, _: reader.add(shard, table)).foreign_warning:
        log.warning("%s", warning)
    reader.check(body_model)
    table = pa.concat_tables(reader.tables, promote_options="default").combine_chunks()
    _check_counts(root, table.num_rows, reader.dropped, max_dropped_share)
    _, footer = next(iter(reader.settings.values()))
    return Selection(
        path=root,
        table=table,
        config=dict(footer.config),
        snapshot_hash=snapshot_hash(footer.config_hash, table),
        body_model=dict(footer.body_model),
        manifest=dict(footer.manifest),
        dropped=dict(reader.dropped),
        splits=tuple(sorted(reader.splits)),
        reviewed=None if obedience is None else obedience.counts(),
    )


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Takes the shards one by one; what concerns every one of them alike is refused once, in ``check``."""

    root: Place
    schema: pa.Schema
    rule: LabelFilter
    obedience: Obedience | None = None
    tables: list[pa.Table] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    footers: list[Footer] = field(default_factory=list)
    datasets: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    settings: dict[str, tuple[str, Footer]] = field(default_factory=dict)
    """By config hash, of the asked splits: the first data set and split that has it, and its footer."""
    unfit: list[str] = field(default_factory=list)

    def add(self, shard: Shard, table: pa.Table) -> None:
        """Keeps the supervising rows of a shard."""
        self.footers.append(shard.footer)
        try:
            check_conventions(shard.path, shard.schema, self.schema)
            check_lengths(shard.path, table, self.schema)
        except ShardError as error:
            self.unfit.append(str(error))
            return
        self.datasets.update(map(str, table["dataset"].to_pylist()))
        self.splits.update(map(str, table["split"].to_pylist()))
        if self.rule.splits:
            table = table.filter(pc.is_in(table["split"], pa.array(self.rule.splits, pa.string())))
        if table.num_rows:
            name = f"{table['dataset'][0]}/{table['split'][0]}"
            self.settings.setdefault(shard.footer.config_hash, (name, shard.footer))
        if WHO_IS_WHO[0] in shard.schema.names:
            for name, column in zip(WHO_IS_WHO, shard.table(_GROUPED, WHO_IS_WHO).columns, strict=True):
                table = table.append_column(_GROUPED.field(name), column)
        # A photo without people has nobody who could be left out, nor has a frame in which nobody was found.
        table = table.filter(pa.array(~(is_empty_photo(table) | is_bridged(table))))
        obeyed = table if self.obedience is None else self.obedience.obey(table)
        reasons = np.array(reasons_to_drop(with_good_parts(obeyed, self.rule), self.rule), dtype=object)
        if obeyed is not table:  # who would have supervised is left out for what people said of them
            unreviewed = np.array(reasons_to_drop(with_good_parts(table, self.rule), self.rule), dtype=object)
            reasons[(unreviewed == "") & (reasons != "")] = "left out by review"
        table = with_good_parts(obeyed, self.rule)
        self.dropped.update(reason for reason in reasons if reason)
        kept = table.filter(pa.array([not reason for reason in reasons], type=pa.bool_()))
        self.tables.append(filled(kept, self.schema))

    def check(self, body_model: Mapping[str, Any] | None) -> None:
        """Refuses what is no one data set of the expected body, conventions and numbers of coefficients."""
        if self.unfit:
            others = len(self.unfit) - 1
            raise ValueError(self.unfit[0] + (f" ({others} other shard(s) likewise.)" if others else ""))
        if len(self.datasets) > 1:
            names = sorted(self.datasets)
            raise ValueError(
                f"Labels in {self.root} are of the data sets {', '.join(names)}, which have their photos in different "
                f"places; give a label set for each, for example {self.root / names[0]}."
            )
        if len(self.settings) > 1:
            (one, first), (two, second) = list(self.settings.values())[:2]
            raise ValueError(
                f"Labels in {self.root} are of {len(self.settings)} settings: {one} of {first.config_hash[:12]}, {two} "
                f"of {second.config_hash[:12]} ({differing_settings(second.config, first.config)}). Annotate one of "
                "them again with the settings of the other, or name a split of one of them in filter.splits; to train "
                "on both as they are, give each a label set of its own."
            )
        bodies = {body_identity(footer.body_model): footer.body_model for footer in self.footers}
        if len(bodies) > 1:
            named = " and ".join(body_name(body) for body in bodies.values())
            raise ValueError(f"Labels in {self.root} mix the bodies {named}; annotate all with one of them.")
        stated = self.footers[0].body_model
        if body_model is not None and body_identity(stated) != body_identity(body_model):
            raise ValueError(
                f"Labels in {self.root} are of the body {body_name(stated)}, expected is {body_name(body_model)}; "
                "train with the body of the labels or annotate again with this one."
            )
        if TEST_SPLIT in self.splits and not self.rule.splits:
            raise ValueError(
                f"Labels in {self.root} hold {self.splits[TEST_SPLIT]} rows of the split {TEST_SPLIT}, which is not "
                f"for training; name the splits that are meant (present: {', '.join(sorted(self.splits))})."
            )
        if self.rule.splits and not set(self.rule.splits) & set(self.splits):
            raise ValueError(
                f"Labels in {self.root} have the splits {', '.join(sorted(self.splits))}, asked for is "
                f"{', '.join(self.rule.splits)}."
            )


def _check_counts(root: Place, num_kept: int, dropped: Counter[str], max_share: float) -> None:
    lost = dropped.total()
    if not num_kept:
        raise ValueError(
            f"No row of the labels in {root} is left to train on ({_counts(dropped) or 'there are no rows'}); loosen "
            "the filter or annotate again."
        )
    if lost > max_share * (num_kept + lost) * (1 + 1e-9):  # 29 of 100 rows are no more than a share of 0.29
        raise ValueError(
            f"{lost} of {num_kept + lost} rows of the labels in {root} would be left out ({_counts(dropped)}), allowed "
            f"is a share of {max_share:g}; loosen the filter or raise max_dropped_share."
        )


def _counts(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(dropped.items(), key=lambda e: (-e[1], e[0])))


def snapshot_hash(settings_hash: str, table: pa.Table) -> str:
    """sha256 over the config hash of some labels, the sample ids of the rows that are taken, in their order, and which
    of their parts, joints and limbs supervise.

    Args:
        settings_hash: Of the settings that the labels were made with.
        table: Rows as ``selection_columns.filled`` leaves them.
    """
    digest = hashlib.sha256(settings_hash.encode())
    for sample_id in table["sample_id"].to_pylist():
        digest.update(b"\n" + str(sample_id).encode())
    for name in FLAGS:
        digest.update(b"\n" + name.encode() + b"\n")
        digest.update(np.packbits(array_of(table[name], table.schema.field(name))).tobytes())
    return digest.hexdigest()

"""The end of a run: check the labels as a whole, count, measure, draw the page.

Everything here is made from the files on disk, so it can be repeated at any time and says the same.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.files import write_lines, write_text
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.people import PeopleCount
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.journal import Entry
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import Snapshot, read_snapshot
from datasets_manifest.sources.images import ImageError
from datasets_manifest.stores import Place
from model.body.ehms import EHMs
from model.renderer.overlay import encode_png
from tasks.annotate.commands import command, retry_command
from tasks.annotate.finished import open_journal
from tasks.annotate.look.failures import (
    FailureCounts,
    csv_lines,
    refused_failures,
    row_failures,
    shard_failures,
)
from tasks.annotate.photos import WorkspacePhotos
from tasks.annotate.plan.plan import DatasetPlan
from tasks.annotate.plan_files import is_planned
from tasks.annotate.provenance import labelled_body
from tasks.annotate.run.dataset_figures import dataset_figures
from tasks.annotate.run.joined_labels import JoinedLabels
from tasks.annotate.run.publication import Publication, WorstFit
from tasks.annotate.run.published import Photo, Published
from tasks.annotate.run.same_columns import SameColumns
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.summary import StepTimes, write_times
from tasks.annotate.workspace import Group, ShardRef, Workspace, shard_of
from tasks.evaluate.label_errors import LabelEvaluation
from tasks.evaluate.reference import reference_records
from tasks.metric_files import write_summary
from tasks.posing import JointBody
from tasks.report.data import LabelStatistics
from tasks.report.page import draw_label, write_report

log = logging.getLogger(__name__)

_SPOOL_BYTES = 1 << 20
"""Failed rows of a data set that are kept in memory until their turn; more go to a temporary file."""


_SUMMARY = (
    *("people", "ok", "partial", "bridged", "failed", "empty_photos", "tracks", "joined_share"),
    *("joints_acceleration_m_s2", "place_acceleration_m_s2", "missed_people", "pa_mpjpe_mm"),
)
"""Figures of a data set that ``dvc metrics show`` prints, of those that there are."""


def publish(
    workspace: Workspace,
    config: AnnotateConfig,
    plans: Sequence[DatasetPlan],
    shards: Collection[ShardRef],
    times: Mapping[str, StepTimes],
    origin: Origin,
) -> Publication:
    """Checks and describes the labels of a run; every shard is read once, and of its people only numbers are kept. What
    was published last stays as it is where nothing that decides it has changed since, see ``Published``.

    Args:
        workspace: Where files are.
        config: All settings.
        plans: The run's data sets.
        shards: The run's shards, whose failures are listed.
        times: What each step cost, for ``work/run.json``.
        origin: Where the settings came from, for the commands that do shards again.

    Returns:
        The publication; its warning says if a data set of the run mixes settings or has a person twice, as it does
        while some shards of changed settings are still to be done. What is wrong with other labels is only logged.
    """
    report = Path(config.output.report)
    write_times(workspace, times)
    published = Published(workspace, config, plans, shards, origin)
    if (last := published.last()) is not None:
        log.info("nothing that report and figures are made of has changed; they stay as they are")
        return last
    journal = open_journal(workspace)
    csv_path, failures = report / "failures.csv", FailureCounts()
    with ExitStack() as spools:
        reader = _Reader(workspace, config, plans, shards, origin, spools)
        snapshot = read_snapshot(workspace.step_folder("refine"), visit=reader.add, journal=journal)
        write_lines(csv_path, reader.failures_csv(failures))
    given = reader.columns.give(workspace)
    journal.save()
    warnings = [snapshot.fault([_group(plan) for plan in plans])]
    if reader.joined is not None:
        warnings += [reader.joined.publish(plan.shards, snapshot.fault([_group(plan)])) for plan in plans]
    _warn_of_others(snapshot, plans, origin)
    labels = reader.statistics
    count = sum((labels.groups[_group(plan)].count for plan in plans if _group(plan) in labels.groups), PeopleCount())
    metrics = {
        plan.manifest.id: reader.metrics(plan) for plan in plans if not count.rows or _group(plan) in labels.groups
    }
    written = [Path(config.output.metrics), csv_path]
    write_text(written[0], json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    for dataset, own in metrics.items():
        flat = own.get("against_truth", {}) | own
        written.append(
            write_summary(config.output.metrics, dataset, {name: flat[name] for name in _SUMMARY if name in flat})
        )
    body = labelled_body(config)
    if count.rows:
        plot, page = report / "reprojection.png", report / "index.html"
        write_report(labels, reader.photo, body, page, plot=plot, retry=reader.retry)
        written += [plot, page]
    publication = Publication(
        count=count,
        metrics=metrics,
        report=report / "index.html" if count.rows else None,
        failures_csv=csv_path,
        failures=failures,
        worst=_worst_fit(reader, plans, body) if count.people else None,
        warning=" ".join(filter(None, warnings)),
    )
    if not (given or snapshot.faults or any(warnings)):
        published.keep(publication, written, reader.lost, snapshot.foreign_warning)
    return publication


def _warn_of_others(snapshot: Snapshot, plans: Sequence[DatasetPlan], origin: Origin) -> None:
    """Tells of faults that are not the run's own: no reason to call it a failure."""
    own = {_group(plan) for plan in plans}
    others = {"/".join(group) for groups in snapshot.faults for group in groups if not groups <= own}
    if others:
        log.warning(
            "labels of other data sets in %s have faults, which are none of this run: %s (`%s` says which)",
            snapshot.root, ", ".join(sorted(others)), command(origin, "verify"),
        )  # fmt: skip
    if snapshot.foreign:
        log.warning("%s", snapshot.foreign_warning)


def _group(plan: DatasetPlan) -> Group:
    return plan.shards.group


class _Reader:
    """What is taken of the label shards while they are checked."""

    def __init__(
        self,
        workspace: Workspace,
        config: AnnotateConfig,
        plans: Sequence[DatasetPlan],
        shards: Collection[ShardRef],
        origin: Origin,
        spools: ExitStack,
    ) -> None:
        self._body = labelled_body(config)
        self.statistics = LabelStatistics(body=JointBody(self._body))
        self._workspace, self._config, self._shards = workspace, config, shards
        self._origin = replace(origin, is_told_in_files=True)
        self._plans = {_group(plan): plan for plan in plans}
        self._evaluations: dict[Group, LabelEvaluation | None] = {}
        self._failed_rows: dict[Group, IO[str]] = {}
        self.columns = SameColumns()
        """Those of the run's data sets."""
        self.joined = JoinedLabels(workspace) if workspace.shards_per_file > 1 else None
        """Their published files, where these are not the shards themselves."""
        for group in self._plans:
            rows = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, "w+", newline="")  # noqa: SIM115 (the stack closes it)
            self._failed_rows[group] = spools.enter_context(rows)
        self._photos = WorkspacePhotos(self._workspace, self._config.run.photo_cache_mb)
        self.lost: list[Photo] = []
        """Photos that could not be had."""

    def add(self, labels: Shard, table: pa.Table, entry: Entry) -> None:
        """Takes a shard.

        Raises:
            ShardError: Its people are of another data set than its folder, or have another body than is drawn.
        """
        shard = shard_of(labels.path)
        _check_place(labels, table)
        self._check_body(labels)
        self.statistics.add(labels, table)
        if shard is None or (group := shard.group) not in self._plans:
            return
        self.columns.add(shard, labels)
        if self.joined is not None:
            self.joined.add(shard, labels)
        if entry.failures and shard in self._shards:
            self._failed_rows[group].write(json.dumps([shard.index, entry.failures]) + "\n")
        if group not in self._evaluations:
            known = reference_records(self._plans[group].manifest)
            self._evaluations[group] = None if known is None else LabelEvaluation(known, self._body)
        evaluation = self._evaluations[group]
        if evaluation is not None:
            evaluation.add(Columns(table))

    def _check_body(self, labels: Shard) -> None:
        expected, found = self._body.assets.entry, labels.footer.body_model
        if body_identity(found) not in (None, body_identity(expected)):
            raise ShardError(
                f"Shard {labels.path} is of the body {body_name(found)}, the settings have {body_name(expected)}; it "
                "is not in the report."
            )

    def failures_csv(self, counts: FailureCounts) -> Iterator[str]:
        """Lines of the table of all failures: failed shards, what got no row, people by the order of the data sets."""
        yield from csv_lines(counts.counted(shard_failures(self._workspace, self._shards, self._origin)), header=True)
        yield from csv_lines(counts.counted(refused_failures(self._workspace, self._plans, self._origin)))
        for (dataset, split), rows in self._failed_rows.items():
            rows.seek(0)
            for index, failures in map(json.loads, rows):
                shard = ShardRef(dataset=dataset, split=split, index=index)
                yield from csv_lines(counts.counted(row_failures(shard, failures, self._origin)))

    def metrics(self, plan: DatasetPlan) -> dict[str, Any]:
        """Counts, accepted parts, reprojection errors and, where people are known, errors of one data set."""
        group = _group(plan)
        if group not in self.statistics.groups:
            return {"people": 0}
        evaluation = self._evaluations.get(group)
        return dataset_figures(self.statistics, group) | ({} if evaluation is None else evaluation.figures())

    def photo(self, dataset: str, split: str, image: str) -> np.ndarray:
        """A photo of any data set with labels; raises as ``WorkspacePhotos``."""
        try:
            return self._photos(dataset, split, image)
        except (ImageError, OSError):
            self.lost.append((dataset, split, image))
            raise

    def retry(self, path: Place) -> str:
        """The command that does the shard of a label file again; empty for a file that was not planned here."""
        shard = shard_of(path)
        if shard is None or not is_planned(self._workspace, shard):
            return ""
        return retry_command(shard, self._origin)

    def inspect(self, sample_id: str) -> str:
        """The command that draws a label."""
        return command(self._origin, "inspect", sample_id, "--out", "sample.png")


def _check_place(labels: Shard, table: pa.Table) -> None:
    folder = labels.path.absolute().parent
    stated = [pc.unique(table[name]).to_pylist() for name in ("dataset", "split")]
    if table.num_rows and stated != [[folder.parent.name], [folder.name]]:
        whose = "/".join(" and ".join(map(str, names)) for names in stated)
        raise ShardError(
            f"Shard {labels.path} holds people of {whose}; move it out of the labels, or back to its place."
        )


def _worst_fit(reader: _Reader, plans: Sequence[DatasetPlan], body: EHMs) -> WorstFit | None:
    """The labelled person of the run whose body lies furthest from the keypoints."""
    worst = reader.statistics.worst_of([_group(plan) for plan in plans])
    if worst is None:
        return None
    label = reader.statistics.read([worst])[worst]
    try:
        photo = reader.photo(label["dataset"], label["split"], label["image"])
    except (ImageError, OSError) as error:
        log.warning("%s cannot be drawn: %s", label["sample_id"], error)
        return None
    picture = encode_png(draw_label(photo, label, body, 320))
    return WorstFit(sample_id=label["sample_id"], command=reader.inspect(label["sample_id"]), png=picture)

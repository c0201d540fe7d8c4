"""The journal of a workspace in a run: which shards need no look, and what the run's steps write."""

from __future__ import annotations

import time
from collections.abc import Collection

from datasets_manifest.canonical import config_hash
from datasets_manifest.schema.labels import SCHEMA_VERSION
from datasets_manifest.shards.journal import Entry, file_key
from model.estimators.base import PARTS
from tasks.annotate.corrections import corrected_inputs, shard_corrections
from tasks.annotate.finished import finished_files, open_journal
from tasks.annotate.look.status import recorded_failures
from tasks.annotate.plan_files import planned_footers
from tasks.annotate.provenance import step_config
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.summary import ShardSummary
from tasks.annotate.workspace import STEPS, ShardRef, Workspace, numbered_files

SAVED_S = 30.0
"""Time between two savings: of so much of a run that is killed, the next look opens the files."""


class RunJournal:
    """What a run knows of its finished files."""

    def __init__(self, workspace: Workspace, *, saved_s: float = SAVED_S) -> None:
        """Reads what is there; takes the time between two savings."""
        self._workspace, self._journal, self._saved = workspace, open_journal(workspace), time.monotonic()
        self._saved_s = saved_s

    def done(self, shards: Collection[ShardRef], config: AnnotateConfig) -> set[ShardRef]:
        """Those of some shards that are done in every step, as ``ShardJob.done`` would find of each: their labels were
        made with the present settings and plan, their part files are there, and no failure is recorded."""
        own, journal = self._workspace, self._journal
        planned = {
            shard: corrected_inputs(plan.manifest["inputs_hash"], shard_corrections(shard, own, config))
            for shard, plan in planned_footers(own)
            if shard in shards
        }
        expected = {config_hash(step_config("refine", config, in_groups=groups)) for groups in (False, True)}
        found = {
            shard
            for shard, labels in finished_files(own, "refine", journal, shards, with_people=False)
            if isinstance(labels, Entry)
            and labels.config_hash in expected
            and labels.schema_version == SCHEMA_VERSION
            and labels.inputs_hash == planned.get(shard)
        }
        for part in PARTS:
            there = {(group, index) for group, index, _ in numbered_files(own.step_folder(part))}
            found = {shard for shard in found if (shard.group, shard.index) in there}
        return found.difference(*(recorded_failures(own, step) for step in STEPS))

    def add(self, summary: ShardSummary) -> None:
        """Enters the file that a step has written."""
        if summary.written is not None:
            path = self._workspace.step_path(summary.step, summary.shard)
            self._journal.add(file_key(summary.step, str(path)), *summary.written)
        if time.monotonic() - self._saved > self._saved_s:
            self.save()

    def save(self) -> None:
        """Writes what was entered."""
        self._journal.save()
        self._saved = time.monotonic()

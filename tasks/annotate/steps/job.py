"""One shard and what its steps need of it: built once, handed from step to step, so that each file is read once."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

from datasets_manifest.corrections.kept import NONE, Corrections
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import LABEL_SCHEMA, Status
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.footer import Footer, RowCounts, ShardError, differing_settings
from datasets_manifest.shards.journal import Entry
from datasets_manifest.shards.object_entry import entry_of_object
from datasets_manifest.shards.shard import Shard, finished_footer
from datasets_manifest.stores import Place, is_file
from tasks.annotate.corrections import shard_corrections
from tasks.annotate.photos import PhotoReader
from tasks.annotate.plan_files import PlannedShard, planned_shard
from tasks.annotate.provenance import step_footer
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.corrected import CorrectionCount, obey
from tasks.annotate.workspace import STEPS, ShardRef, Workspace
from tasks.body_model import people_size


class ShardJob:
    """One shard in one run. Steps on several threads share it; sent to another process, it reads for itself."""

    def __init__(
        self, shard: ShardRef, workspace: Workspace, config: AnnotateConfig, keep_in: Path | None = None
    ) -> None:
        """Starts with nothing read.

        Args:
            shard: Which.
            workspace: Where its files are.
            config: All settings.
            keep_in: Do every step again even if it is done, and keep the file that is replaced in this folder; None:
                what is done is skipped.
        """
        self.shard, self.workspace, self.config, self.keep_in = shard, workspace, config, keep_in
        self._read: dict[str, Columns] = {}
        self._footers: dict[str, Footer] = {}
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[type[ShardJob], tuple[ShardRef, Workspace, AnnotateConfig, Path | None]]:
        return ShardJob, (self.shard, self.workspace, self.config, self.keep_in)

    @cached_property
    def plan(self) -> PlannedShard:
        """The plan of the shard."""
        return planned_shard(self.workspace, self.shard)

    def footer(self, step: str) -> Footer:
        """The footer that the shard's file has at a step, with the present settings and plan."""
        with self._lock:
            if step not in self._footers:
                corrections = self.corrections if step == "refine" else NONE
                self._footers[step] = step_footer(step, self.config, self.shard, self.plan.footer.manifest, corrections)
            return self._footers[step]

    def finished_footer(self, step: str) -> Footer:
        """The same for a file that is written: with what corrections did to it, if there are any."""
        footer = self.footer(step)
        if step != "refine" or not self.corrections:
            return footer
        return replace(footer, manifest={**footer.manifest, "corrections": asdict(self._obeyed[1])})

    @cached_property
    def corrections(self) -> Corrections:
        """Those of people in the shard's photos that hold, as they are when they are first asked for."""
        return shard_corrections(self.shard, self.workspace, self.config)

    @cached_property
    def _obeyed(self) -> tuple[Columns, CorrectionCount]:
        people = self.columns("keypoints")
        if not self.corrections:
            return people, CorrectionCount()
        return obey(people, self.corrections, self.photos().source)

    @property
    def corrected_keypoints(self) -> Columns:
        """Rows of the keypoints as people corrected them."""
        return self._obeyed[0]

    @property
    def in_groups(self) -> bool:
        """Whether the photos of the shard are in groups."""
        return "parts_hash" in self.plan.footer.manifest

    @property
    def size(self) -> BodySize:
        """Numbers of coefficients of the labels: those asked for, never more than the body has."""
        return people_size(self.config.body_model, self.config.coefficients.size)

    def photos(self) -> PhotoReader:
        """A reader of the shard's photos, of the caller alone."""
        with self._lock:
            return PhotoReader.of_dataset(self.workspace, self.shard.group, self.config.run.photo_cache_mb)

    def has_good_label(self, image: str) -> bool:
        """Whether anybody in a photo has a published label, of whatever settings."""
        try:
            with Shard(self.workspace.step_path("refine", self.shard)) as shard:
                labels = shard.columns(LABEL_SCHEMA, ["image", "status"])
        except (FileNotFoundError, ShardError):
            return False
        return bool(((labels["image"] == image) & (labels["status"] != Status.FAILED)).any())

    def columns(self, name: str) -> Columns:
        """Rows of ``plan``, or of a finished step, read when first asked for.

        What is made of them states this job's settings, so only rows that were made with these are given.

        Raises:
            FileNotFoundError: The step is not done.
            ShardError: Its file cannot be used, or was made with other settings or from another plan.
        """
        with self._lock:
            if name not in self._read:
                if name == "plan":
                    self._read[name] = self.plan.columns()
                else:
                    with Shard(self.workspace.step_path(name, self.shard)) as shard:
                        check_made_for(self.footer(name), shard)
                        self._read[name] = shard.columns(PART_SCHEMAS[name])
            return self._read[name]

    def done(self, step: str) -> RowCounts | None:
        """The counts of a step's file that belongs to the present settings and plan and may stay, or None.

        The labels' settings hold those of all parts: where they are done and the part files are there, those files are
        not opened.
        """
        if self.keep_in is not None:
            return None
        with self._lock:
            if self._labels is not None:
                return self._labels
        return done_counts(self.workspace.step_path(step, self.shard), self.footer(step))

    @cached_property
    def _labels(self) -> RowCounts | None:
        """Counts of the labels, if everything was done before this job."""
        if not all(is_file(self.workspace.step_path(step, self.shard)) for step in STEPS):
            return None
        return done_counts(self.workspace.step_path("refine", self.shard), self.footer("refine"))


def done_counts(path: Place, footer: Footer) -> RowCounts | None:
    """The counts in the footer of a file that was made with the settings and from the inputs that a footer states, or
    None; of an object in a store that says so itself, nothing is read."""
    if not isinstance(path, Path) and (entry := entry_of_object(path)) is not None:
        same = Entry.of(footer)
        names = ("config_hash", "inputs_hash", "schema_version")
        return entry if all(getattr(entry, name) == getattr(same, name) for name in names) else None
    found = finished_footer(path, footer.config_hash)
    return found if found is not None and _has_same_inputs(found, footer) else None


def check_made_for(expected: Footer, shard: Shard) -> None:
    """Refuses the file of a step that was made with other settings, or from another plan, than a footer states.

    Raises:
        ShardError: It was.
    """
    found = shard.footer
    if found.config_hash != expected.config_hash:
        raise ShardError(
            f"Shard {shard.path} was made with the settings {found.config_hash[:12]}, this run has "
            f"{expected.config_hash[:12]} ({differing_settings(found.config, expected.config)}): another run wrote it "
            "meanwhile. Run this command again when the other run is over, or give each its own folders "
            "(--set output.work=... --set output.labels=...)."
        )
    if not _has_same_inputs(found, expected):
        raise ShardError(
            f"Shard {shard.path} was made from other photos or annotations than its plan lists now; run the same "
            "command again to make it of these."
        )


def _has_same_inputs(found: Footer, expected: Footer) -> bool:
    return found.manifest.get("inputs_hash") == expected.manifest["inputs_hash"]

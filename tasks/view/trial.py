"""Corrections of one person that are tried: moved about, fitted again, and kept or forgotten."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from datasets_manifest.corrections.kept import Corrections
from datasets_manifest.corrections.schema import CORRECTION_FORM, Correction, CorrectionSitting, State
from tasks.annotate.commands import command
from tasks.annotate.dataset_records import read_record
from tasks.annotate.label_files import shard_of_label
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.steps.corrected import photo_sha256, stale_reason
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.refit import found_keypoints, refit
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.version import code_version
from tasks.view.index import Label
from tasks.view.state import View

_LOCK = threading.Lock()
_SITTINGS: WeakKeyDictionary[View, dict[str, CorrectionSitting]] = WeakKeyDictionary()


class Trial:
    """Of the person of one label. Calls take up to a second or two and none is made twice at once."""

    def __init__(self, view: View, label: Label) -> None:
        """Reads what was found of the person.

        Raises:
            ValueError: The label cannot be corrected, or a file of corrections is damaged; a sentence says why.
        """
        self._view, self._label = view, label
        workspace = Workspace.of(view.opened.config.output)
        shard = shard_of_label(workspace, label.path, str(label.row["sample_id"]))
        if shard is None:
            raise ValueError(
                "these are not the labels that the settings name, so what they were made from is not known; open "
                "`pear view` with the settings of their annotation (--params)"
            )
        self.sample_id = str(label.row["sample_id"])
        self._shard, self._workspace = shard, workspace
        self._config = _dataset_config(shard, view, workspace)
        job = self._job()
        try:
            found = found_keypoints(job, self.sample_id)
        except FileNotFoundError as error:
            what = f"{error.filename} is not there" if error.filename else error
            raise ValueError(
                f"correcting needs what the steps before the refinement said ({what}); annotate the data set once more"
            ) from error
        self._found = found
        try:
            self._sha256 = photo_sha256(str(found["image"][0]), job.photos().source)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        self._tried: list[tuple[Correction, ...]] = []
        people = job.columns("keypoints")
        row = int(np.flatnonzero(people["sample_id"] == self.sample_id)[0])
        own = job.corrections.of_sample.get(self.sample_id, ())
        reasons = [(one, stale_reason(one, people, row, lambda _: self._sha256)) for one in own]
        self.kept = tuple(one for one, why in reasons if not why)
        """What holds of the person, and is obeyed or will be by the next run."""
        self.stale = tuple((one, why) for one, why in reasons if why)
        """What is kept and not obeyed, each with the reason."""

    @property
    def tried(self) -> tuple[Correction, ...]:
        """What is tried, in its order."""
        return tuple(one for step in self._tried for one in step)

    def found(self) -> np.ndarray:
        """Keypoints (133, 3) as they were found: x px, y px, score; 0 is not seen."""
        return np.array(self._found["keypoints_2d"][0], np.float64)

    def keypoints(self) -> np.ndarray:
        """The same with what is kept and tried: 1 is the score of what was moved, 0 that of what is unusable."""
        points = self.found()
        for one in Corrections.of([*self.kept, *self.tried]).of_sample.get(self.sample_id, ()):
            points[one.keypoint] = (one.x_px, one.y_px, 1.0) if one.state == "moved" else 0.0
        return points

    def move(self, keypoint: int, x_px: float, y_px: float) -> None:
        """Tries a keypoint in another place of the photo."""
        self._tried.append((self._say(keypoint, "moved", x_px, y_px),))

    def leave_out(self, keypoints: Iterable[int]) -> None:
        """Tries it without some keypoints."""
        self._tried.append(tuple(self._say(keypoint, "unusable") for keypoint in keypoints))

    def take_back(self, keypoints: Iterable[int]) -> None:
        """Tries it without corrections of some keypoints that are kept."""
        self._tried.append(tuple(self._say(keypoint, "none") for keypoint in keypoints))

    def undo(self) -> bool:
        """Forgets the last that was tried; whether there was any."""
        return bool(self._tried and self._tried.pop())

    def refit(self) -> dict[str, Any]:
        """The label with what is kept and tried.

        Raises:
            ValueError: The parts that labels are made from have changed, or the photo is gone.
        """
        try:
            return refit(self._job(), self.sample_id, self.tried).to_pylist()[0]
        except (FileNotFoundError, RuntimeError) as error:
            raise ValueError(str(error)) from error

    def keep(self) -> str:
        """Puts what is tried on disk; when this returns it is there, and every run obeys it.

        What is tried meanwhile stays tried.

        Returns:
            The command that makes the labels of it now.

        Raises:
            WriteError: It cannot be written.
        """
        now = datetime.now(UTC)
        steps = tuple(self._tried)
        said = [dataclasses.replace(one, corrected_utc=now) for step in steps for one in step]
        with _LOCK:
            sittings = _SITTINGS.setdefault(self._view, {})
            if self._shard.dataset not in sittings:
                folder = Path(self._config.output.corrections)
                sittings[self._shard.dataset] = CorrectionSitting(
                    CORRECTION_FORM, folder, self._shard.dataset, started_utc=now, code_version=code_version()
                )
            sittings[self._shard.dataset].add(*said)
        del self._tried[: len(steps)]
        self.kept = Corrections.of([*self.kept, *said]).of_sample.get(self.sample_id, ())
        again = {one.keypoint for one in said}
        self.stale = tuple((one, why) for one, why in self.stale if one.keypoint not in again)
        return self.command

    @property
    def command(self) -> str:
        """What makes the labels of what is kept."""
        origin = self._view.opened.origin
        return "" if origin is None else command(origin, "annotate")

    def _job(self) -> ShardJob:
        return ShardJob(self._shard, self._workspace, self._config)

    def _say(self, keypoint: int, state: State, x_px: float | None = None, y_px: float | None = None) -> Correction:
        x, y, score = self.found()[keypoint].tolist()
        was_seen = score > 0
        return Correction(
            sample_id=self.sample_id,
            keypoint=keypoint,
            state=state,
            x_px=x_px,
            y_px=y_px,
            was_x_px=x if was_seen else None,
            was_y_px=y if was_seen else None,
            was_score=score if was_seen else None,
            bbox_xyxy=tuple(self._found["bbox_xyxy"][0].tolist()),
            photo_sha256=self._sha256,
            corrected_by=self._view.opened.reviewer,
            corrected_utc=datetime.now(UTC),
        )


def _dataset_config(shard: ShardRef, view: View, workspace: Workspace) -> AnnotateConfig:
    """The settings that the data set was annotated with."""
    record, output = read_record(workspace, shard.group), dataclasses.asdict(view.opened.config.output)
    return Origin.of(record.params, {**record.overrides, "output": output}).config()

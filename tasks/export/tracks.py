"""Writes people one by one: a file a track; of photos a file a person or a photo, where the format can hold a still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from datasets_manifest.files import write_bytes
from datasets_manifest.paths import inside
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.people import found_rows
from datasets_manifest.sources.image_names import MEMBER_MARK
from model.body.ehms import EHMs
from tasks.export.exported import Exported
from tasks.export.formats import TrackFormat
from tasks.export.motion import FrameState, Motion, motions_of
from tasks.export.people.people import usable_rows
from tasks.export.terms import Terms
from tasks.wording import counted

Remarks = list[tuple[int, str]]


def write_tracks(batches: Iterable[Columns], form: TrackFormat, body: EHMs, terms: Terms, exported: Exported) -> None:
    """Writes every track and every person of photos.

    Args:
        batches: Rows; all of a group, and of a photo, in one of them.
        form: Format.
        body: Their body model.
        terms: What may be done with the files.
        exported: Gets what was written.

    Raises:
        ValueError: A file would be that of two tracks, or the format cannot hold the body.
    """
    tracks = _Tracks(form, body, terms, exported)
    photos = _Photos(form, body, terms, exported)
    for rows in batches:
        in_group = rows.has("group")
        tracks.add(rows.take(in_group))
        photos.add(rows.take(~in_group))
    exported.title = "; ".join(filter(None, (tracks.title, photos.title)))
    exported.remarks += [*tracks.remarks(), *photos.remarks()]


@dataclass(slots=True)
class _Tracks:
    """People over the frames of groups."""

    form: TrackFormat
    body: EHMs
    terms: Terms
    exported: Exported
    files: list[dict[str, Any]] = field(default_factory=list)
    states: Counter[FrameState] = field(default_factory=Counter)
    one_frame: int = 0

    def add(self, rows: Columns) -> None:
        """Writes the tracks of some groups."""
        for motion in motions_of(rows, body_model=self.terms.body_model, licence=self.terms.text):
            if len(motion) < 2:
                self.one_frame += 1
                continue
            name = f"{plain_name(motion.name.group)}.track{motion.name.track}{self.form.ending}"
            _write(self.exported, name, self.form.encode(motion, self.body), told := _told(motion))
            self.files.append(told)
            self.states.update(FrameState(state) for state in motion.state.tolist())

    @property
    def title(self) -> str:
        """What was written."""
        frames = counted(self.states.total(), "frame")
        return f"{counted(len(self.files), 'track')}, {frames}" if self.files or self.one_frame else ""

    def remarks(self) -> Remarks:
        """What of it no label says."""
        bridged, filled = self.states[FrameState.BRIDGED], self.states[FrameState.FILLED]
        gaps, reshaped, varying = (sum(own[name] for own in self.files) for name in ("num_gaps", "reshaped", "varies"))
        return [
            (bridged, f"{bridged} bridged: nobody was found there"),
            (filled, f"{filled} in {counted(gaps, 'gap')} without a label, straight from the one before to the next"),
            (reshaped, f"{reshaped} in another shape than their track's mean, which is written"),
            (varying, f"{counted(varying, 'track')} whose frames are not evenly spaced; the rate is the median"),
            (self.one_frame, f"{counted(self.one_frame, 'track')} of one frame left out"),
        ]


@dataclass(slots=True)
class _Photos:
    """People of photos."""

    form: TrackFormat
    body: EHMs
    terms: Terms
    exported: Exported
    people: int = 0
    files: int = 0
    failed: int = 0
    left_out: int = 0

    def add(self, rows: Columns) -> None:
        """Writes the people of some photos."""
        usable = usable_rows(rows)
        self.failed += int((found_rows(rows.table) & ~usable).sum())
        if self.form.still is None:
            self.left_out += int(usable.sum())
            return
        rows = rows.take(usable)
        images = rows["image"]
        # People of a photo follow each other.
        starts = np.flatnonzero(np.r_[True, images[1:] != images[:-1]]) if len(images) else np.zeros(0, int)
        for own in np.split(np.arange(len(images)), starts[1:]) if len(starts) else ():
            people, image = rows.take(own), str(images[own[0]])
            for part, data in self.form.still(people, self.body, self.terms.text):
                _write(self.exported, f"{plain_name(image)}{part}{self.form.ending}", data, {"image": image})
                self.files += 1
            self.people += len(own)

    @property
    def title(self) -> str:
        """What was written."""
        people = f"{self.people} {'person' if self.people == 1 else 'people'}"
        return f"{people} of photos, {counted(self.files, 'file')}" if self.files else ""

    def remarks(self) -> Remarks:
        """Who is not there."""
        return [
            (self.failed, f"{self.failed} of photos without a box, camera or pose left out"),
            (self.left_out, f"{self.left_out} of photos left out: the format is motion"),
        ]


def _write(exported: Exported, name: str, data: bytes, told: dict[str, Any]) -> None:
    if name in exported.files:
        raise ValueError(f"{exported.folder / name} would be the file of two tracks; rename one of their videos")
    write_bytes(inside(exported.folder, name), data)
    exported.files[name] = told


def plain_name(group: str) -> str:
    """What a group or photo is called below a folder: its name without what leads out of there."""
    parts = [part for part in PurePosixPath(group).parts if part not in ("/", "..")]
    return "/".join(parts).replace(MEMBER_MARK, "@")


def _told(motion: Motion) -> dict[str, Any]:
    """What ``export.json`` says of a file."""
    gaps = motion.frames_of(FrameState.FILLED)
    return {
        "group": motion.name.group,
        "track": motion.name.track,
        "frames": len(motion),
        "first_frame": int(motion.frame[0]),
        "last_frame": int(motion.frame[-1]),
        "rate_hz": motion.rate_hz,
        "start_s": float(motion.time_s[0]),
        "reference": motion.reference,
        "camera": motion.camera,
        "axes_from_reference": motion.axes_from_reference.tolist(),
        "bridged": motion.frames_of(FrameState.BRIDGED),
        "gaps": gaps,
        "num_gaps": len(gaps),
        "reshaped": motion.reshaped,
        "varies": motion.varies,
    }

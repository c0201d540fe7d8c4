"""Writes the tracks of labels in a format of others: ``<out>/<format>/<data set>/<split>/<group>.track<number>...``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_bytes, write_text
from datasets_manifest.paths import inside
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.sources.image_names import MEMBER_MARK
from model.body.ehms import EHMs
from tasks.display import Display
from tasks.export.formats import FORMATS
from tasks.export.motion import FrameState, Motion, motions_of
from tasks.tracks.labelled import has_groups
from tasks.wording import counted

LIST = "export.json"
"""Beside the files of a split: what they are, and what of them no label says."""


@dataclass(kw_only=True, slots=True)
class Exported:
    """What was written of a split of a data set."""

    folder: Path
    """Where."""
    terms: dict[str, Any]
    """What holds for all files."""
    files: list[dict[str, Any]] = field(default_factory=list)
    """What is said of each."""
    states: Counter[FrameState] = field(default_factory=Counter)
    """Frames by where their pose comes from."""
    stills: int = 0
    """Tracks of one frame, of which there are no files."""

    def lines(self) -> Iterator[str]:
        """What was written, and what is not as a label says."""
        yield f"{self.folder}: {counted(len(self.files), 'track')}, {counted(self.states.total(), 'frame')}"
        bridged, filled = self.states[FrameState.BRIDGED], self.states[FrameState.FILLED]
        gaps, reshaped, varying = (sum(own[name] for own in self.files) for name in ("num_gaps", "reshaped", "varies"))
        told = (
            (bridged, f"{bridged} bridged: nobody was found there"),
            (filled, f"{filled} in {counted(gaps, 'gap')} without a label, straight from the one before to the next"),
            (reshaped, f"{reshaped} labelled in another shape than their track's mean, which is written"),
            (
                varying,
                f"{counted(varying, 'track')} whose frames are not evenly spaced; the rate is the median",
            ),
            (self.stills, f"{counted(self.stills, 'track')} of one frame left out"),
        )
        yield from (f"  {sentence}" for number, sentence in told if number)

    def write_list(self) -> None:
        """Writes ``export.json``."""
        write_text(self.folder / LIST, json.dumps(self.terms | {"files": self.files}, indent=1) + "\n")


def export_tracks(
    labels: Path, body: EHMs, form: str, out: Path, display: Display, datasets: Sequence[str] = ()
) -> list[Exported]:
    """Writes every track of some data sets; files of before are replaced, those of tracks that are gone deleted.

    Args:
        labels: Folder of the labels.
        body: Their body model.
        form: One of ``FORMATS``.
        out: Folder above the files.
        display: Shows how far it is.
        datasets: Ids; none means all with groups.

    Raises:
        ValueError: Another format; a data set has no labels, or none in groups; they are of another body; the name of
            a group is none of a file; or the format cannot hold the body.
    """
    if form not in FORMATS:
        raise ValueError(f"--to {form}: expected one of {', '.join(FORMATS)}")
    paths = [path for path in shard_files(labels) if not datasets or path.parent.parent.name in datasets]
    if missing := sorted(set(datasets) - {path.parent.parent.name for path in paths}):
        raise ValueError(f"{labels} has no labels of the data set {' or '.join(missing)}; annotate it first")
    found: dict[Path, Exported] = {}
    for done, path in enumerate(paths):
        display.show("shards", done, len(paths), "", None)
        with Shard(path) as shard:
            if has_groups(shard):
                _export(shard, body, form, out / form, found)
    if not found:
        named = f"the data set {' and '.join(datasets)}" if datasets else "any data set"
        raise ValueError(
            f"{labels} has no tracks of {named}: {form} is motion, of labels of videos or of scenes of several cameras"
        )
    for exported in found.values():
        _delete_old(exported)
        exported.write_list()
    return list(found.values())


def _export(shard: Shard, body: EHMs, form: str, out: Path, found: dict[Path, Exported]) -> None:
    stated = shard.footer.body_model
    if body_identity(stated) != body_identity(body.assets.entry):
        raise ValueError(
            f"{shard.path} is of the body model {body_name(stated)}, the settings' is {body_name(body.assets.entry)}: "
            "give the model named in the labels' footer (body_model)"
        )
    folder = out / shard.path.parent.parent.name / shard.path.parent.name
    for motion in motions_of(shard):
        if folder not in found:
            terms = {"format": form, "axes": FORMATS[form].axes, "licence": motion.licence, "body_model": dict(stated)}
            found[folder] = Exported(folder=folder, terms=terms)
        own = found[folder]
        if len(motion) < 2:
            own.stills += 1
            continue
        name = f"{motion.name.group.replace(MEMBER_MARK, '@')}.track{motion.name.track}{FORMATS[form].ending}"
        write_bytes(inside(folder, name), FORMATS[form].encode(motion, body))
        own.files.append({"file": name} | _told(motion))
        own.states.update(FrameState(state) for state in motion.state.tolist())


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


def _delete_old(exported: Exported) -> None:
    """Deletes what an earlier export wrote there and this one did not."""
    before = exported.folder / LIST
    if not before.is_file():
        return
    names = {own["file"] for own in json.loads(before.read_text(encoding="utf-8"))["files"]}
    for name in names - {own["file"] for own in exported.files}:
        inside(exported.folder, name).unlink(missing_ok=True)

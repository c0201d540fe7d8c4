"""Writes tracks in a format of others: ``<out>/<format>/<data set>/<split>/<group>.track<number>...``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from datasets_manifest.files import write_bytes, write_text
from datasets_manifest.paths import inside
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.sources.image_names import MEMBER_MARK
from model.body.ehms import EHMs
from tasks.body_model import full_body, people_size
from tasks.display import Display
from tasks.export.formats import FORMATS
from tasks.export.motion import FrameState, Motion, motions_of
from tasks.export.rows import label_rows, predicted_rows
from tasks.settings import BodyModelConfig
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
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is said of each, by its name."""
    states: Counter[FrameState] = field(default_factory=Counter)
    """Frames by where their pose comes from."""
    stills: int = 0
    """Tracks of one frame, of which there are no files."""

    def lines(self) -> Iterator[str]:
        """What was written, and what is not as a label says."""
        yield f"{self.folder}: {counted(len(self.files), 'track')}, {counted(self.states.total(), 'frame')}"
        bridged, filled = self.states[FrameState.BRIDGED], self.states[FrameState.FILLED]
        gaps, reshaped, varying = (
            sum(own[name] for own in self.files.values()) for name in ("num_gaps", "reshaped", "varies")
        )
        told = (
            (bridged, f"{bridged} bridged: nobody was found there"),
            (filled, f"{filled} in {counted(gaps, 'gap')} without a label, straight from the one before to the next"),
            (reshaped, f"{reshaped} in another shape than their track's mean, which is written"),
            (
                varying,
                f"{counted(varying, 'track')} whose frames are not evenly spaced; the rate is the median",
            ),
            (self.stills, f"{counted(self.stills, 'track')} of one frame left out"),
        )
        yield from (f"  {sentence}" for number, sentence in told if number)

    def write_list(self) -> None:
        """Writes ``export.json``."""
        files = [{"file": name} | told for name, told in self.files.items()]
        write_text(self.folder / LIST, json.dumps(self.terms | {"files": files}, indent=1) + "\n")


def export_labels(
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
            a group is none of a file, or that of two; or the format cannot hold the body.
    """
    _check_format(form)
    paths = [path for path in shard_files(labels) if not datasets or path.parent.parent.name in datasets]
    if missing := sorted(set(datasets) - {path.parent.parent.name for path in paths}):
        raise ValueError(f"{labels} has no labels of the data set {' or '.join(missing)}; annotate it first")
    found: dict[Path, Exported] = {}
    for done, path in enumerate(paths):
        display.show("shards", done, len(paths), "", None)
        with Shard(path) as shard:
            rows, footer = label_rows(shard), shard.footer
        if rows is None:
            continue
        _check_body(path, footer.body_model, body)
        folder = out / form / path.parent.parent.name / path.parent.name
        terms = {"labels": footer.manifest.get("licence"), "body model": footer.body_model.get("licence")}
        licence = "; ".join(f"{what}: {' '.join(str(text).split())}" for what, text in terms.items() if text)
        for motion in motions_of(rows, body_model=footer.body_model, licence=licence):
            _write(motion, body, form, found.setdefault(folder, _of(folder, form, footer.body_model, licence)))
    if not found:
        named = f"the data set {' and '.join(datasets)}" if datasets else "any data set"
        raise ValueError(
            f"{labels} has no tracks of {named}: {form} is motion, of labels of videos or of scenes of several cameras"
        )
    return _finished(found.values())


def export_predictions(people: Path, config: BodyModelConfig, form: str, out: Path) -> list[Exported]:
    """Writes every track of predicted videos, into ``<out>/<format>/predictions``; otherwise as ``export_labels``.

    Args:
        people: Folder or file of the rows.
        config: Their body model.
        form: One of ``FORMATS``.
        out: Folder above the files.

    Raises:
        ValueError: As ``predicted_rows`` and ``export_labels``.
    """
    _check_format(form)
    rows, stated = predicted_rows(people)
    betas, flame_shape, expression = (rows[name].shape[1] for name in ("betas", "flame_shape", "flame_expression"))
    size = BodySize(num_betas=betas, num_flame_shape=flame_shape, num_expression=expression)
    body = full_body(config, people_size(config, size))
    _check_body(people, stated, body)
    licence = f"body model: {stated['licence']}" if stated.get("licence") else ""
    own = _of(out / form / "predictions", form, stated, licence)
    for motion in motions_of(rows, body_model=stated, licence=licence):
        _write(motion, body, form, own)
    if not own.files:
        raise ValueError(f"{people} has no tracks of two frames or more: {form} is motion, of predictions of videos")
    return _finished([own])


def _check_format(form: str) -> None:
    if form not in FORMATS:
        raise ValueError(f"--to {form}: expected one of {', '.join(FORMATS)}")


def _check_body(path: Path, stated: Mapping[str, Any], body: EHMs) -> None:
    if body_identity(stated) != body_identity(body.assets.entry):
        raise ValueError(
            f"{path} is of the body model {body_name(stated)}, the given one is {body_name(body.assets.entry)}: give "
            "that of the former (body_model in the settings; with --predictions --body-model)"
        )


def _of(folder: Path, form: str, body_model: Mapping[str, Any], licence: str) -> Exported:
    terms = {"format": form, "axes": FORMATS[form].axes, "licence": licence, "body_model": dict(body_model)}
    return Exported(folder=folder, terms=terms)


def _write(motion: Motion, body: EHMs, form: str, exported: Exported) -> None:
    """Writes the file of a motion, if it is one."""
    if len(motion) < 2:
        exported.stills += 1
        return
    name = f"{_plain(motion.name.group)}.track{motion.name.track}{FORMATS[form].ending}"
    if name in exported.files:
        raise ValueError(f"{exported.folder / name} would be the file of two tracks; rename one of their videos")
    write_bytes(inside(exported.folder, name), FORMATS[form].encode(motion, body))
    exported.files[name] = _told(motion)
    exported.states.update(FrameState(state) for state in motion.state.tolist())


def _finished(exported: Iterable[Exported]) -> list[Exported]:
    for own in exported:
        _delete_old(own)
        own.write_list()
    return list(exported)


def _plain(group: str) -> str:
    """What a group is called below a folder: its name without what leads out of there."""
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


def _delete_old(exported: Exported) -> None:
    """Deletes what an earlier export wrote there and this one did not."""
    before = exported.folder / LIST
    if not before.is_file():
        return
    names = {own["file"] for own in json.loads(before.read_text(encoding="utf-8"))["files"]}
    for name in names - exported.files.keys():
        inside(exported.folder, name).unlink(missing_ok=True)

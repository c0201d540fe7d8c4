"""Writes labels or predictions in a format of others, into ``<out>/<format>/<data set>/<split>``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.reviews.verdicts import Obedience, ReviewRule, Verdicts
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import PART_NAMES, BodySize
from datasets_manifest.schema.people import found_rows, is_bridged
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import Shard, read_footer
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.stores import Place
from fitting.delta_theta import DeltaTheta
from model.body.ehms import EHMs
from tasks.body_model import full_body, people_size
from tasks.display import Counter, Display
from tasks.export.exported import Exported
from tasks.export.formats import FORMATS, Format, TrackFormat
from tasks.export.people.people import People, PointBody, usable_rows
from tasks.export.people.target import Target
from tasks.export.rows import PREDICTIONS, label_rows, predicted_rows
from tasks.export.terms import Terms, check_mesh
from tasks.export.tracks import write_tracks
from tasks.settings import BodyModelConfig

TOGETHER = "together"
"""Folder of what is of several data sets."""


def _none() -> None:
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """What to write, and what is allowed."""

    form: str
    """One of ``FORMATS``."""
    out: Path
    """Folder above the files."""
    datasets: tuple[str, ...] = ()
    """Ids; none means all."""
    together: bool = False
    """Whether all data sets go into one file, where the format is of many people."""
    mixed_terms: bool = False
    """Whether data sets of differing terms may."""
    licensed_mesh: bool = False
    """Whether meshes of a licensed body may be written."""
    photos: Callable[[str, str], ImageSource] | None = None
    """Gives the photos of a data set and split."""
    transfer: Callable[[], DeltaTheta | None] = field(default=_none)
    """Gives the way from SMPL to the body, where SMPL's files are there."""
    verdicts: Verdicts | None = None
    """What people judged of the labels."""
    review_rule: ReviewRule = "drop_rejected"
    """What follows from it."""

    def __post_init__(self) -> None:
        """Refuses an unknown format, one that cannot hold several people, and a rule about verdicts without any."""
        if self.form not in FORMATS:
            raise ValueError(f"--to {self.form}: expected one of {', '.join(FORMATS)}")
        if self.together and isinstance(self.format, TrackFormat):
            raise ValueError(f"--together: {self.form} is one file a track; leave it")
        if self.verdicts is None and self.review_rule == "only_accepted":
            raise ValueError("--review-rule only_accepted needs the folder of the verdicts (--reviews)")

    @property
    def format(self) -> Format:
        """How it is written."""
        return FORMATS[self.form]


def export_labels(labels: Place, body: EHMs, request: ExportRequest, display: Display) -> list[Exported]:
    """Writes the people of some data sets; files of before are replaced, those of people who are gone deleted.

    Args:
        labels: Folder of the labels.
        body: Their body model.
        request: What to write.
        display: Shows how far it is.

    Raises:
        ValueError: A data set has no labels, or none that the format can hold; they are of another body; the name of
            a group is none of a file, or that of two; the format cannot hold the body; or it is not allowed.
    """
    datasets = request.datasets
    paths = [path for path in shard_files(labels) if not datasets or path.parent.parent.name in datasets]
    if missing := sorted(set(datasets) - {path.parent.parent.name for path in paths}):
        raise ValueError(f"{labels} has no labels of the data set {' or '.join(missing)}; annotate it first")
    counter = Counter("shards", len(paths), display)
    base, found = request.out / request.form, list[Exported]()
    groups = [(folder, list(own)) for folder, own in groupby(paths, lambda path: path.parent)]
    if request.together and groups:
        groups = [(labels / TOGETHER, paths)]
    for folder, own in groups:
        terms = _terms(own, body)
        terms.check_one(allowed=request.mixed_terms)
        name = (TOGETHER,) if request.together else (folder.parent.name, folder.name)
        reviewed = None if request.verdicts is None else _Reviewed(request.verdicts, request.review_rule)
        rows = _rows(counter.count(own), reviewed)
        written = _write(rows, body, terms, request, base.joinpath(*name), "_".join(name))
        written.remarks += reviewed.remarks() if reviewed else []
        found.append(written)
    if not any(written.files for written in found):
        named = f"the data set {' and '.join(datasets)}" if datasets else "any data set"
        raise ValueError(_nothing(f"{labels} has no", f" of {named}", request, found))
    return _finished(found)


def export_predictions(people: Path, config: BodyModelConfig, request: ExportRequest) -> list[Exported]:
    """Writes predicted people, into ``<out>/<format>/predictions``; otherwise as ``export_labels``.

    Args:
        people: Folder or file of the rows.
        config: Their body model.
        request: What to write.

    Raises:
        ValueError: As ``predicted_rows`` and ``export_labels``.
    """
    rows, stated = predicted_rows(people)
    betas, flame_shape, expression = (rows[name].shape[1] for name in ("betas", "flame_shape", "flame_expression"))
    size = BodySize(num_betas=betas, num_flame_shape=flame_shape, num_expression=expression)
    body = full_body(config, people_size(config, size))
    _check_body(people, stated, body)
    terms = Terms(data={}, body_model=stated)
    written = _write([rows], body, terms, request, request.out / request.form / PREDICTIONS, PREDICTIONS)
    if not written.files:
        raise ValueError(_nothing(f"{people} has no", "", request, [written]))
    return _finished([written])


def _write(
    rows: Iterable[Columns], body: EHMs, terms: Terms, request: ExportRequest, folder: Path, stem: str
) -> Exported:
    form = request.format
    stated = {"format": request.form, "axes": form.axes, "licence": terms.text, "body_model": dict(terms.body_model)}
    exported = Exported(folder=folder, stated=stated, licence=terms.page)
    if form.is_mesh:
        check_mesh(request.form, terms.body_model, allowed=request.licensed_mesh)
    if isinstance(form, TrackFormat):
        write_tracks(rows, form, body, terms, exported)
        return exported
    tally = _Tally()
    batches = tally.people(rows, PointBody(body))
    if (first := next(batches, None)) is not None:
        target = Target(
            exported=exported,
            stem=stem,
            terms=terms,
            together=request.together,
            photos=request.photos,
            transfer=request.transfer,
        )
        count = form.write(chain([first], batches), target)
        exported.title = f"{count} {'person' if count == 1 else 'people'}"
    exported.remarks += tally.remarks()
    return exported


@dataclass(slots=True)
class _Tally:
    """Counts whom an export leaves out."""

    bridged: int = 0
    unusable: int = 0

    def people(self, batches: Iterable[Columns], body: PointBody) -> Iterator[People]:
        """The usable people of some rows, batch by batch; batches of nobody are passed over."""
        for rows in batches:
            usable = usable_rows(rows)
            self.bridged += int(is_bridged(rows.table).sum())
            self.unusable += int((found_rows(rows.table) & ~usable).sum())
            if usable.any():
                yield People(rows.take(usable), body)

    def remarks(self) -> list[tuple[int, str]]:
        """Who is not there."""
        return [
            (self.bridged, f"{self.bridged} bridged left out: nobody was found there"),
            (self.unusable, f"{self.unusable} without a box, points, camera or pose left out"),
        ]


class _Reviewed:
    """Obeys what people judged of labels."""

    def __init__(self, verdicts: Verdicts, rule: ReviewRule) -> None:
        self._obedience, self._left_out = Obedience(verdicts, rule), 0

    def of(self, rows: Columns) -> Columns:
        """Without the flags of refused parts, and without people of whom none is left."""
        table = self._obedience.obey(rows.table)
        if table is rows.table:
            return rows
        after = Columns(table)
        lost = _has_part(rows) & ~_has_part(after)
        self._left_out += int(lost.sum())
        return after.take(~lost)

    def remarks(self) -> list[tuple[int, str]]:
        """What that did to the people who came by."""
        counts = self._obedience.counts()
        return [
            (counts.rejected, f"{counts.rejected} parts not trusted: rejected in review"),
            (counts.not_accepted, f"{counts.not_accepted} parts not trusted: not accepted in review"),
            (self._left_out, f"{self._left_out} people left out: no part was left of them after review"),
            (counts.stale, f"{counts.stale} stale verdicts not obeyed: their labels came out differently since"),
        ]


def _has_part(rows: Columns) -> np.ndarray:
    """(N,) which people have a valid part."""
    return np.logical_or.reduce([rows[f"{part}_valid"] for part in PART_NAMES])


def _rows(paths: Iterable[Place], reviewed: _Reviewed | None) -> Iterator[Columns]:
    for path in paths:
        with Shard(path) as shard:
            rows = label_rows(shard)
        yield rows if reviewed is None else reviewed.of(rows)


def _terms(paths: Iterable[Place], body: EHMs) -> Terms:
    """What the footers of some labels say.

    Raises:
        ValueError: Labels are of another body.
    """
    data: dict[str, str] = {}
    for path in paths:
        footer = read_footer(path)
        _check_body(path, footer.body_model, body)
        licence = str(footer.manifest.get("licence") or "")
        name = path.parent.parent.name
        data[name if data.get(name, licence) == licence else f"{name}/{path.parent.name}"] = licence
    return Terms(data=data, body_model=body.assets.entry)


def _nothing(who: str, of_what: str, request: ExportRequest, found: Iterable[Exported]) -> str:
    if isinstance(request.format, TrackFormat) and request.format.still is None:
        return (
            f"{who} tracks of two frames or more{of_what}: {request.form} is motion, of videos or of scenes of several "
            "cameras; bvh, glb and the formats of people take photos too"
        )
    told = [sentence for written in found for number, sentence in written.remarks if number]
    return f"{who} people{of_what} for {request.form}" + "".join(f"; {sentence}" for sentence in told)


def _check_body(path: Place, stated: Mapping[str, Any], body: EHMs) -> None:
    if body_identity(stated) != body_identity(body.assets.entry):
        raise ValueError(
            f"{path} is of the body model {body_name(stated)}, the given one is {body_name(body.assets.entry)}: give "
            "that of the former (body_model in the settings; with --predictions --body-model)"
        )


def _finished(exported: Iterable[Exported]) -> list[Exported]:
    for own in exported:
        own.finish()
    return list(exported)

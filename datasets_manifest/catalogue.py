"""What data sets there are, which of them are here, and what is missing of them; photos are read if that is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from datasets_manifest.adapters.base import Inventory, Missing
from datasets_manifest.adapters.photo_damage import damaged_photos
from datasets_manifest.manifest import Manifest, load_manifest, open_adapter, open_source
from datasets_manifest.named_sources import fixed_root, manifest_ids
from datasets_manifest.paths import is_address
from datasets_manifest.schema.error_codes import ErrorCode

State = Literal["complete", "incomplete", "found", "unusable", "missing", "rendered"]
"""complete: what is expected is there; found: nothing is expected, or it was not counted; rendered: made when it is
annotated."""
PARTS = ("part 1", "part 2", "evaluation", "")
"""Order of the listing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetEntry:
    """One data set."""

    manifest: Manifest
    """What it is, its root as it is looked for."""
    state: State
    """Whether it is here."""
    next_step: str
    """What is to be done, in a sentence; empty if nothing is."""
    photos: int | None = None
    """That are listed and there; None: they were not counted."""
    people: int | None = None
    """Annotated people that are listed."""
    problems: Mapping[str, int] = field(default_factory=dict)
    """Error code -> files and annotations that cannot be used."""

    @property
    def counts(self) -> str:
        """``4,998 of 5,000 photos, 11,004 people``; empty if nothing was counted and nothing is expected."""
        expected = self.manifest.expected
        pairs = (("photo", self.photos, expected.images), ("person", self.people, expected.people))
        return ", ".join(text for text in (_count(*pair) for pair in pairs) if text)


def catalogue(
    sources: Iterable[str] = (),
    *,
    folder: Path,
    roots: Mapping[str, str] | None = None,
    count: bool = True,
    photos: bool = False,
) -> list[DatasetEntry]:
    """The data sets of the project, or some by id or path of a manifest.

    Args:
        sources: Which; none for all that are no template.
        folder: What the roots of manifests are relative to.
        roots: Where data sets lie that do not lie where their manifest says, by id.
        count: Whether photos and people of those that are here are counted.
        photos: Whether the photos of those that are counted are decoded.

    Raises:
        ValueError: There is no such manifest, or it says what makes no sense.
    """
    names = list(sources) or [name for name in manifest_ids() if not name.startswith("my_")]
    manifests = [load_manifest(name) for name in names]
    places = roots or {}
    found = [
        _entry(replace(each, root=fixed_root(places.get(each.id, each.root), folder)), count, photos)
        for each in manifests
    ]
    return sorted(found, key=lambda entry: (PARTS.index(entry.manifest.part), entry.manifest.id))


def _entry(manifest: Manifest, count: bool, decoded: bool) -> DatasetEntry:
    if manifest.adapter == "synthetic":
        return DatasetEntry(manifest=manifest, state="rendered", next_step="")
    try:
        is_there = is_address(manifest.root) or os.path.exists(manifest.root_path)
    except ValueError as error:  # Of a package that is not installed.
        return DatasetEntry(manifest=manifest, state="missing", next_step=str(error))
    if not is_there:
        return DatasetEntry(manifest=manifest, state="missing", next_step=first_step(manifest))
    if not count:
        return DatasetEntry(manifest=manifest, state="found", next_step="")
    inventory, absent = Inventory(), _Absent()

    def tell(missing: Missing) -> None:
        if missing.code == ErrorCode.IMAGE_MISSING:
            absent.first = absent.first or missing.path
            absent.number += 1
            absent.rows += missing.has_row

    try:
        images = open_source(manifest)
        records = inventory.records(open_adapter(manifest, images).entries(), tell)
        for damage in damaged_photos(images, (record.path for record in records if decoded)):
            inventory.count(damage)
    except ValueError as error:
        return DatasetEntry(manifest=manifest, state="unusable", next_step=str(error))
    photos = inventory.images - absent.rows
    step = _missing_step(manifest, inventory, photos, absent)
    is_expected = manifest.expected.images is not None or manifest.expected.people is not None
    return DatasetEntry(
        manifest=manifest,
        state="incomplete" if step else "complete" if is_expected else "found",
        next_step=step,
        photos=photos,
        people=inventory.people if manifest.boxes == "manifest" else None,
        problems=dict(sorted(inventory.missing.items())),
    )


@dataclass(slots=True)
class _Absent:
    """Photos that are named and not there; of a million no more is kept."""

    first: str = ""
    number: int = 0
    rows: int = 0


def first_step(manifest: Manifest) -> str:
    """The first thing to do, and whether that is all."""
    if not manifest.steps:
        return manifest.access
    more = len(manifest.steps) - 1
    return manifest.steps[0] + f" Then {_number(more, 'step')} more: pear datasets {manifest.id}" * (more > 0)


def _missing_step(manifest: Manifest, inventory: Inventory, photos: int, absent: _Absent) -> str:
    """What a data set that is here lacks; empty if nothing."""
    if absent.number:
        return f"{_number(absent.number, 'photo')} named and not there, such as {absent.first}: fetch them again."
    if inventory.missing:
        return f"{inventory.missing.total():,} of its files and annotations cannot be used: {inventory.reasons}"
    expected = manifest.expected
    told = [
        f"{_number(number, noun)} listed, {wanted:,} expected"
        for noun, number, wanted in (("photo", photos, expected.images), ("person", inventory.people, expected.people))
        if wanted is not None and number != wanted
    ]
    return f"{' and '.join(told)}: look whether all of it is below {manifest.root}." if told else ""


def _count(noun: str, found: int | None, expected: int | None) -> str:
    if found is None:
        return "" if expected is None else f"{_number(expected, noun)} expected"
    return _number(found, noun) if expected in (None, found) else f"{found:,} of {_number(expected, noun)}"


def _number(count: int, noun: str) -> str:
    """``1 photo``, ``2,693 photos``, ``2 people``."""
    many = "people" if noun == "person" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"


def catalogue_lines(entries: Iterable[DatasetEntry], *, whole: bool = False) -> list[str]:
    """Text of data sets, a heading a part.

    Args:
        entries: Of ``catalogue``.
        whole: Whether all steps are listed, and what the data set is trusted for.
    """
    lines: list[str] = []
    part = None
    for entry in entries:
        manifest = entry.manifest
        if manifest.part != part:
            part = manifest.part
            lines += [*([""] if lines else []), (part or "others").capitalize()]
        never = ", never learnt from" if manifest.never_train else ""
        counts = f"; {entry.counts}" if entry.counts else ""
        lines += [f"  {manifest.id} ({manifest.split}): {entry.state}{counts}{never}", f"      {manifest.purpose}"]
        lines.append(f"      licence: {manifest.licence}")
        if whole:
            lines.append(f"      from: {manifest.distributor or manifest.access}")
            lines.append(f"      below: {manifest.root}, read by {manifest.adapter}")
            lines.append(f"      trusted: {', '.join(manifest.trusted)}")
            lines += [f"      {number}. {step}" for number, step in enumerate(manifest.steps, 1)]
        if entry.next_step and not (whole and entry.state == "missing" and manifest.steps):
            lines.append(f"      next: {entry.next_step}")
    return lines


def catalogue_sentence(entries: Iterable[DatasetEntry]) -> str:
    """``21 data sets: 2 complete, 19 missing``."""
    states = [entry.state for entry in entries]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states))]
    return f"{_number(len(states), 'data set')}: {', '.join(counts)}"


def catalogue_json(entries: Iterable[DatasetEntry]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            **{name: getattr(entry.manifest, name) for name in _STATED},
            "expected": {"photos": entry.manifest.expected.images, "people": entry.manifest.expected.people},
            **{name: getattr(entry, name) for name in ("state", "photos", "people", "problems", "next_step")},
        }
        for entry in entries
    ]


_STATED = (
    *("id", "part", "purpose", "split", "version", "licence", "distributor", "steps", "adapter", "root"),
    *("never_train", "trusted"),
)

"""The people whom a data set knows, for labels to be held against."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.adapters.registry import adapter_class
from datasets_manifest.manifest import Manifest, open_adapter

log = logging.getLogger(__name__)

_RICHEST_FIRST = ("coco_wholebody", "coco", "none")
"""Sets of annotated keypoints that a file is tried to have."""


def reference_records(manifest: Manifest) -> Iterator[ImageRecord] | None:
    """The people that a data set knows, as ``known_people`` has them; None if it knows none, or none that can be
    compared."""
    if not can_know(manifest):
        return None
    try:
        return known_people(manifest)
    except ValueError as error:
        log.warning("Labels are not compared with annotations: %s", error)
        return None


def known_people(manifest: Manifest) -> Iterator[ImageRecord]:
    """The photos of a data set with the people whom it knows, even where a run was told to find them itself. Where the
    run uses no annotated keypoints, the most that the file gives are taken.

    Raises:
        ValueError: It knows nobody, or what it says of them cannot be read.
    """
    if not can_know(manifest):
        raise ValueError(f"data set {manifest.id} knows none of its people: there is nothing to measure against")
    error: ValueError | None = None
    choices = _RICHEST_FIRST if manifest.keypoints == "none" else (manifest.keypoints,)
    for keypoints in choices:
        try:
            entries = open_adapter(replace(manifest, boxes="manifest", keypoints=keypoints)).entries()
            first = list(_until_somebody(entries))
        except ValueError as wrong:  # Of annotations that the run itself does not use.
            error = wrong
            continue
        if keypoints == choices[-1] or any(map(_is_somebody, first)):
            return (entry for entry in itertools.chain(first, entries) if isinstance(entry, ImageRecord))
    raise ValueError(f"people of the data set {manifest.id} cannot be read: {error}") from error


def can_know(manifest: Manifest) -> bool:
    """Whether a data set of this format may know its people."""
    return "manifest" in adapter_class(manifest.adapter).BOXES


def _is_somebody(entry: object) -> bool:
    """Whether an entry is a photo of people, one of whom can be read."""
    return isinstance(entry, ImageRecord) and any(person.error_code is None for person in entry.people)


def _until_somebody(entries: Iterable[Any]) -> Iterator[Any]:
    """The first entries, up to one with somebody who can be read."""
    for entry in entries:
        yield entry
        if _is_somebody(entry):
            return

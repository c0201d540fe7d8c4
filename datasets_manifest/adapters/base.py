"""What every adapter gives: an inventory of images and people.

An adapter only lists: photos are read through the data set's ``ImageSource``, by the names in the records. It drops
nothing silently: an image that is not there stays in the inventory (reading it raises the error that becomes its row)
and is named in ``Inventory.missing``; so is every annotation that cannot be used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_sources import ImageSource, problem_of


class Missing(NamedTuple):
    """Something that the data set names and that cannot be used."""

    path: str
    """File or annotation, as the data set names it."""
    reason: str
    """Error code, colon, one sentence."""

    @property
    def code(self) -> ErrorCode:
        """The error code at the start of the reason."""
        return ErrorCode(self.reason.partition(":")[0])

    @classmethod
    def of(cls, path: str, code: ErrorCode, detail: str) -> Missing:
        """Make the reason from a code and a sentence."""
        return cls(path, f"{code}: {detail}")

    @classmethod
    def photos(cls, source: ImageSource, paths: Iterable[str]) -> list[Missing]:
        """Those of the photos that the source does not have, sorted, each with the reason."""
        problems = [(path, problem_of(source, path)) for path in source.missing(paths)]
        return [cls.of(path, problem.code, problem.detail) for path, problem in problems if problem]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PersonRecord:
    """One person of an image, as the data set annotates them."""

    index: int
    """Number within the image; stable as long as the annotation is."""
    bbox_xyxy: np.ndarray | None = None
    """(4,) float32, px; None = to be detected."""
    keypoints: np.ndarray | None = None
    """(133, 3) float32: x px, y px, score 0..1 (0 = not annotated); None = to be estimated."""
    truth: Mapping[str, np.ndarray] | None = None
    """Named arrays of known truth (synthetic data), as in the label schema; None for real data."""
    error_code: ErrorCode | None = None
    """Set where the annotation cannot be used: the person still gets a row, a failed one."""
    error_detail: str | None = None
    """The sentence that goes with the error code."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageRecord:
    """One image of a data set."""

    image_id: str
    """Unique in the data set and stable between runs."""
    path: str
    """As the data set's ``ImageSource`` takes it: below the root, with forward slashes; archive::member in a tar."""
    people: tuple[PersonRecord, ...] = ()
    """Annotated people; empty = to be detected, or nobody is annotated."""
    width: int | None = None
    """px, as the data set states it; None = read it from the image."""
    height: int | None = None
    """px, as the data set states it."""
    focal_px: float | None = None
    """Focal length where it is known."""
    principal_px: tuple[float, float] | None = None
    """Principal point where it is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """All that a data set has."""

    records: tuple[ImageRecord, ...]
    """Sorted by image id; images that are not on disk are among them."""
    missing: tuple[Missing, ...] = ()
    """Files that are not there and annotations that cannot be used."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """Counts of what was left out on purpose, such as crowds or files that are not images."""

    @property
    def num_people(self) -> int:
        """Annotated people in all images."""
        return sum(len(record.people) for record in self.records)

    @property
    def summary(self) -> str:
        """One line for a person."""
        parts = [f"{len(self.records)} images", f"{self.num_people} annotated people"]
        parts += [f"{count} {what}" for what, count in self.notes.items() if count]
        parts += [f"{count} x {code}" for code, count in sorted(Counter(str(m.code) for m in self.missing).items())]
        return ", ".join(parts)


class Adapter(Protocol):
    """Lists one format."""

    Layout: ClassVar[type]
    """Frozen dataclass of what ``layout`` in the manifest may hold."""
    BOXES: ClassVar[frozenset[str]]
    """Values of ``boxes`` that make sense for the format."""
    KEYPOINTS: ClassVar[frozenset[str]]
    """Values of ``keypoints`` that make sense for the format."""

    def __init__(self, images: ImageSource, layout: Any, *, boxes: str, keypoints: str) -> None: ...

    def inventory(self) -> Inventory:
        """List all images and people; reads annotations and file names, no pixels."""
        ...

"""What every adapter gives: an inventory of images and people, and the bytes of one image.

An adapter drops nothing silently: an image that is not on disk stays in the inventory (reading it raises the error that
becomes its row) and is named in ``Inventory.missing``; so is every annotation that cannot be used.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np

from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError

if TYPE_CHECKING:
    from datasets_manifest.manifest import Manifest

A = TypeVar("A", bound="Adapter")

MAX_FILE_BYTES = 512 * 1024 * 1024
"""An image file above this size is refused without being read."""

_NO_ACCESS = "{relative} in {root} may not be read by this user; change its permissions."

_MODULES = {
    "coco": "datasets_manifest.adapters.coco",
    "folder": "datasets_manifest.adapters.folder",
    "synthetic": "datasets_manifest.adapters.synthetic",
}
_ADAPTERS: dict[str, type[Adapter]] = {}


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
    """Relative to the data set's root, with forward slashes."""
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
    """Reads one format. Built with the manifest; ``open_adapter`` has checked root and layout before."""

    Layout: ClassVar[type]
    """Frozen dataclass of what ``layout`` in the manifest may hold."""
    BOXES: ClassVar[frozenset[str]]
    """Values of ``boxes`` that make sense for the format."""
    KEYPOINTS: ClassVar[frozenset[str]]
    """Values of ``keypoints`` that make sense for the format."""

    def __init__(self, manifest: Manifest) -> None: ...

    def inventory(self) -> Inventory:
        """List all images and people; reads annotations and file names, no pixels."""
        ...

    def read(self, record: ImageRecord) -> bytes:
        """Return the bytes of an image; ImageError with a code where there is none."""
        ...


def register(name: str) -> Callable[[type[A]], type[A]]:
    """Make an adapter class known under a name (a class decorator)."""

    def keep(adapter: type[A]) -> type[A]:
        _ADAPTERS[name] = adapter
        return adapter

    return keep


def adapter_class(name: str) -> type[Adapter]:
    """Return the adapter registered under a name; ValueError with the known names otherwise."""
    if name not in _ADAPTERS and name in _MODULES:
        importlib.import_module(_MODULES[name])
    if name not in _ADAPTERS:
        raise ValueError(f"There is no adapter {name!r}; known are {', '.join(sorted({*_MODULES, *_ADAPTERS}))}.")
    return _ADAPTERS[name]


def parse_layout(name: str, options: Mapping[str, Any], *, where: str) -> Any:
    """Return the adapter's typed layout; ValueError that names an unknown option or a bad value."""
    layout = adapter_class(name).Layout
    known = [f.name for f in fields(layout)]
    unknown = sorted(str(key) for key in set(options) - set(known))
    if unknown:
        raise ValueError(
            f"{where}: layout has the unknown key(s) {', '.join(unknown)}; adapter {name} knows {', '.join(known)}."
        )
    try:
        return layout(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: layout is not valid for adapter {name}: {error}") from error


def open_adapter(manifest: Manifest) -> Adapter:
    """Return the adapter of a manifest, ready to list and read.

    Raises:
        ValueError: the data set's folder is not there; the sentence says how to get the data.
    """
    root = manifest.root_path
    if not root.is_dir():
        raise ValueError(
            f"Data set {manifest.id}: the folder {root} does not exist; put the data there or give another root. "
            f"How to get it: {manifest.access}"
        )
    return adapter_class(manifest.adapter)(manifest)


def read_file(root: Path, relative: str) -> bytes:
    """Return the bytes of a file inside the root.

    Raises:
        ImageError: source_row_invalid (the path leads outside), image_missing (also where it may not be read), or
            image_too_large.
    """
    try:
        path = inside(root, relative)
    except ValueError as error:
        raise ImageError(ErrorCode.SOURCE_ROW_INVALID, str(error)) from error
    try:
        if not path.is_file():
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{relative} is not a file in {root}.")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(ErrorCode.IMAGE_TOO_LARGE, f"{relative} has {size} bytes, allowed are {MAX_FILE_BYTES}.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(ErrorCode.IMAGE_MISSING, f"{relative} is no longer in {root}.") from error
    except PermissionError as error:
        raise ImageError(ErrorCode.IMAGE_MISSING, _NO_ACCESS.format(relative=relative, root=root)) from error


def file_problem(root: Path, relative: str) -> Missing | None:
    """Return why a file that a data set names cannot be read, None if it is there; reads no bytes."""
    try:
        path = inside(root, relative)
    except ValueError as error:
        return Missing.of(relative, ErrorCode.SOURCE_ROW_INVALID, str(error))
    try:
        if not path.is_file():
            return Missing.of(relative, ErrorCode.IMAGE_MISSING, f"not a file in {root}.")
    except PermissionError:
        return Missing.of(relative, ErrorCode.IMAGE_MISSING, _NO_ACCESS.format(relative=relative, root=root))
    return None

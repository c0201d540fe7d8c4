"""What every adapter gives: the images and people of a data set, one by one.

An adapter only lists: photos are read through the data set's ``ImageSource``, by the names in the records. It drops
nothing silently: an image that is not there has a record all the same (reading it raises the error that becomes its
row) and is told as ``Missing``; so is every annotation that cannot be used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.lens_models import LensModel
from datasets_manifest.schema.rle import Rle
from datasets_manifest.schema.trusted import TRUSTED_PARTS, TrustedPart
from datasets_manifest.schema.truth_3d import Truth3d
from datasets_manifest.sources.image_source import ImageSource, problem_of

MaskReader = Callable[[], Rle]
"""Makes a mask when it is called. ValueError: it cannot be read."""

_SHOWN = 3
"""Reasons that are kept in words."""


class Missing(NamedTuple):
    """Something that the data set names and that cannot be used."""

    path: str
    """File or annotation, as the data set names it."""
    reason: str
    """Error code, colon, one sentence."""
    has_row: bool = False
    """Whether a record stands for it, so that its reason is in a row of the labels."""

    @property
    def code(self) -> ErrorCode:
        """The error code at the start of the reason."""
        return ErrorCode(self.reason.partition(":")[0])

    @property
    def detail(self) -> str:
        """The sentence of the reason."""
        return self.reason.partition(": ")[2]

    @classmethod
    def of(cls, path: str, code: ErrorCode, detail: str, *, has_row: bool = False) -> Missing:
        """Make the reason from a code and a sentence."""
        return cls(path, f"{code}: {detail}", has_row)

    @classmethod
    def photos(cls, source: ImageSource, paths: Iterable[str]) -> list[Missing]:
        """Those of the photos of records that the source does not have, sorted, each with the reason."""
        problems = [(path, problem_of(source, path)) for path in source.missing(paths)]
        return [cls.of(path, problem.code, problem.detail, has_row=True) for path, problem in problems if problem]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PersonRecord:
    """One person of an image, as the data set annotates them."""

    index: int
    """Number within the image; stable as long as the annotation is."""
    bbox_xyxy: np.ndarray | None = None
    """(4,) float32, px; None = to be detected."""
    keypoints: np.ndarray | None = None
    """(133, 3) float32: x px, y px, score 0..1 (0 = not annotated); None = to be estimated."""
    other_points: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Annotated points that the 133 lack, by name (head_top, neck, pelvis ...): (3,) x px, y px, score. They stand in
    the plan, and evaluation in a joint set of the data set's own reads them; no fit does."""
    trusted: frozenset[TrustedPart] = frozenset(TRUSTED_PARTS)
    """Parts that the data set is good for. Of others the keypoint step takes no point, and labels no flag."""
    truth: Mapping[str, np.ndarray] | None = None
    """Named arrays of known truth (synthetic data), as in the label schema; None for real data."""
    truth_3d: Truth3d | None = None
    """3D that a real data set ships, as it ships it; it stands in the plan, for labels and for evaluation."""
    mask: MaskReader | None = None
    """Which pixels of the upright photo are the person; None = the data set does not say."""
    mesh: str | None = None
    """File of a registered mesh of the person, below the root; evaluation alone reads it. None = there is none."""
    error_code: ErrorCode | None = None
    """Set where the annotation cannot be used: the person still gets a row, a failed one."""
    error_detail: str | None = None
    """The sentence that goes with the error code."""
    track: int | None = None
    """Number that the person has in every image of the group, whichever camera took it; None = not known."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Place:
    """Where in a group an image is: photos that are fitted together, a video, or a scene of several cameras."""

    group: str
    """Name of the group, unique in the data set. Its images are in one shard."""
    frame: int
    """Number of the moment; the views of a moment have the same, later moments higher ones."""
    time_s: float
    """When it was taken, by one clock for all cameras of the group."""
    camera: str | None = None
    """Name of the camera within the group; None = there is one."""
    world_to_camera: np.ndarray | None = None
    """(3, 4) rotation and translation, metres: X_camera = rotation X_world + translation; None = not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibratedLens:
    """What of a calibrated camera is no pinhole."""

    model: LensModel
    """brown or fisheye as OpenCV has them, fisheye624 of Aria glasses."""
    coefficients: tuple[float, ...]
    """k1, k2, p1, p2 and k3 of brown, k1..k4 of fisheye; k1..k6, p1, p2 and s1..s4 of fisheye624."""
    focal_xy_px: tuple[float, float]
    """Along x and y."""


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
    lens: CalibratedLens | None = None
    """Of a photo whose camera is no pinhole of ``focal_px``, the mean of its two, and ``principal_px``; both are needed
    then. The refinement sees the points through it, and labels state it."""
    place: Place | None = None
    """Where in a group it is; None = it stands alone."""
    ignore_regions: tuple[np.ndarray, ...] = ()
    """Polygons (N, 2), px, whose people are not annotated. Evaluation reads them: who is found there is no false
    find."""
    ignore_masks: tuple[MaskReader, ...] = ()
    """The same as masks, such as crowds."""


class LeftOut(NamedTuple):
    """What is left out on purpose, or had in a way that is worth a word."""

    what: str
    """Such as crowds, files that are not images, or linked folders, in the words of the summary."""
    number: int
    """How many."""


Entry = ImageRecord | Missing | LeftOut
"""One thing that an adapter tells of a data set."""


@dataclass(slots=True)
class Inventory:
    """Counts of what a data set has, taken while it is listed."""

    images: int = 0
    """Records, images that are not on disk among them."""
    people: int = 0
    """Annotated people in all images."""
    empty: int = 0
    """Images without annotated people."""
    missing: Counter[str] = field(default_factory=Counter)
    """Files that are not there and annotations that cannot be used, by error code."""
    first: list[Missing] = field(default_factory=list)
    """The first few of them."""
    notes: dict[str, int] = field(default_factory=dict)
    """Counts of what was left out on purpose, or had in a way that is worth a word."""
    unlisted: Missing | None = None
    """The first folder or tar file that could not be looked into. Photos that are not listed may be there all the same:
    their labels are not to be set aside."""

    def records(self, entries: Iterable[Entry], tell: Callable[[Missing], None]) -> Iterator[ImageRecord]:
        """The images among the entries, everything counted on the way.

        Args:
            entries: Of an adapter.
            tell: Called with whatever cannot be used.
        """
        for entry in entries:
            if isinstance(entry, ImageRecord):
                self.images += 1
                self.people += len(entry.people)
                self.empty += not entry.people
                yield entry
            elif isinstance(entry, Missing):
                self.count(entry)
                if entry.code == ErrorCode.LISTING_INCOMPLETE and self.unlisted is None:
                    self.unlisted = entry
                tell(entry)
            else:
                self.notes[entry.what] = self.notes.get(entry.what, 0) + entry.number

    def count(self, missing: Missing) -> None:
        """Counts what cannot be used, and keeps the first few."""
        self.missing[str(missing.code)] += 1
        if len(self.first) < _SHOWN:
            self.first.append(missing)

    @property
    def summary(self) -> str:
        """One line for a person."""
        parts = [f"{self.images} photo{'s' * (self.images != 1)}"]
        if self.people:  # In data without annotations people are yet to be found: "0 people" would be misread.
            parts.append(f"{self.people} annotated {'person' if self.people == 1 else 'people'}")
        parts += [f"{what}: {count}" for what, count in self.notes.items() if count]
        parts += [f"{count} x {code}" for code, count in sorted(self.missing.items())]
        return ", ".join(parts)

    @property
    def reasons(self) -> str:
        """The first reasons for which something cannot be used, and how many more there are; empty without any."""
        more = self.missing.total() - len(self.first)
        told = " ".join(f"{entry.path}: {entry.detail}" for entry in self.first)
        return told + f" So it is with {more} more." * bool(more)


class Adapter(Protocol):
    """Lists one format."""

    Layout: ClassVar[type]
    """Frozen dataclass of what ``layout`` in the manifest may hold."""
    BOXES: ClassVar[frozenset[str]]
    """Values of ``boxes`` that make sense for the format."""
    KEYPOINTS: ClassVar[frozenset[str]]
    """Values of ``keypoints`` that make sense for the format."""

    def __init__(self, images: ImageSource, layout: Any, *, boxes: str, keypoints: str) -> None: ...

    def entries(self) -> Iterator[Entry]:
        """List all images with their people, sorted by image id, and whatever else there is to tell, in between.

        Folders and tar files that could not be looked into are told before the first image.

        Reads annotations and file names, no pixels; a record is made when it is asked for.
        """
        ...

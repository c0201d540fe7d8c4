"""What a manifest may say of a data set in COCO's form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from datasets_manifest.schema.keypoint_sets import KeypointSetName
from datasets_manifest.settings import Text

FlagMeaning = Literal["coco012", "binary", "score"]
DropRule = Literal["iscrowd", "num_keypoints", "valid_label", "is_labeled"]
DROPPED: dict[DropRule, str] = {
    "iscrowd": "crowds left out",
    "num_keypoints": "people with num_keypoints 0 left out",
    "valid_label": "people with valid_label 0 left out",
    "is_labeled": "images that are not labelled left out",
}
"""Rule -> what the summary calls those it leaves out."""
PATTERN = frozenset("*?[")
"""Letters by which a path stands for several."""


def _as_several(value: Any) -> Any:
    """A single path as a list of it."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoLayout:
    """Where images and annotations are, and which people count."""

    annotations: Annotated[tuple[Text, ...], BeforeValidator(_as_several)]
    """JSON file, relative to the root; or several: a list, or a pattern with * in it. Where there may be several, ids
    are those of their file alone, and an image is called by both."""
    images: Text = "."
    """Folder or tar file of the images, relative to the root; {folder} stands for the name of the folder that the
    annotation file lies in, {file} for its own without suffix."""
    category: Text = "person"
    """Name of the category of people; capitals make no difference. A file that lists no categories has COCO's: 1."""
    keypoint_set: KeypointSetName | None = None
    """What the keypoints are where the file does not name them, COCO's without it; a file with other names is
    refused."""
    flags: FlagMeaning | None = None
    """What stands behind the x and y of bodies and feet: coco012 (0 not labelled, 1 hidden, 2 visible), binary (1
    labelled) or score (a confidence 0..1; more counts as 1). Without it as the keypoint set has it: coco012, or 1 and 2
    alike of sets whose every labelled point has 1. Behind those of faces and hands stands a score in all files."""
    drop: tuple[DropRule, ...] = ("iscrowd", "valid_label", "is_labeled")
    """Who is left out: crowds, people with num_keypoints 0 or valid_label 0, everybody on images that are not
    is_labeled; where a file has the field."""
    first_pixel: Literal[0, 1] | None = None
    """What the middle of the first pixel is called: 1 by MATLAB, and boxes and points are moved by one. Without it 0,
    and the first people are looked at whether that can be."""
    check_order: bool = True
    """Whether points of the first people must lie to each other as those of people do, which those in another order
    than they are said to be in do not."""
    every_nth: Annotated[int, Field(ge=1)] = 1
    """Of all annotations of a file, in its order, the n-th, 2n-th and so on are taken, before any other choice."""
    videos: Text | None = None
    """File with names of videos, relative to the root: one a line, or texts in an .npy. An image is of the video that
    its folder is called by, without _Trim and what follows."""
    videos_are: Literal["taken", "left_out"] = "taken"
    """What becomes of the images of these videos; the others are treated the other way."""
    smplx: Text | None = None
    """File of SMPL-X parameters by annotation id (as UBody has it), relative to the root, with {folder} and {file} as
    in ``images``; who has none is left out."""
    require_limbs: bool = False
    """Keep only people whose twelve limb keypoints are all labelled (the usual evaluation filter)."""
    only_with_people: bool = True
    """Leave out images without an annotated person."""

    def __post_init__(self) -> None:
        """Refuse an empty list, and videos that are to be left out, but are not named."""
        if not self.annotations:
            raise ValueError("annotations: expected a file or more, got none")
        if self.videos is None and self.videos_are == "left_out":
            raise ValueError("videos_are: is 'left_out', but videos names no file; name it or drop videos_are")
        for name in ("images", "smplx"):
            text = getattr(self, name)
            try:
                filled_in(text or "", "a/b.json")
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(
                    f"{name}: may hold {{folder}} and {{file}}, and no other braces, got {text!r}"
                ) from error

    @property
    def has_several(self) -> bool:
        """Whether there may be several annotation files."""
        return len(self.annotations) > 1 or any(PATTERN & set(path) for path in self.annotations)


def filled_in(text: str, file: str) -> str:
    """A path in which {folder} and {file} stand for those of an annotation file."""
    folders, _, name = file.rpartition("/")
    return text.format(folder=folders.rpartition("/")[2], file=name.rpartition(".")[0] or name)

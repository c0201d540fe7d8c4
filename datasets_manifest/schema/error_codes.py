"""The closed set of reasons for which a sample or a part of it has no label, and the states of a row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """State of a row."""

    OK = "ok"
    """Every part that was asked for is there and trusted."""
    PARTIAL = "partial"
    """There is a label, but at least one part (body, a hand, the face) may not supervise a model."""
    FAILED = "failed"
    """No label; ``error_code`` says why."""


class BoxSource(StrEnum):
    """Where a person's box comes from."""

    MANIFEST = "manifest"
    """The data set's own annotation."""
    DETECTOR = "detector"
    """Our person detector."""
    KEYPOINTS = "keypoints"
    """The extent of the 2D keypoints."""
    IMAGE = "image"
    """The whole image: it was said to show one person (predictions only)."""


class ErrorCode(StrEnum):
    """Why a row failed, or why a part of it is not trusted. ``ERROR_SENTENCES`` has a sentence for each."""

    LISTING_INCOMPLETE = "listing_incomplete"
    IMAGE_MISSING = "image_missing"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_UNSUPPORTED = "image_unsupported"
    NO_PERSON_FOUND = "no_person_found"
    BOX_INVALID = "box_invalid"
    KEYPOINTS_TOO_FEW = "keypoints_too_few"
    PERSON_OVERLAPPED = "person_overlapped"
    BODY_NOT_FOUND = "body_not_found"
    FIT_NOT_FINITE = "fit_not_finite"
    REPROJECTION_TOO_LARGE = "reprojection_too_large"
    FIT_IMPLAUSIBLE = "fit_implausible"
    ESTIMATOR_REFUSED = "estimator_refused"
    ESTIMATOR_FAILED = "estimator_failed"
    SOURCE_ROW_INVALID = "source_row_invalid"
    VIDEO_UNREADABLE = "video_unreadable"
    VIDEO_TRUNCATED = "video_truncated"
    PREDICTION_NOT_FINITE = "prediction_not_finite"
    BRIDGED = "bridged"
    PART_UNTRUSTED = "part_untrusted"

    @property
    def sentence(self) -> str:
        """One sentence for a person: what happened and, where it helps, what to do."""
        return ERROR_SENTENCES[self]

    @property
    def is_repairable(self) -> bool:
        """Whether the data can be mended; of the others the person cannot be seen well enough."""
        return self in _REPAIRABLE


_REPAIRABLE = frozenset(
    {
        ErrorCode.IMAGE_MISSING,
        ErrorCode.IMAGE_CORRUPT,
        ErrorCode.IMAGE_TOO_LARGE,
        ErrorCode.IMAGE_UNSUPPORTED,
        ErrorCode.BOX_INVALID,
        ErrorCode.SOURCE_ROW_INVALID,
        ErrorCode.VIDEO_UNREADABLE,
        ErrorCode.VIDEO_TRUNCATED,
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a person, or a part of one, is not trusted: a code to filter by, and a sentence to read."""

    code: ErrorCode
    detail: str
    """What was measured and what is allowed, for example ``spread 4.1 % of the hand, allowed 3.5 %``."""


ERROR_SENTENCES: dict[ErrorCode, str] = {
    ErrorCode.LISTING_INCOMPLETE: (
        "A folder, tar file or video cannot be looked into, so that its photos are not known; mend it or give the "
        "right to read it."
    ),
    ErrorCode.IMAGE_MISSING: "The file that the data set names is not on disk; fetch it or drop the row.",
    ErrorCode.IMAGE_CORRUPT: "The image is empty, cut short or damaged; fetch the file again.",
    ErrorCode.IMAGE_TOO_LARGE: "The image has more than 128 million pixels or 512 MiB; make it smaller.",
    ErrorCode.IMAGE_UNSUPPORTED: "The file is not an image of a kind that is read here; convert it to JPEG or PNG.",
    ErrorCode.NO_PERSON_FOUND: "The detector found nobody in the image: a photo without people, no failed person.",
    ErrorCode.BOX_INVALID: "The person's box is empty, not finite or outside the image.",
    ErrorCode.KEYPOINTS_TOO_FEW: "Too few keypoints of the person are seen well enough to fit a body.",
    ErrorCode.PERSON_OVERLAPPED: "Most of the person's box lies inside another person's; limbs could be mixed up.",
    ErrorCode.BODY_NOT_FOUND: "The body estimator gave no pose for this person.",
    ErrorCode.FIT_NOT_FINITE: "The fit gave a value that is not a finite number.",
    ErrorCode.REPROJECTION_TOO_LARGE: "The fitted body lies too far from the person's keypoints in the image.",
    ErrorCode.FIT_IMPLAUSIBLE: (
        "The fit meets the keypoints as no person is: a hand on one spot or of the other arm, a head or body blown up, "
        "a body between the points of two people."
    ),
    ErrorCode.ESTIMATOR_REFUSED: "An estimator found the part but does not trust it (occluded, blurred or too small).",
    ErrorCode.ESTIMATOR_FAILED: "An estimator ended with an error on the image; the row's detail is what it said.",
    ErrorCode.SOURCE_ROW_INVALID: "The data set's own row for this person cannot be used as it is written.",
    ErrorCode.VIDEO_UNREADABLE: "The file cannot be opened as a video or holds no frame; convert it to MP4 (H.264).",
    ErrorCode.VIDEO_TRUNCATED: "The video ends before its stated length, or a frame is damaged; fetch the file again.",
    ErrorCode.PREDICTION_NOT_FINITE: "The network gave a value that is not a finite number; use another precision.",
    ErrorCode.BRIDGED: (
        "Nobody was found where the person passes, or nothing of them is trusted; the label leads from frames before "
        "to those after, supervises nothing and is no failure."
    ),
    ErrorCode.PART_UNTRUSTED: (
        "The data set is not trusted for the part, as its manifest or its own annotation says; nothing is wrong with "
        "the photo."
    ),
}

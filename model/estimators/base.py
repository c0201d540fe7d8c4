"""Typed inputs and outputs of the part estimators.

Legend: P people, H x W image, 133 COCO-WholeBody keypoints, 21 body joints, 15 joints a hand.
Frames: pixels have x right, y down; the camera frame has x right, y down, z forward, metres.
Rotations are matrices; local ones are relative to the kinematic parent, ``*_orient`` are in the camera frame.
Hands come in the order left, right and always mean the person's own left and right.

An estimator whose ``estimate`` several threads may call at once says so by an attribute ``shareable = True``; a process
then holds one of it. Torch modules that only run forward and onnxruntime sessions allow that; whatever keeps something
between calls does not.

Every output keeps one row a person: a part that was not found has ``valid`` False and a reason, never a missing row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np

from datasets_manifest.schema.error_codes import Refusal

Array: TypeAlias = np.ndarray

PARTS = ("keypoints", "body", "hands", "face")
"""Names of the estimator parts."""
Skeleton = Literal["smplx", "smpl"]
"""Body models whose joints a pose may be about."""
BOX_SOURCES = ("manifest", "detector", "keypoints")
"""Where a person's box may come from."""

DEFAULT_FOCAL_FACTOR = 1.2
"""Assumed focal length as a multiple of the longer image side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatorInfo:
    """What made an output: recorded in the files, so that a label can be traced."""

    name: str
    """Backend name, as in the registry."""
    version: str
    """Version of the backend's package or method."""
    weights_sha256: str = ""
    """Hash over the network weights, empty when there are none."""
    licence: str = ""
    """Licence of the weights."""
    skeleton: Skeleton = "smplx"
    """Of a body estimator: whose joints and betas its outputs are."""

    def __post_init__(self) -> None:
        if self.skeleton not in get_args(Skeleton):
            raise ValueError(
                f"estimator {self.name}: skeleton must be one of {', '.join(get_args(Skeleton))}, got {self.skeleton!r}"
            )


def default_camera(width: int, height: int) -> tuple[float, Array]:
    """Returns the assumed focal length (px) and principal point (2,) of a photo of which neither is known."""
    return DEFAULT_FOCAL_FACTOR * max(width, height), np.array([width / 2.0, height / 2.0])


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInput:
    """One decoded photo."""

    image_id: str
    """Stable id, also the seed of simulated errors."""
    rgb: Array
    """(H, W, 3) uint8."""
    focal_px: float
    """Focal length."""
    principal_px: Array
    """(2,) principal point."""

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(
                f"image {self.image_id!r}: expected an RGB array (H, W, 3) of uint8, "
                f"got shape {self.rgb.shape} of {self.rgb.dtype}; decode it with datasets_manifest.sources.images"
            )

    @classmethod
    def from_rgb(cls, image_id: str, rgb: Array) -> ImageInput:
        """Builds the input of an (H, W, 3) photo with the default camera."""
        focal, principal = default_camera(rgb.shape[1], rgb.shape[0])
        return cls(image_id=image_id, rgb=rgb, focal_px=focal, principal_px=principal)


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonBatch:
    """People of one or several photos, as the body, hands and face estimators get them."""

    images: list[Array]
    """One (H, W, 3) uint8 reference a person; people of one photo share the object."""
    boxes_xyxy: Array
    """(P, 4) px."""
    keypoints: Array
    """(P, 133, 3) x, y in px and score in 0..1, score 0 = not seen."""
    sigma_px: Array
    """(P, 133) standard deviation of a keypoint, inf where not seen."""
    focal_px: Array
    """(P,)."""
    principal_px: Array
    """(P, 2)."""
    evidence: dict[str, Array] = field(default_factory=dict)
    """Backend-specific arrays of the keypoint stage, first dim P; NaN = not there."""
    truth: dict[str, Array] | None = None
    """True parameters, first dim P; only for the ``simulated`` backend."""
    sample_ids: list[str] | None = None
    """Stable id a person; seeds simulated errors."""

    def __post_init__(self) -> None:
        num = len(self.images)
        wanted = {
            "boxes_xyxy": (num, 4),
            "keypoints": (num, 133, 3),
            "sigma_px": (num, 133),
            "focal_px": (num,),
            "principal_px": (num, 2),
        }
        for name, shape in wanted.items():
            got = np.shape(getattr(self, name))
            if got != shape:
                raise ValueError(f"person batch of {num} people: expected {name} of shape {shape}, got {got}")
        for name, array in self.evidence.items():
            if len(array) != num:
                raise ValueError(f"person batch of {num} people: evidence {name!r} has {len(array)} rows")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeypointsOutput:
    """Boxes and 2D keypoints of the people of one photo.

    ``sigma_px`` is what the refinement weighs a point by, so every backend calibrates it: sigma^2 is the mean squared
    error of an axis of points that are no gross outliers, against the place that the backend means. ``mediapipe`` takes
    it from the spread under other regions, visibility and size (``mediapipe/uncertainty.py``), ``annotations`` from
    shares of the box by kind of point and visibility, ``simulated`` states the noise that it adds. A backend with bare
    scores has to map them to sigmas; a score is not one.
    """

    boxes_xyxy: Array
    """(P, 4) float32 px."""
    box_source: list[str]
    """One of ``BOX_SOURCES`` a person."""
    scores: Array
    """(P,) person score in 0..1."""
    keypoints: Array
    """(P, 133, 3) float32: x, y px and score 0..1 = P(error < 5 % of the longer box side), 0 = not seen."""
    sigma_px: Array
    """(P, 133) float32 calibrated standard deviation, inf where not seen."""
    part_valid: Array
    """(P, 4) bool 2D trust of body, left hand, right hand, face."""
    part_details: list[tuple[str | None, ...]]
    """(P, 4) what was measured of a part that is not trusted and what is allowed, None for a trusted one."""
    limb_details: list[tuple[str | None, ...]]
    """(P, 6) the same of each limb of ``model.body.skeleton.BODY_GROUPS``, whether the body is trusted or not."""
    valid: Array
    """(P,) bool."""
    reasons: list[Refusal | None]
    """Of an invalid person; of a valid one, why nothing but its body is refused (it lies in another's box)."""
    evidence: dict[str, Array]
    """float32 arrays for the later stages, first dim P; NaN = not there. A source that puts hips and shoulders
    elsewhere than at the joints says so here (`model.estimators.surface`)."""

    @property
    def num_people(self) -> int:
        """Number of rows."""
        return len(self.scores)


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyOutput:
    """Coarse body pose, of the skeleton that the estimator's ``info`` names; names and parents of the joints agree."""

    valid: Array
    """(P,) bool; False = no body found, the rotations are rest."""
    score: Array
    """(P,) 0..1."""
    global_orient: Array
    """(P, 3, 3) camera frame."""
    body_pose: Array
    """(P, 21, 3, 3) local."""
    betas: Array
    """(P, any); labels keep as many as they have columns for."""
    sigma_rad: Array
    """(P, 22) standard deviation of the root and the 21 joints."""
    reasons: list[Refusal | None]
    """Of an invalid body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandsOutput:
    """Coarse hand poses, order left, right."""

    valid: Array
    """(P, 2) bool; False = hand not found, the fingers are relaxed."""
    score: Array
    """(P, 2) 0..1."""
    hand_pose: Array
    """(P, 2, 15, 3, 3) local and absolute: identity = flat hand."""
    wrist_orient: Array
    """(P, 2, 3, 3) camera frame."""
    sigma_rad: Array
    """(P, 2) standard deviation of a finger joint."""
    reasons: list[tuple[Refusal | None, Refusal | None]]
    """(left, right), of an invalid hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaceOutput:
    """Coarse face parameters."""

    valid: Array
    """(P,) bool; False = face not found, the face is neutral."""
    score: Array
    """(P,) 0..1."""
    flame_shape: Array
    """(P, any); labels keep as many as they have columns for."""
    flame_expression: Array
    """(P, any)."""
    jaw_pose: Array
    """(P, 3) rotation vector, +x opens."""
    eye_pose: Array
    """(P, 6) two rotation vectors."""
    eyelids: Array
    """(P, 2) left, right; 0 open, 1 closed."""
    eyes_valid: Array
    """(P,) bool; False = the estimator does not say where the eyes look, ``eye_pose`` is rest."""
    eyelids_valid: Array
    """(P,) bool; False = it does not say how far the eyelids are closed."""
    head_orient: Array
    """(P, 3, 3) camera frame."""
    sigma_rad: Array
    """(P,) standard deviation of the head's orientation."""
    reasons: list[Refusal | None]
    """Of an invalid face."""


@runtime_checkable
class KeypointEstimator(Protocol):
    """Finds people and their 133 keypoints in one photo."""

    info: EstimatorInfo

    def estimate(self, image: ImageInput, boxes: Array | None, annotated: Array | None) -> KeypointsOutput:
        """Estimates keypoints.

        Args:
            image: The photo.
            boxes: (P, 4) xyxy px to keep as rows, or None to look for people.
            annotated: (P, 133, 3) keypoints of the data set with COCO visibility flags, or None.
        """
        ...


@runtime_checkable
class BatchKeypointEstimator(KeypointEstimator, Protocol):
    """A keypoint estimator whose networks take people of several photos at once."""

    def estimate_batch(self, images: Sequence[ImageInput], boxes: Sequence[Array | None]) -> list[KeypointsOutput]:
        """Estimates keypoints of several photos, one output a photo; boxes as for ``estimate``."""
        ...


@runtime_checkable
class BodyEstimator(Protocol):
    """Estimates body poses of people whose boxes are known."""

    info: EstimatorInfo

    def estimate(self, batch: PersonBatch) -> BodyOutput:
        """Estimates one row a person."""
        ...


@runtime_checkable
class HandsEstimator(Protocol):
    """Estimates hand poses of people whose boxes are known."""

    info: EstimatorInfo

    def estimate(self, batch: PersonBatch) -> HandsOutput:
        """Estimates one row a person."""
        ...


@runtime_checkable
class FaceEstimator(Protocol):
    """Estimates face parameters of people whose boxes are known."""

    info: EstimatorInfo

    def estimate(self, batch: PersonBatch) -> FaceOutput:
        """Estimates one row a person."""
        ...

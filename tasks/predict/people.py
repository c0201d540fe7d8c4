"""Where the people of a photo are, for prediction: boxes of the keypoint backend, or the whole image as one person."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets_manifest.schema.error_codes import BoxSource, ErrorCode, Refusal
from model.estimators.base import BatchKeypointEstimator, ImageInput, KeypointEstimator, KeypointsOutput
from model.estimators.refusals import refusals, refused_boxes

log = logging.getLogger(__name__)

BoxRule = Literal["keypoints", "whole"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPeople:
    """P people of one photo."""

    boxes_xyxy: np.ndarray
    """(P, 4) px."""
    sources: tuple[BoxSource, ...]
    """Where each box comes from."""
    scores: tuple[float | None, ...]
    """Score of each box, None without a detector."""
    doubts: tuple[Refusal | None, ...]
    """What is wrong with a person's box; else what the keypoint backend says, which prevents no prediction."""
    usable: np.ndarray
    """(P,) bool: can the box be cut out."""
    failure: str | None = None
    """Why the backend said nothing of the photo; there is nobody then."""
    output: KeypointsOutput | None = None
    """All that the backend said of them; None of a whole image as one person."""

    def __len__(self) -> int:
        return len(self.sources)


def whole_image(rgb: np.ndarray) -> FoundPeople:
    """The image as one person."""
    height, width = rgb.shape[:2]
    box = np.array([[0.0, 0.0, width, height]])
    problem = refused_boxes(box, width, height)[0]
    return FoundPeople(
        boxes_xyxy=box,
        sources=(BoxSource.IMAGE,),
        scores=(None,),
        doubts=(problem,),
        usable=np.array([problem is None]),
    )


def find_people(estimator: KeypointEstimator, names: Sequence[str], photos: Sequence[np.ndarray]) -> list[FoundPeople]:
    """People of several photos (H, W, 3), which share the batches of a backend that takes several at once.

    A photo on which the backend fails has nobody, and says why; the others are then asked about one by one.
    """
    images = [ImageInput.from_rgb(name, rgb) for name, rgb in zip(names, photos, strict=True)]
    try:
        if isinstance(estimator, BatchKeypointEstimator):
            outputs = estimator.estimate_batch(images, [None] * len(images))
        else:
            outputs = [estimator.estimate(image, None, None) for image in images]
        return [_of_output(output, rgb) for output, rgb in zip(outputs, photos, strict=True)]
    except Exception as error:  # A backend may raise anything; the other photos are to be had all the same.
        if len(images) > 1:
            return [find_people(estimator, [name], [rgb])[0] for name, rgb in zip(names, photos, strict=True)]
        log.warning("The keypoint backend failed on %s: %s: %s", names[0], type(error).__name__, error)
        log.debug("trace of the error above", exc_info=True)
        return [_nobody(f"{type(error).__name__}: {error}")]


def _nobody(failure: str) -> FoundPeople:
    return FoundPeople(
        boxes_xyxy=np.zeros((0, 4)), sources=(), scores=(), doubts=(), usable=np.zeros(0, bool), failure=failure
    )


def _of_output(output: KeypointsOutput, rgb: np.ndarray) -> FoundPeople:
    boxes = np.asarray(output.boxes_xyxy, np.float64).reshape(-1, 4)
    problems = refused_boxes(boxes, rgb.shape[1], rgb.shape[0])
    refused = refusals(output.valid, output.reasons, ErrorCode.KEYPOINTS_TOO_FEW)
    reasons = [refusal or said for refusal, said in zip(refused, output.reasons, strict=True)]
    return FoundPeople(
        boxes_xyxy=boxes,
        sources=tuple(BoxSource(source) for source in output.box_source),
        scores=tuple(float(score) for score in output.scores),
        doubts=tuple(problem or reason for problem, reason in zip(problems, reasons, strict=True)),
        usable=np.array([problem is None for problem in problems], bool),
        output=output,
    )

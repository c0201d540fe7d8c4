"""Masks of people in photos: the pose network's own, read in the region where it reads the person's pose.

Of a person among others it is the better one by far, see `docs/benchmarks/estimators.md`: MediaPipe's selfie
segmentation has no idea whose box it looks at and takes neighbours in.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib import metadata

import numpy as np

from datasets_manifest.files import file_sha256
from datasets_manifest.sources.masks import NOBODY, PERSON, UNKNOWN
from model.body.skeleton import BODY
from model.estimators.base import Array, EstimatorInfo, PersonBatch
from model.estimators.mediapipe.graphs.regions import Region
from model.estimators.mediapipe.graphs.runner import LICENCE, MODEL_FILES, network_folder, networks
from model.estimators.mediapipe.landmarks import POSE_OF_BODY
from model.estimators.mediapipe.search.hand_landmarks import HandConfig
from model.estimators.mediapipe.search.person import evidence_of
from model.estimators.mediapipe.search.pose import PoseConfig
from model.estimators.mediapipe.uncertainty import person_size_px

SOURCE = "mediapipe-pose"
"""What files call these masks."""
METHOD_VERSION = "1"
"""Of what is done around the network: raised when masks become others."""
MIN_SURE = 0.8
"""Probability above which a pixel is the person's, and below one minus which it is not; between them it is unknown: a
band of 2.5 to 3 px along the outline of somebody 500 px tall, in which two thirds or more of all wrong pixels lie."""
MAX_DISTANCE = 0.06
"""Median distance of the pose's landmarks to the person's keypoints, in shares of the person's size, beyond which the
pose, and with it the mask, is somebody else's."""


@lru_cache(maxsize=1)
def mask_info() -> EstimatorInfo:
    """What makes these masks; ImportError without the package mediapipe."""
    return EstimatorInfo(
        name=SOURCE,
        version=f"{METHOD_VERSION}-{metadata.version('mediapipe')}",
        weights_sha256=file_sha256(network_folder() / MODEL_FILES["pose"]),
        licence=LICENCE,
    )


class MediapipeMasks:
    """Masks by MediaPipe's pose network."""

    def __init__(self) -> None:
        """Takes the networks of the calling thread; ImportError without the package mediapipe."""
        self._networks = networks()

    def estimate(self, batch: PersonBatch) -> list[Array | None]:
        """The mask of each person, (H, W) uint8 as `datasets_manifest.sources.masks` has them; None as below."""
        return [None if found is None else to_mask(found) for found in self.probabilities(batch)]

    def probabilities(self, batch: PersonBatch) -> list[Array | None]:
        """The probability of each pixel (H, W) of a person's photo to be the person's.

        None where no pose is found in the box, or one that is not where the person's keypoints are.
        """
        batch = self.with_poses(batch)
        regions = batch.evidence["pose_region"].tolist()
        people = zip(batch.images, regions, same_person(batch).tolist(), strict=True)
        return [self._networks.mask(rgb, Region(*region)) if own else None for rgb, region, own in people]

    def with_poses(self, batch: PersonBatch) -> PersonBatch:
        """The batch with the poses in its evidence; those of keypoints by MediaPipe are there."""
        return replace(batch, evidence=evidence_of(self._networks, batch, PoseConfig(), HandConfig()))


def to_mask(probability: Array) -> Array:
    """(H, W) uint8 mask from the probability (H, W) that a pixel is the person's."""
    mask = np.full(probability.shape, UNKNOWN, np.uint8)
    mask[probability > MIN_SURE] = PERSON
    mask[probability < 1 - MIN_SURE] = NOBODY
    return mask


def same_person(batch: PersonBatch) -> Array:
    """(P,) whether the pose in the evidence lies on the person's keypoints; not if there is no pose or no keypoint."""
    pose_px, region_side_px = batch.evidence["pose_px"], batch.evidence["pose_region"][:, 2]
    distance = np.linalg.norm(pose_px[:, POSE_OF_BODY[BODY], :2] - batch.keypoints[:, BODY, :2], axis=-1)
    distance[~np.isfinite(batch.sigma_px[:, BODY])] = np.nan
    known = np.isfinite(distance).any(1)
    median = np.full(len(batch), np.inf)
    median[known] = np.nanmedian(distance[known], axis=1)
    return median <= MAX_DISTANCE * person_size_px(batch.boxes_xyxy, region_side_px)

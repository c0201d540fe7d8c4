"""Simulated estimators: the truth of a synthetic data set plus a seeded error of the size published estimators have.

They let the whole pipeline run, and its gain be measured, without any network. The error of a person depends on its
sample id and the seed alone.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from scipy.spatial.transform import Rotation

from model.body.skeleton import HEAD, NUM_BODY_JOINTS, NUM_KEYPOINTS, SMPLX_PARENTS, WRISTS
from model.estimators.annotations import is_annotated
from model.estimators.base import (
    Array,
    BodyOutput,
    EstimatorInfo,
    FaceOutput,
    HandsOutput,
    ImageInput,
    KeypointsOutput,
    PersonBatch,
)
from model.estimators.refusals import details_by_count, limb_details_by_count, refused_boxes, trusted_parts
from model.estimators.registry import register
from model.imaging.boxes import longer_side, score_from_sigma

BODY_SIGMA_RAD = math.radians(5.5)
"""Error of a body joint, an axis."""
ROOT_SIGMA_RAD = math.radians(6.0)
"""Error of the pelvis, and of the head and the wrists in the camera frame, an axis."""
HAND_SIGMA_RAD = math.radians(9.4)
"""Error of a finger joint, an axis."""
SHAPE_SIGMA, EXPRESSION_SIGMA, EYELID_SIGMA = 0.5, 0.5, 0.1
JAW_SIGMA_RAD = math.radians(3.0)
NOISE_PX = (1.0, 3.0)
"""Standard deviation of a keypoint an axis, drawn from this range, in a photo 512 px high."""
REFERENCE_HEIGHT_PX = 512
MISSING_SHARE, OUTLIER_SHARE = 0.10, 0.03
OUTLIER_PX = (30.0, 80.0)
"""Length of a gross error in a photo 512 px high."""
NUM_COEFFICIENTS = 10

INFO = EstimatorInfo(name="simulated", version="1")


def generator(sample_id: str, part: str, seed: int = 0) -> np.random.Generator:
    """Random numbers of one person and part."""
    digest = hashlib.sha256(f"{part}|{sample_id}|{seed}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def disturbed(rotations: Array, sigma_rad: float, random: np.random.Generator) -> Array:
    """Returns rotations (..., 3, 3) with a normal error of ``sigma_rad`` an axis, in the joint's own frame."""
    shape = rotations.shape[:-2]
    error = Rotation.from_rotvec(random.normal(scale=sigma_rad, size=(int(np.prod(shape)), 3))).as_matrix()
    return rotations @ error.reshape(*shape, 3, 3)


def truth_of(batch: PersonBatch, name: str, shape: tuple[int, ...]) -> Array:
    """Returns a true parameter of the batch as (P, *shape).

    Raises:
        ValueError: The data set does not say the truth.
    """
    if batch.truth is None or name not in batch.truth:
        raise ValueError(
            f"the backend 'simulated' needs the truth {name!r} of every person: use it with a synthetic data set, "
            "and the backend 'mediapipe' with photos"
        )
    return np.asarray(batch.truth[name], dtype=float).reshape(len(batch), *shape)


def true_rotations(batch: PersonBatch, name: str, num_joints: int) -> Array:
    """Returns true rotations (P, num_joints, 3, 3) from axis-angle."""
    rotvecs = truth_of(batch, name, (num_joints, 3)).reshape(-1, 3)
    return Rotation.from_rotvec(rotvecs).as_matrix().reshape(len(batch), num_joints, 3, 3)


def global_rotations(orient: Array, body_pose: Array) -> Array:
    """Orientations (P, 22, 3, 3) of joints 0..21 in the camera frame from (P, 3, 3) and (P, 21, 3, 3)."""
    out = [orient]
    for joint in range(1, NUM_BODY_JOINTS + 1):
        out.append(out[SMPLX_PARENTS[joint]] @ body_pose[:, joint - 1])
    return np.stack(out, axis=1)


def coefficients(batch: PersonBatch, name: str) -> Array:
    """Returns the first ten true coefficients (P, 10), zero-padded."""
    values = truth_of(batch, name, (-1,)) if len(batch) else np.zeros((0, NUM_COEFFICIENTS))
    out = np.zeros((len(batch), NUM_COEFFICIENTS))
    count = min(values.shape[1], NUM_COEFFICIENTS)
    out[:, :count] = values[:, :count]
    return out


def sample_ids(batch: PersonBatch) -> list[str]:
    """Returns the stable ids of the people; by row where the caller gave none."""
    return batch.sample_ids if batch.sample_ids is not None else [str(i) for i in range(len(batch))]


@register("keypoints", "simulated")
class SimulatedKeypoints:
    """True keypoints (given as the annotated ones) with noise, gaps and gross errors."""

    info = INFO

    def __init__(self, seed: int = 0) -> None:
        """Another seed gives every person another error."""
        self._seed = seed

    def estimate(
        self, image: ImageInput, boxes: Array | None = None, annotated: Array | None = None
    ) -> KeypointsOutput:
        """Returns disturbed keypoints; see ``KeypointEstimator``.

        Raises:
            ValueError: The data set gives no boxes or no keypoints.
        """
        if annotated is None or boxes is None:
            raise ValueError(
                f"image {image.image_id!r}: the backend 'simulated' needs boxes and true keypoints; "
                "use it with a synthetic data set whose manifest gives both"
            )
        annotated, boxes = np.asarray(annotated, dtype=float), np.asarray(boxes, dtype=float).reshape(-1, 4)
        height, width = image.rgb.shape[:2]
        num, scale = len(annotated), height / REFERENCE_HEIGHT_PX
        keypoints, sigma = np.zeros((num, NUM_KEYPOINTS, 3)), np.full((num, NUM_KEYPOINTS), np.inf)
        for i, side in enumerate(longer_side(boxes)):
            random = generator(f"{image.image_id}#{i}", "keypoints", self._seed)
            noise = random.uniform(*NOISE_PX, size=NUM_KEYPOINTS) * scale
            error = random.normal(size=(NUM_KEYPOINTS, 2)) * noise[:, None]
            is_outlier, is_missing = (
                random.random(NUM_KEYPOINTS) < OUTLIER_SHARE,
                random.random(NUM_KEYPOINTS) < MISSING_SHARE,
            )
            angle = random.uniform(0, 2 * np.pi, size=NUM_KEYPOINTS)
            jump = (
                random.uniform(*OUTLIER_PX, size=(NUM_KEYPOINTS, 1))
                * scale
                * np.stack([np.cos(angle), np.sin(angle)], 1)
            )
            seen = is_annotated(annotated[i]) & ~is_missing
            points = annotated[i, :, :2] + np.where(is_outlier[:, None], jump, error)
            keypoints[i, seen, :2] = points[seen]
            keypoints[i, seen, 2] = score_from_sigma(noise[seen], float(side))
            sigma[i, seen] = noise[seen]
        reasons = refused_boxes(boxes, width, height)
        seen = np.isfinite(sigma)
        details = [details_by_count(row) for row in seen]
        return KeypointsOutput(
            boxes_xyxy=boxes.astype(np.float32),
            box_source=["manifest"] * num,
            scores=np.ones(num),
            keypoints=keypoints.astype(np.float32),
            sigma_px=sigma.astype(np.float32),
            part_valid=trusted_parts(details),
            part_details=details,
            limb_details=[limb_details_by_count(row) for row in seen],
            valid=np.array([reason is None for reason in reasons], dtype=bool),
            reasons=reasons,
            evidence={},
        )


@register("body", "simulated")
class SimulatedBody:
    """True body pose and shape with an error."""

    info = INFO

    def __init__(self, seed: int = 0) -> None:
        """Another seed gives every person another error."""
        self._seed = seed

    def estimate(self, batch: PersonBatch) -> BodyOutput:
        """Returns one row a person."""
        num = len(batch)
        orient, pose = true_rotations(batch, "global_orient", 1)[:, 0], true_rotations(batch, "body_pose", 21)
        betas = coefficients(batch, "betas")
        for i, name in enumerate(sample_ids(batch)):
            random = generator(name, "body", self._seed)
            orient[i] = disturbed(orient[i], ROOT_SIGMA_RAD, random)
            pose[i] = disturbed(pose[i], BODY_SIGMA_RAD, random)
            betas[i] += random.normal(scale=SHAPE_SIGMA, size=NUM_COEFFICIENTS)
        return BodyOutput(
            valid=np.ones(num, dtype=bool),
            score=np.ones(num),
            global_orient=orient,
            body_pose=pose,
            betas=betas,
            sigma_rad=np.tile([ROOT_SIGMA_RAD] + [BODY_SIGMA_RAD] * 21, (num, 1)),
            reasons=[None] * num,
        )


@register("hands", "simulated")
class SimulatedHands:
    """True hand poses and wrists with an error."""

    info = INFO

    def __init__(self, seed: int = 0) -> None:
        """Another seed gives every person another error."""
        self._seed = seed

    def estimate(self, batch: PersonBatch) -> HandsOutput:
        """Returns one row a person."""
        num = len(batch)
        pose = np.stack([true_rotations(batch, f"{side}_hand_pose", 15) for side in ("left", "right")], axis=1)
        orient, body = true_rotations(batch, "global_orient", 1)[:, 0], true_rotations(batch, "body_pose", 21)
        wrists = global_rotations(orient, body)[:, list(WRISTS)]
        for i, name in enumerate(sample_ids(batch)):
            random = generator(name, "hands", self._seed)
            pose[i] = disturbed(pose[i], HAND_SIGMA_RAD, random)
            wrists[i] = disturbed(wrists[i], ROOT_SIGMA_RAD, random)
        return HandsOutput(
            valid=np.ones((num, 2), dtype=bool),
            score=np.ones((num, 2)),
            hand_pose=pose,
            wrist_orient=wrists,
            sigma_rad=np.full((num, 2), HAND_SIGMA_RAD),
            reasons=[(None, None)] * num,
        )


@register("face", "simulated")
class SimulatedFace:
    """True face parameters and head orientation with an error."""

    info = INFO

    def __init__(self, seed: int = 0) -> None:
        """Another seed gives every person another error."""
        self._seed = seed

    def estimate(self, batch: PersonBatch) -> FaceOutput:
        """Returns one row a person."""
        num = len(batch)
        orient, body = true_rotations(batch, "global_orient", 1)[:, 0], true_rotations(batch, "body_pose", 21)
        heads = global_rotations(orient, body)[:, HEAD]
        shape, expression = coefficients(batch, "flame_shape"), coefficients(batch, "flame_expression")
        jaw, eyes = truth_of(batch, "jaw_pose", (3,)).copy(), truth_of(batch, "eye_pose", (6,))
        eyelids = truth_of(batch, "eyelids", (2,)).copy()
        for i, name in enumerate(sample_ids(batch)):
            random = generator(name, "face", self._seed)
            heads[i] = disturbed(heads[i], ROOT_SIGMA_RAD, random)
            shape[i] += random.normal(scale=SHAPE_SIGMA, size=NUM_COEFFICIENTS)
            expression[i] += random.normal(scale=EXPRESSION_SIGMA, size=NUM_COEFFICIENTS)
            jaw[i] += random.normal(scale=JAW_SIGMA_RAD, size=3)
            eyelids[i] = np.clip(eyelids[i] + random.normal(scale=EYELID_SIGMA, size=2), 0, 1)
        return FaceOutput(
            valid=np.ones(num, dtype=bool),
            score=np.ones(num),
            flame_shape=shape,
            flame_expression=expression,
            jaw_pose=jaw,
            eye_pose=eyes,
            eyelids=eyelids,
            eyes_valid=np.ones(num, dtype=bool),
            eyelids_valid=np.ones(num, dtype=bool),
            head_orient=heads,
            sigma_rad=np.full(num, ROOT_SIGMA_RAD),
            reasons=[None] * num,
        )

"""Batches of people on noise photos with round coordinates, and their mirror images."""

import cv2
import numpy as np

from model.body.skeleton import LEFT_HAND, RIGHT_HAND
from model.estimators.base import PersonBatch

WIDTH, HEIGHT = 320, 240


def photo(seed):
    """(240, 320, 3) smooth noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def people(num=3, seed=0):
    """People with all keypoints seen; the coordinates are quarters of a pixel, so that mirroring loses no bit."""
    rng = np.random.default_rng(seed)
    points = np.zeros((num, 133, 3), np.float32)
    points[..., 0] = np.round(rng.uniform(60, 260, (num, 133)) * 4) / 4
    points[..., 1] = np.round(rng.uniform(30, 210, (num, 133)) * 4) / 4
    for hand in (LEFT_HAND, RIGHT_HAND):
        centre = np.round(rng.uniform(50, 190, (num, 1, 2)))
        points[:, hand, :2] = centre + np.round(rng.uniform(-20, 20, (num, 21, 2)) * 4) / 4
    points[..., 2] = rng.uniform(0.5, 1, (num, 133))
    return batch_of([photo(seed + i) for i in range(num)], points)


def batch_of(images, keypoints):
    """Batch of people whose box is the extent of their keypoints."""
    num = len(images)
    low, high = keypoints[..., :2].min(1), keypoints[..., :2].max(1)
    return PersonBatch(
        images=images,
        boxes_xyxy=np.concatenate([low, high], 1),
        keypoints=keypoints,
        sigma_px=np.ones((num, 133), np.float32),
        focal_px=np.full(num, 400.0),
        principal_px=np.tile([(WIDTH - 1) / 2, (HEIGHT - 1) / 2], (num, 1)),
    )


def batch_of_photo(image, found, **changes):
    """Batch of the people that a keypoint estimator found in a photo."""
    num = found.num_people
    fields = {
        "images": [image.rgb] * num,
        "boxes_xyxy": found.boxes_xyxy,
        "keypoints": found.keypoints,
        "sigma_px": found.sigma_px,
        "focal_px": np.full(num, image.focal_px),
        "principal_px": np.tile(image.principal_px, (num, 1)),
        "evidence": found.evidence,
    }
    return PersonBatch(**(fields | changes))


def mirrored(batch):
    """The same people in the mirror: their hands change sides."""
    keypoints = batch.keypoints.copy()
    keypoints[..., 0] = WIDTH - 1 - keypoints[..., 0]
    keypoints[:, LEFT_HAND], keypoints[:, RIGHT_HAND] = keypoints[:, RIGHT_HAND].copy(), keypoints[:, LEFT_HAND].copy()
    return batch_of([np.ascontiguousarray(image[:, ::-1]) for image in batch.images], keypoints)

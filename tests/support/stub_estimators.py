"""Estimators that find one standing person in every photo at once: runs whose numbers do not matter."""

from pathlib import Path

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.estimators.base import (
    BodyOutput,
    EstimatorInfo,
    FaceOutput,
    HandsOutput,
    ImageInput,
    KeypointsOutput,
    PersonBatch,
)
from model.estimators.registry import register

REFUSED = Refusal(ErrorCode.ESTIMATOR_REFUSED, "this one always refuses")
_POINTS = np.array(
    [
        *([0.5, 0.1], [0.53, 0.08], [0.47, 0.08], [0.57, 0.1], [0.43, 0.1], [0.65, 0.25], [0.35, 0.25], [0.7, 0.4]),
        *([0.3, 0.4], [0.72, 0.55], [0.28, 0.55], [0.6, 0.55], [0.4, 0.55], [0.6, 0.75], [0.4, 0.75], [0.6, 0.95]),
        [0.4, 0.95],
    ]
)
"""(17, 2) COCO keypoints of the person, in units of the photo."""


@register("keypoints", "stub")
class StubKeypoints:
    info = EstimatorInfo(name="stub", version="1")
    shareable = True

    def __init__(self, shift: float = 0.0, refuse: bool = False):
        self._shift, self._refuse = shift, refuse

    def estimate(self, image: ImageInput, boxes=None, annotated=None) -> KeypointsOutput:
        height, width = image.rgb.shape[:2]
        keypoints, sigma = np.zeros((1, 133, 3), np.float32), np.full((1, 133), np.inf, np.float32)
        keypoints[0, :17, :2] = (0.8 * _POINTS + self._shift) * [width, height]
        keypoints[0, :17, 2] = 0.9
        sigma[0, :17] = 0.02 * max(width, height)
        return KeypointsOutput(
            boxes_xyxy=np.array([[0, 0, width, height]], np.float32),
            box_source=["detector"],
            scores=np.ones(1),
            keypoints=keypoints,
            sigma_px=sigma,
            part_valid=np.array([[True, False, False, False]]),
            part_details=[(None, "not looked for", "not looked for", "not looked for")],
            limb_details=[(None,) * 6],
            valid=np.array([not self._refuse]),
            reasons=[REFUSED if self._refuse else None],
            evidence={},
        )


@register("body", "stub")
class StubBody:
    info = EstimatorInfo(name="stub", version="1")
    shareable = True

    def estimate(self, batch: PersonBatch) -> BodyOutput:
        num = len(batch)
        return BodyOutput(
            valid=np.ones(num, bool),
            score=np.ones(num),
            global_orient=np.tile(np.diag([1.0, -1.0, -1.0]), (num, 1, 1)),
            body_pose=np.tile(np.eye(3), (num, 21, 1, 1)),
            betas=np.zeros((num, 10)),
            sigma_rad=np.full((num, 22), 0.3),
            reasons=[None] * num,
        )


@register("hands", "stub")
class StubHands:
    info = EstimatorInfo(name="stub", version="1")
    shareable = True

    def estimate(self, batch: PersonBatch) -> HandsOutput:
        num = len(batch)
        return HandsOutput(
            valid=np.zeros((num, 2), bool),
            score=np.zeros((num, 2)),
            hand_pose=np.tile(np.eye(3), (num, 2, 15, 1, 1)),
            wrist_orient=np.tile(np.eye(3), (num, 2, 1, 1)),
            sigma_rad=np.ones((num, 2)),
            reasons=[(REFUSED, REFUSED)] * num,
        )


@register("face", "stub")
class StubFace:
    info = EstimatorInfo(name="stub", version="1")
    shareable = True

    def estimate(self, batch: PersonBatch) -> FaceOutput:
        num = len(batch)
        return FaceOutput(
            valid=np.zeros(num, bool),
            score=np.zeros(num),
            flame_shape=np.zeros((num, 10)),
            flame_expression=np.zeros((num, 10)),
            jaw_pose=np.zeros((num, 3)),
            eye_pose=np.zeros((num, 6)),
            eyelids=np.zeros((num, 2)),
            eyes_valid=np.zeros(num, bool),
            eyelids_valid=np.zeros(num, bool),
            head_orient=np.tile(np.eye(3), (num, 1, 1)),
            sigma_rad=np.ones(num),
            reasons=[REFUSED] * num,
        )


def write_stub_params(folder: Path, images_per_shard: int = 2) -> Path:
    """Writes settings with these estimators; returns the file."""
    params = folder / "params.yaml"
    backends = "".join(f"  {part}: {{backend: stub}}\n" for part in ("keypoints", "body", "hands", "face"))
    run = f"  run: {{images_per_shard: {images_per_shard}, workers: 1, retries: 0}}\n"
    params.write_text(f"annotate:\n{backends}{run}  refine: {{iterations: 2, graduated_iterations: 1}}\n")
    return params


def write_photos(folder: Path, names: list[str], colour: tuple[int, int, int] = (90, 120, 150)) -> Path:
    """Writes photos of one colour; returns their folder."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (64, 96), colour).save(folder / name)
    return folder

"""Keypoint backend DWPose: people by YOLOX, their 133 keypoints by RTMPose, over the photos of a whole shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from model.body.skeleton import NUM_KEYPOINTS
from model.estimators.base import Array, EstimatorInfo, ImageInput, KeypointsOutput
from model.estimators.dwpose.calibration import calibration_of
from model.estimators.dwpose.files import DETECTOR_FILE, LICENCE, POSE_FILE
from model.estimators.dwpose.mmpose_route import MmposePose
from model.estimators.dwpose.people import keypoints_output
from model.estimators.dwpose.poses import OnnxPose, PoseReader, RawPoses
from model.estimators.dwpose.sessions import OnnxNetwork
from model.estimators.dwpose.yolox import PersonDetector, YoloxConfig
from model.estimators.refusals import refused_boxes
from model.estimators.registry import register

METHOD_VERSION = "2"
"""Of the steps around the networks."""
Route = Literal["onnx", "mmpose"]


@register("keypoints", "dwpose")
class DwposeKeypoints:
    """133 keypoints from DWPose, RTMPose or RTMW weights."""

    def __init__(
        self,
        *,
        pose_path: str | None = None,
        detector_path: str | None = None,
        route: Route = "onnx",
        config_path: str | None = None,
        kind: str = "dwpose",
        device: str = "cpu",
        batch_size: int = 16,
        num_threads: int = 0,
        detector: YoloxConfig | None = None,
        calibration: dict[str, Any] | None = None,
    ) -> None:
        """Opens the networks.

        Args:
            pose_path: Pose network, ``dw-ll_ucoco_384.onnx``; for the route ``mmpose`` a ``.pth`` file.
            detector_path: Person detector, ``yolox_l.onnx``; None where every photo comes with boxes.
            route: ``onnx`` or ``mmpose``.
            config_path: mmpose configuration; only for the route ``mmpose``.
            kind: Whose scores the pose network gives: ``dwpose``, ``rtmpose`` or ``rtmw``.
            device: ``cpu``, ``cuda`` or ``cuda:N``.
            batch_size: Most people, or photos, in one run of a network: what memory is bounded by.
            num_threads: CPU threads of a run; 0 = as many as there are cores.
            detector: Limits of the person detector.
            calibration: Fields that replace those of the kind's calibration.

        Raises:
            ValueError: A file that is missing or not what it should be, an unknown route, kind or device.
            ImportError: onnxruntime (or mmpose) is not installed.
        """
        if route not in get_args(Route):
            raise ValueError(f"dwpose route: expected one of {', '.join(get_args(Route))}, got {route!r}")
        if route == "onnx" and config_path is not None:
            raise ValueError(f"dwpose config_path {config_path} is read by the route 'mmpose' only; this one is 'onnx'")
        if batch_size < 1:
            raise ValueError(f"dwpose batch_size must be at least 1, got {batch_size}")
        self._batch_size = batch_size
        self._calibration = calibration_of(kind, calibration)
        self._kind = kind
        self.shareable = route == "onnx"  # mmpose makes no promise about threads.
        runtime: dict[str, Any] = {"device": device, "num_threads": num_threads}
        self._pose: PoseReader
        if route == "mmpose":
            self._pose = MmposePose(config_path, pose_path, device=device)
        else:
            self._pose = OnnxPose(OnnxNetwork(pose_path, POSE_FILE, **runtime), batch_size=batch_size)
        hashes = [self._pose.sha256]
        self._detector: PersonDetector | None = None
        if detector_path is not None:
            network = OnnxNetwork(detector_path, DETECTOR_FILE, **runtime)
            self._detector = PersonDetector(network, detector or YoloxConfig())
            hashes.append(network.sha256)
        self.info = EstimatorInfo(
            name="dwpose",
            version=f"{METHOD_VERSION}-{kind}-{route}",
            weights_sha256="+".join(hashes),
            licence=LICENCE,
        )

    def estimate(
        self, image: ImageInput, boxes: Array | None = None, annotated: Array | None = None
    ) -> KeypointsOutput:
        """Estimates keypoints; see ``KeypointEstimator``. Annotated keypoints are not used."""
        del annotated
        return self.estimate_batch([image], [boxes])[0]

    def estimate_batch(
        self, images: Sequence[ImageInput], boxes: Sequence[Array | None] | None = None
    ) -> list[KeypointsOutput]:
        """Estimates the keypoints of several photos, whose people share the networks' batches.

        Args:
            images: The photos.
            boxes: For each photo (P, 4) xyxy px to keep as rows, or None to look for people; None = look in all.

        Returns:
            One output a photo. A photo without people has no rows.

        Raises:
            ValueError: There is nothing to look for people with, or the scores are not of this kind of weights.
        """
        boxes = [None] * len(images) if boxes is None else boxes
        if len(boxes) != len(images):
            raise ValueError(f"expected boxes, or None, for each of {len(images)} photos, got {len(boxes)}")
        people, scores = self._people(images, boxes)
        problems = [
            refused_boxes(own, image.rgb.shape[1], image.rgb.shape[0])
            for image, own in zip(images, people, strict=True)
        ]
        usable = [np.array([problem is None for problem in row], dtype=bool) for row in problems]
        poses = self._poses(images, people, usable)
        outputs, start = [], 0
        for image, given, own, own_scores, own_problems in zip(images, boxes, people, scores, problems, strict=True):
            rows, start = slice(start, start + len(own)), start + len(own)
            outputs.append(
                keypoints_output(
                    boxes=own,
                    box_source="detector" if given is None else "manifest",
                    scores=own_scores,
                    problems=own_problems,
                    poses=poses.of(rows),
                    size=(image.rgb.shape[1], image.rgb.shape[0]),
                    calibration=self._calibration,
                )
            )
        return outputs

    def _people(
        self, images: Sequence[ImageInput], boxes: Sequence[Array | None]
    ) -> tuple[list[Array], list[Array | None]]:
        """Boxes (P, 4) of each photo, and scores (P,) of those that the detector found."""
        people = [np.zeros((0, 4)) if own is None else np.array(own, dtype=float).reshape(-1, 4) for own in boxes]
        scores: list[Array | None] = [None] * len(images)
        asked = [index for index, own in enumerate(boxes) if own is None]
        if not asked:
            return people, scores
        if self._detector is None:
            raise ValueError(
                f"image {images[asked[0]].image_id!r} comes without boxes and there is no person detector: set the "
                f"option {DETECTOR_FILE.option} to {DETECTOR_FILE.name} from {DETECTOR_FILE.source}"
            )
        found = self._detector.detect([images[index].rgb for index in asked], self._batch_size)
        for index, (own, own_scores) in zip(asked, found, strict=True):
            people[index], scores[index] = own.astype(float), own_scores
        return people, scores

    def _poses(self, images: Sequence[ImageInput], people: list[Array], usable: list[Array]) -> RawPoses:
        """Raw poses of all rows of all photos; rows that are not usable are empty."""
        owner = np.repeat(np.arange(len(images)), [len(own) for own in people])
        rows = np.flatnonzero(np.concatenate([*usable, np.zeros(0, dtype=bool)]))
        num = len(owner)
        everybody = RawPoses(
            points_px=np.full((num, NUM_KEYPOINTS, 2), np.nan),
            raw_score=np.zeros((num, NUM_KEYPOINTS)),
            crop_px=np.full(num, np.nan),
            step_px=np.full(num, np.nan),
        )
        if len(rows) == 0:
            return everybody
        found = self._pose.read([image.rgb for image in images], np.concatenate(people)[rows], owner[rows])
        typical = float(np.median(found.raw_score, axis=1).max())
        if typical > self._calibration.implausible:
            raise ValueError(
                f"the pose network's raw scores reach {typical:.1f} where weights of kind {self._kind!r} stay below "
                f"{self._calibration.implausible:g}: is it RTMW? Then set kind to 'rtmw'; else pass {POSE_FILE.name} "
                f"from {POSE_FILE.source}"
            )
        everybody.points_px[rows], everybody.raw_score[rows] = found.points_px, found.raw_score
        everybody.crop_px[rows], everybody.step_px[rows] = found.crop_px, found.step_px
        return everybody

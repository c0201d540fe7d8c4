"""What the benchmark of the estimators runs: photos with people on them, and each part on some of those people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from benchmarks.network_files import write_network
from benchmarks.onnx_networks import has_onnx, write_detector, write_pose
from datasets_manifest.sources.images import decode_image
from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from model.estimators import ImageInput, PersonBatch, create
from model.estimators.base import Array, default_camera
from model.estimators.dwpose.files import DETECTOR_FILE
from model.estimators.dwpose.sessions import OnnxNetwork
from model.estimators.dwpose.yolox import PersonDetector, YoloxConfig

Who: TypeAlias = tuple[int, int]
"""Photo, person on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """N photos with P people each."""

    jpegs: list[bytes]
    """N encoded photos."""
    boxes: Array
    """(N, P, 4) xyxy px."""
    keypoints: Array
    """(N, P, 133, 3)."""

    @property
    def people(self) -> list[Who]:
        """Everybody, photo by photo."""
        return [(photo, person) for photo in range(len(self.jpegs)) for person in range(self.boxes.shape[1])]

    def decode(self, photo: int) -> Array:
        """(H, W, 3) uint8 RGB."""
        return decode_image(self.jpegs[photo], name=f"photo {photo}")


def make_shard(num_photos: int, num_people: int, size: tuple[int, int], seed: int = 0) -> Shard:
    """Photos of noise with people side by side, who fill most of the height.

    Args:
        num_photos: N.
        num_people: P.
        size: Width and height, px.
        seed: Of everything.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    jpegs = []
    for _ in range(num_photos):
        noise = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 2)
        jpegs.append(cv2.imencode(".jpg", noise)[1].tobytes())
    left = width * (np.arange(num_people) + 0.05) / num_people
    right = width * (np.arange(num_people) + 0.95) / num_people
    one = np.stack([left, np.full(num_people, 0.05 * height), right, np.full(num_people, 0.95 * height)], 1)
    boxes = np.tile(one, (num_photos, 1, 1))
    points = rng.uniform(size=(num_photos, num_people, 133, 2))
    for part, low, side in ((LEFT_HAND, (0.8, 0.5), 0.15), (RIGHT_HAND, (0.05, 0.5), 0.15), (FACE, (0.4, 0.05), 0.2)):
        points[:, :, part] = np.array(low) + side * points[:, :, part]
    points = boxes[..., None, :2] + points * (boxes[..., None, 2:] - boxes[..., None, :2])
    keypoints = np.concatenate([points, np.full((*points.shape[:-1], 1), 0.9)], -1).astype(np.float32)
    return Shard(jpegs=jpegs, boxes=boxes, keypoints=keypoints)


def person_batch(shard: Shard, photos: dict[int, Array], who: Sequence[Who]) -> PersonBatch:
    """Some people of some decoded photos as a batch."""
    cameras = [default_camera(photos[photo].shape[1], photos[photo].shape[0]) for photo, _ in who]
    return PersonBatch(
        images=[photos[photo] for photo, _ in who],
        boxes_xyxy=np.stack([shard.boxes[one] for one in who]).astype(np.float32),
        keypoints=np.stack([shard.keypoints[one] for one in who]),
        sigma_px=np.ones((len(who), 133), np.float32),
        focal_px=np.array([focal for focal, _ in cameras]),
        principal_px=np.stack([principal for _, principal in cameras]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How networks are run."""

    folder: Path
    """Where their files are, or go."""
    size: str
    """``published`` or ``tiny``."""
    device: str
    """``cpu`` or ``cuda``."""
    batch: int
    """Largest batch."""
    half: bool
    """Half precision."""
    threads: int
    """Threads of a network on the CPU."""


Run: TypeAlias = Callable[[Shard, dict[int, Array], Sequence[Who]], None]
"""Estimates some people whose photos are decoded."""


def _estimator(part: str, backend: str) -> Callable[[Settings], Run]:
    def build(settings: Settings) -> Run:
        path = write_network(settings.folder, backend, settings.size)
        options: dict[str, Any] = {"device": settings.device, "batch_size": settings.batch, "half": settings.half}
        estimator = create(part, backend, checkpoint_path=str(path), **options)

        def run(shard: Shard, photos: dict[int, Array], who: Sequence[Who]) -> None:
            found = estimator.estimate(person_batch(shard, photos, who))
            if not found.valid.all():
                raise RuntimeError(f"{backend}: {(~found.valid).sum()} people of the benchmark were refused")

        return run

    return build


def _pose(settings: Settings) -> Run:
    path = settings.folder / f"pose-{settings.size}.onnx"
    if not path.exists():
        write_pose(path, settings.size)
    options: dict[str, Any] = {"device": settings.device, "batch_size": settings.batch, "num_threads": settings.threads}
    estimator = create("keypoints", "dwpose", pose_path=str(path), **options)

    def run(shard: Shard, photos: dict[int, Array], who: Sequence[Who]) -> None:
        chosen = sorted({photo for photo, _ in who})
        images = [ImageInput.from_rgb(str(photo), photos[photo]) for photo in chosen]
        boxes = [np.stack([shard.boxes[one] for one in who if one[0] == photo]) for photo in chosen]
        estimator.estimate_batch(images, boxes)

    return run


def _detector(settings: Settings) -> Run:
    path = settings.folder / f"detector-{settings.size}.onnx"
    if not path.exists():
        write_detector(path, settings.size)
    network = OnnxNetwork(path, DETECTOR_FILE, device=settings.device, num_threads=settings.threads)
    detector = PersonDetector(network, YoloxConfig())

    def run(shard: Shard, photos: dict[int, Array], who: Sequence[Who]) -> None:
        detector.detect([photos[photo] for photo in sorted({photo for photo, _ in who})], settings.batch)

    return run


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One network of the recipe."""

    label: str
    """What it is."""
    build: Callable[[Settings], Run]
    """Loads it."""
    crops_per_person: int = 1
    """Crops of a person; 0 = one of the whole photo."""
    is_onnx: bool = False
    """Whether its file is written with the package onnx."""

    @property
    def problem(self) -> str | None:
        """Why it cannot be run here."""
        if self.is_onnx and not has_onnx():
            return "skipped: the packages onnx and onnxruntime are not installed"
        return None

    def num_crops(self, who: Sequence[Who]) -> int:
        """Crops of some people."""
        return self.crops_per_person * len(who) or len({photo for photo, _ in who})


PARTS: dict[str, Part] = {
    "pose": Part(label="DWPose pose, stand-in of its cost", build=_pose, is_onnx=True),
    "detector": Part(label="YOLOX detector, stand-in", build=_detector, crops_per_person=0, is_onnx=True),
    "prohmr": Part(label="ProHMR", build=_estimator("body", "prohmr")),
    "hmr2": Part(label="HMR2.0b", build=_estimator("body", "hmr2")),
    "hamer": Part(label="HaMeR", build=_estimator("hands", "hamer"), crops_per_person=2),
    "teaser": Part(label="TEASER", build=_estimator("face", "teaser")),
    "smirk": Part(label="SMIRK", build=_estimator("face", "smirk")),
}
"""By name on the command line."""

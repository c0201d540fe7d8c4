"""Raw keypoints of many people: crops of all photos in common batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model.body.skeleton import NUM_KEYPOINTS
from model.estimators.base import Array
from model.estimators.batching import run_in_batches
from model.estimators.dwpose import simcc
from model.estimators.dwpose.sessions import OnnxNetwork

BINS_PER_PX = 2
"""SimCC split ratio of the published networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RawPoses:
    """What a pose network says about P people."""

    points_px: Array
    """(P, 133, 2) photo px, NaN where the raw score is not positive."""
    raw_score: Array
    """(P, 133) lower of the two SimCC maxima; see ``calibration``."""
    crop_px: Array
    """(P,) height of the crop, photo px."""
    step_px: Array
    """(P,) distance of two neighbouring answers of the network, photo px."""

    def of(self, rows: slice) -> RawPoses:
        """Returns some of the people."""
        return RawPoses(
            points_px=self.points_px[rows],
            raw_score=self.raw_score[rows],
            crop_px=self.crop_px[rows],
            step_px=self.step_px[rows],
        )


class PoseReader(Protocol):
    """A pose network, by whichever route it runs."""

    sha256: str

    def read(self, images: Sequence[Array], boxes_xyxy: Array, image_of: Array) -> RawPoses:
        """Reads people.

        Args:
            images: (H, W, 3) uint8 RGB each.
            boxes_xyxy: (P, 4) finite boxes with an area, px; at least one.
            image_of: (P,) index of each person's photo.
        """
        ...


def geometry(boxes_xyxy: Array, size: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Returns centre (P, 2), extent (P, 2), height (P,) and answer step (P,) of the crops, photo px."""
    centre, extent = simcc.crop_of_boxes(boxes_xyxy, size)
    return centre, extent, extent[:, 1], extent[:, 1] / (BINS_PER_PX * size[1])


class OnnxPose:
    """The pose network as an ONNX file."""

    def __init__(self, network: OnnxNetwork, *, batch_size: int) -> None:
        """Checks that the network is an RTMPose of 133 keypoints.

        Args:
            network: The opened file.
            batch_size: People a run: what memory is bounded by.

        Raises:
            ValueError: Other outputs than two axis profiles of 133 keypoints.
        """
        self._network, self.sha256 = network, network.sha256
        self._size = network.input_size
        self._wanted = tuple((NUM_KEYPOINTS, BINS_PER_PX * side) for side in self._size)
        self._batch_size = batch_size
        self._check([shape[1:] if shape else shape for shape in network.output_shapes])

    def _check(self, shapes: Sequence[tuple[int | None, ...]]) -> None:
        fits = len(shapes) == 2 and all(
            len(got) == 2 and all(g in (None, w) for g, w in zip(got, want, strict=True))
            for got, want in zip(shapes, self._wanted, strict=True)
        )
        if not fits:
            got = " and ".join(str(("N", *("free" if dim is None else dim for dim in shape))) for shape in shapes)
            want = " and ".join(str(("N", *shape)) for shape in self._wanted)
            raise self._network.mismatch(f"its outputs are {got or 'none'}, for its input size they should be {want}")

    def read(self, images: Sequence[Array], boxes_xyxy: Array, image_of: Array) -> RawPoses:
        """Reads people; see ``PoseReader``.

        Raises:
            ValueError: The file's outputs have other shapes than it declares, or are not finite.
        """
        centre, extent, height, step = geometry(boxes_xyxy, self._size)

        def crop(person: int) -> Array:
            pixels = simcc.crop(images[image_of[person]], centre[person], extent[person], self._size)
            return simcc.normalised(pixels)

        read = run_in_batches(range(len(centre)), crop, self._infer, self._batch_size)
        points = simcc.to_photo(read["points"], centre, extent, self._size)
        return RawPoses(points_px=points, raw_score=read["raw"], crop_px=height, step_px=step)

    def _infer(self, crops: Array) -> dict[str, Array]:
        outputs = self._network.run(crops)
        self._check([output.shape[1:] for output in outputs])
        points, raw = simcc.decode(outputs[0], outputs[1], self._size)
        if not np.isfinite(raw).all():
            raise self._network.mismatch("it gave values that are not finite numbers")
        return {"points": points, "raw": raw}

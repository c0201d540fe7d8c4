"""PCK: how many keypoints lie where the annotation has them, by the protocol of HMR2 (4D-Humans).

A keypoint is right where it is nearer than a share of the longer side of the annotated box, widened by 1.2. Every
keypoint has its share of right ones over the whole data set; PCK is the plain mean of these over the keypoints that
somebody has. So a rare keypoint weighs as much as a common one, and the figure is no mean of people's.

Legend: N people, K keypoints, T thresholds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model.metrics.accumulated import Accumulated

PCK_THRESHOLDS = (0.05, 0.1)
"""Those of the tables."""
BOX_FACTOR = 1.2
"""What HMR2's annotations widen a tight box by; the unit of a distance."""
LEAST_CONFIDENCE = 0.5
"""An annotated point counts above it."""


def box_unit_px(bbox_xyxy: Tensor) -> Tensor:
    """Boxes (N, 4) that touch the person, px -> the unit of distances (N,), px."""
    boxes = bbox_xyxy.double()
    return BOX_FACTOR * (boxes[:, 2:] - boxes[:, :2]).amax(1)


def relative_distances(predicted_px: Tensor, truth_px: Tensor, unit_px: Tensor) -> Tensor:
    """Distances (N, K) from annotated points as shares of the unit; NaN where nothing is annotated.

    Args:
        predicted_px: (N, K, 2); their visibility plays no part. A point that is not finite is infinitely far.
        truth_px: (N, K, 3), the third the confidence.
        unit_px: (N,) see ``box_unit_px``.

    Raises:
        ValueError: Shapes do not fit, a unit is not above 0, or a point that counts is not finite.
    """
    people, points = truth_px.shape[:2]
    if predicted_px.shape != (people, points, 2) or truth_px.shape != (people, points, 3) or len(unit_px) != people:
        raise ValueError(
            f"expected points (N, K, 2), annotations (N, K, 3) and units (N,), got {tuple(predicted_px.shape)}, "
            f"{tuple(truth_px.shape)} and {tuple(unit_px.shape)}"
        )
    truth_px, unit_px = truth_px.double(), unit_px.double()
    if not bool((unit_px > 0).all()):
        row = int((~(unit_px > 0)).nonzero()[0])
        raise ValueError(f"person {row}: the box needs a side above 0, got a unit of {float(unit_px[row])} px")
    counts = truth_px[..., 2] > LEAST_CONFIDENCE
    if bool((counts & ~truth_px.isfinite().all(-1)).any()):
        row = int((counts & ~truth_px.isfinite().all(-1)).nonzero()[0, 0])
        raise ValueError(f"person {row}: an annotated point is not finite")
    distances = torch.linalg.vector_norm(predicted_px.double() - truth_px[..., :2], dim=-1) / unit_px[:, None]
    distances = distances.nan_to_num(nan=torch.inf)
    return torch.where(counts, distances, torch.nan)


class PCK(Accumulated):
    """Shares of right keypoints of a data set.

    Args:
        num_keypoints: K.
        thresholds: T distances as shares of the unit.
    """

    def __init__(self, num_keypoints: int, thresholds: Sequence[float] = PCK_THRESHOLDS) -> None:
        super().__init__(right=(len(thresholds), num_keypoints), known=(num_keypoints,))
        self.thresholds = tuple(thresholds)

    def update(self, predicted_px: Tensor, truth_px: Tensor, unit_px: Tensor) -> None:
        """Takes people; see ``relative_distances``, also for what is raised."""
        distances = relative_distances(predicted_px, truth_px, unit_px).cpu()
        limits = torch.tensor(self.thresholds, dtype=torch.float64)
        self.sums["right"] += (distances < limits[:, None, None]).sum(1)
        self.sums["known"] += (~distances.isnan()).sum(0)

    def by_keypoint(self) -> Tensor:
        """(T, K) shares of right ones; NaN of a keypoint that nobody has."""
        return self.sums["right"] / self.sums["known"]

    def compute(self) -> dict[float, float]:
        """Threshold -> PCK from 0 to 1; NaN where nobody has any keypoint."""
        means = self.by_keypoint()[:, self.sums["known"] > 0].mean(1)
        return dict(zip(self.thresholds, means.tolist(), strict=True))


def inside_image(points_px: Tensor, width: int, height: int) -> Tensor:
    """Points (..., 2) in px -> (...) bool, strictly inside: the rule of UBody for which vertices count."""
    x, y = points_px.unbind(-1)
    return (x > 0) & (x < width) & (y > 0) & (y < height)

"""AGORA's protocol: who is whom in a picture, errors of body, hands and face, and their figures with F1.

A picture's people are matched greedily by their joints in 2D, at 3840 x 2160. F1 says how many were found; NMVE is MVE
divided by it. The official program rounds MVE to .1 mm and F1 to .01 before it divides, and so does this one. Two of
its slips change numbers, and are done with `compat` alone: a pair that overlaps too little ends a picture's matching
early, and misses go into the means of hands and face, as 0 mm.

Legend: P predicted people, T known ones, M matched ones, J joints, V vertices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from model.body.skeleton import (
    HIPS,
    LEFT_WRIST,
    NECK,
    NUM_MAIN_JOINTS,
    RIGHT_WRIST,
    SMPLX_LEFT_HAND,
    SMPLX_RIGHT_HAND,
)
from model.metrics.accumulated import Accumulated
from model.metrics.joints import mean_distance_mm

NUM_MATCHED_JOINTS = 24
"""Of SMPL-X, from the pelvis: what the distance of two people is taken of."""
MIN_IOU = 0.1
"""Of the boxes about all joints, a pixel longer."""
MAX_OCCLUSION = 90
"""Percent, up to which a known person counts."""
PARTS = {"body": HIPS, "left_hand": (LEFT_WRIST,), "right_hand": (RIGHT_WRIST,), "face": (NECK,)}
"""Part -> joints whose midpoint is moved together; nothing is turned or scaled."""
PART_JOINTS = {
    "body": np.arange(NUM_MAIN_JOINTS),
    "left_hand": np.arange(SMPLX_LEFT_HAND.start, SMPLX_LEFT_HAND.stop),
    "right_hand": np.arange(SMPLX_RIGHT_HAND.start, SMPLX_RIGHT_HAND.stop),
    "face": np.arange(76, 127),
}
"""Part -> those of the first 127 joints and points of SMPL-X that MPJPE is of; of the face 51 landmarks."""
OCCLUSION_BINS = (-1, 10, 20, 30, 40, 50, 60, 70, 80, 90)
"""Percent: bounds of the bins by which errors are told; the upper ones belong to them. The official program draws those
up to 80."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JointMatches:
    """Who is whom in a picture."""

    predicted: tuple[int, ...]
    """(M,) rows of predictions."""
    known: tuple[int, ...]
    """(M,) rows of the known people that they are."""
    misses: tuple[int, ...]
    """Known people who count and were not found."""
    false_positives: tuple[int, ...]
    """Predictions that are nobody who counts, a person who does not count included."""

    def of(self, known: np.ndarray) -> JointMatches:
        """Those of some known people (T,) bool; false positives are nobody's and stay."""
        pairs = [(i, j) for i, j in zip(self.predicted, self.known, strict=True) if known[j]]
        return replace(
            self,
            predicted=tuple(i for i, _ in pairs),
            known=tuple(j for _, j in pairs),
            misses=tuple(j for j in self.misses if known[j]),
        )


def counted(is_valid: np.ndarray, occlusion: np.ndarray) -> np.ndarray:
    """Which known people count: valid, and 0 to 90 percent covered; (T,) and (T,) percent -> (T,) bool."""
    return np.asarray(is_valid, bool) & (np.asarray(occlusion) >= 0) & (np.asarray(occlusion) <= MAX_OCCLUSION)


def match_by_joints(
    predicted_px: np.ndarray, known_px: np.ndarray, counts: np.ndarray, *, compat: bool = False
) -> JointMatches:
    """Matches a picture's people, the nearest pair first.

    The distance of two people is the largest singular value of the differences of their first 24 joints, as the
    official program has it.

    Args:
        predicted_px: (P, J, 2) joints at 3840 x 2160.
        known_px: (T, J', 2); the box of each is about all of its joints.
        counts: (T,) bool, see ``counted``.
        compat: Whether a pair that overlaps too little counts as a spent prediction, which can end the matching while
            there are pairs left.

    Raises:
        ValueError: Somebody has fewer than 24 joints, or one that is not finite.
    """
    for name, points in (("predicted", predicted_px), ("known", known_px)):
        if len(points) and (points.shape[1] < NUM_MATCHED_JOINTS or not np.isfinite(points).all()):
            raise ValueError(f"{name} people: expected {NUM_MATCHED_JOINTS} finite joints or more, got {points.shape}")
    own, others = (points[:, :NUM_MATCHED_JOINTS] for points in (predicted_px, known_px))
    gaps = (own[:, None] - others[None]).astype(np.float64).reshape(-1, NUM_MATCHED_JOINTS, 2)
    order = np.argsort(np.linalg.norm(gaps, 2, axis=(1, 2)), kind="stable")
    matched: dict[int, int] = {}
    spent, taken = 0, np.zeros(len(known_px), bool)
    for place in order:
        if taken.all() or len(matched) + spent >= len(predicted_px):
            break
        i, j = (int(index) for index in np.unravel_index(place, (len(predicted_px), len(known_px))))
        overlaps = _iou(predicted_px[i], known_px[j]) >= MIN_IOU
        if overlaps and (i in matched or taken[j]):
            continue
        if compat and not overlaps:
            spent += 1
            taken[j] |= not counts[j]
        if overlaps:
            taken[j] = True
            if counts[j]:
                matched[i] = j
    found = set(matched.values())
    return JointMatches(
        predicted=tuple(matched),
        known=tuple(matched.values()),
        misses=tuple(j for j in range(len(known_px)) if counts[j] and j not in found),
        false_positives=tuple(i for i in range(len(predicted_px)) if i not in matched),
    )


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    """Of the boxes about points (J, 2), both ends of which belong to them."""
    low, high = (np.stack([edge(first, 0), edge(second, 0)]) for edge in (np.min, np.max))
    sides = np.maximum(high.min(0) - low.max(0) + 1, 0)
    areas = (high - low + 1).prod(1)
    shared = sides.prod()
    return float(shared / (areas.sum() - shared))


def part_errors_mm(
    joints: Tensor, vertices: Tensor, target_joints: Tensor, target: Tensor, part_ids: Mapping[str, np.ndarray]
) -> dict[str, Tensor]:
    """MVE of the parts of matched people.

    Args:
        joints: (M, J, 3) metres, SMPL-X order.
        vertices: (M, V, 3).
        target_joints: Like `joints`.
        target: Like `vertices`.
        part_ids: Part of ``PARTS`` -> its vertices: `body_verts_smplx.npy` of the official program (4010 of SMPL-X's
            10475) and the correspondences of MANO and FLAME, none of which is distributed with this project.

    Returns:
        Part -> (M,) millimetres.
    """
    found = {}
    for part, ids in part_ids.items():
        about = list(PARTS[part])
        moved, wanted = (
            mesh[:, ids].double() - points[:, about].double().mean(1, keepdim=True)
            for mesh, points in ((vertices, joints), (target, target_joints))
        )
        found[part] = mean_distance_mm(moved, wanted)
    return found


class AgoraFigures(Accumulated):
    """MVE, F1 and NMVE of a data set, picture by picture.

    Args:
        compat: Whether misses go into the means of hands and face as 0 mm, as in the official program.
    """

    def __init__(self, *, compat: bool = False) -> None:
        super().__init__(found=(), missed=(), zeros=(), false=(), error=(len(PARTS),))
        self.compat = compat

    def update(self, matches: JointMatches, errors: Mapping[str, Tensor], *, is_empty: bool = False) -> None:
        """Takes a picture: who was matched, and part -> (M,) mm, see ``part_errors_mm``; whether nobody was predicted
        in it, for the official program has no 0 mm of such pictures.

        Raises:
            ValueError: An error is missing or not finite.
        """
        self.sums["found"] += len(matches.known)
        self.sums["missed"] += len(matches.misses)
        self.sums["zeros"] += 0 if is_empty else len(matches.misses)
        self.sums["false"] += len(matches.false_positives)
        for row, part in enumerate(PARTS if matches.known else ()):
            if part not in errors or errors[part].shape != (len(matches.known),) or not errors[part].isfinite().all():
                raise ValueError(f"{part}: expected {len(matches.known)} finite errors, got {errors.get(part)}")
            self.sums["error"][row] += errors[part].double().sum().cpu()

    def compute(self) -> dict[str, float]:
        """`precision`, `recall`, `f1`, `mve_<part>_mm`, `mve_all_mm`, `nmve_body_mm` and `nmve_all_mm`, rounded as the
        official program does; NaN where there is nothing to divide by."""
        found, missed, false = (float(self.sums[name]) for name in ("found", "missed", "false"))
        figures = {
            "precision": _share(found, false),
            "recall": _share(found, missed),
            "f1": _share(found, 0.5 * (false + missed)),
        }
        among = found + float(self.sums["zeros"]) if self.compat else found
        sums = self.sums["error"].numpy()
        mve = {
            part: round(total / (found if part == "body" else among), 1) if found else np.nan
            for part, total in zip(PARTS, sums, strict=True)
        }
        mve["all"] = round(mve["body"] + sum(mve[part] for part in PARTS if part != "body") / 3, 1)
        figures |= {f"mve_{part}_mm": float(value) for part, value in mve.items()}
        for part in ("body", "all"):
            f1 = figures["f1"]
            figures[f"nmve_{part}_mm"] = float(round(mve[part] / f1, 1)) if f1 > 0 else np.nan
        return figures


def _share(found: float, other: float) -> float:
    return round(found / (found + other), 2) if found + other else np.nan

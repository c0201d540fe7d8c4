"""How far labels of the same people are apart, part by part, and what they agree on.

Legend: P people who have a label in both sets.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.people import found_rows
from model.body.ehms import EHMs
from model.body.flame import FLAME
from model.body.parameters import EhmParameters
from model.body.skeleton import NUM_MAIN_JOINTS
from model.imaging import camera as pinhole
from model.imaging.camera import Camera
from model.metrics.hands import hand_pa_mpjpe_mm
from model.metrics.head import rest_head
from model.metrics.joints import mpjpe_mm, orientation_error_deg, pa_mpjpe_mm
from model.metrics.summary import PairedDifference, paired_difference, rounded
from tasks.compare.pairs import Paired
from tasks.posing import JointBody, Statures, known_values
from tasks.report.figures import PART_TITLES, finite

AT_ONCE = 512
"""People whose bodies are posed together."""
EVERY_VERTEX = 8
"""Of this many vertices of the head one is posed: their mean distance tells the face as well."""
_NEEDED = ("transl_m", "global_orient", "body_pose", "focal_px", "principal_px", "bbox_xyxy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """What is told of every person."""

    title: str
    unit: str
    needs: str = ""
    """The part that both labels must trust; empty: none."""


MOVED: dict[str, Quantity] = {
    "pose_mm": Quantity(title="Body pose: joints after similarity alignment", unit="mm", needs="body"),
    "joints_mm": Quantity(title="Body: joints, pelvis to pelvis", unit="mm", needs="body"),
    "orient_deg": Quantity(title="Orientation of the pelvis", unit="°", needs="body"),
    "place_mm": Quantity(title="Place of the pelvis", unit="mm", needs="body"),
    "left_hand_mm": Quantity(title="Left hand: joints after alignment", unit="mm", needs="left_hand"),
    "right_hand_mm": Quantity(title="Right hand: joints after alignment", unit="mm", needs="right_hand"),
    "face_mm": Quantity(title="Face: one in eight of the head's vertices, after alignment", unit="mm", needs="face"),
    "photo_percent": Quantity(title="In the photo: mean over the points of the body", unit="% of the box"),
}
"""How far the second label is from the first."""
CHANGED: dict[str, Quantity] = {
    "reproj_percent": Quantity(title="Reprojection error", unit="% of the box"),
    **{f"{part}_quality": Quantity(title=f"Quality: {PART_TITLES[part]}", unit="", needs=part) for part in PART_NAMES},
    "distance_m": Quantity(title="Distance from the camera", unit="m", needs="body"),
    "stature_m": Quantity(title="Stature", unit="m", needs="body"),
    "head_scale": Quantity(title="Scale of the head", unit="", needs="face"),
    "focal_px": Quantity(title="Focal length", unit="px"),
}
"""What the second label says less what the first says."""


@dataclass(frozen=True, slots=True, order=True)
class Worst:
    """A pair of labels that are far apart."""

    joints_mm: float
    sample_a: str
    a: Mapping[str, Any] = field(compare=False)
    b: Mapping[str, Any] = field(compare=False)


class Differences:
    """Takes paired people and tells what moved; of each person only numbers are kept."""

    def __init__(self, body: EHMs, num_worst: int) -> None:
        """Takes the body of the labels, and how many of those who are farthest apart to keep."""
        self._joints, self._statures = JointBody(body), Statures(body)
        self._flame = FLAME(
            body.assets.flame, num_betas=body.size.num_flame_shape, num_expression=body.size.num_expression
        )
        self._flame.keep_vertices(torch.arange(0, body.assets.flame.num_vertices, EVERY_VERTEX))
        self._num_worst = num_worst
        self._values = defaultdict[str, list[np.ndarray]](list)
        self.worst: list[Worst] = []
        """Farthest first."""
        self.status = Counter[tuple[str, str]]()
        """People in both sets by their status in each."""
        self.flags: dict[str, Counter[tuple[bool, bool]]] = {part: Counter() for part in PART_NAMES}
        """People with a label in both, by whether each trusts a part."""
        self.only_a = self.only_b = 0

    def add(self, paired: Paired) -> None:
        """Takes the people of some photos."""
        self.only_a += paired.only_a
        self.only_b += paired.only_b
        self.status.update(zip(paired.a["status"].tolist(), paired.b["status"].tolist(), strict=True))
        both = _labelled(paired.a) & _labelled(paired.b)
        for start in range(0, int(both.sum()), AT_ONCE):
            rows = np.flatnonzero(both)[start : start + AT_ONCE]
            self._measure(paired.a.take(rows), paired.b.take(rows))

    def _measure(self, a: Columns, b: Columns) -> None:
        people = [EhmParameters.from_columns(known_values(rows)) for rows in (a, b)]
        trusted = {part: a[f"{part}_valid"] & b[f"{part}_valid"] for part in PART_NAMES}
        for part in PART_NAMES:
            pairs = zip(a[f"{part}_valid"].tolist(), b[f"{part}_valid"].tolist(), strict=True)
            self.flags[part].update(pairs)
        joints = [self._joints.joints_of(own) for own in people]
        before, now = (own[:, :NUM_MAIN_JOINTS] for own in joints)
        hands = hand_pa_mpjpe_mm(joints[1], joints[0]).numpy()
        place = [own.known("transl_m").double().numpy() for own in people]
        values = {
            "pose_mm": pa_mpjpe_mm(now, before).numpy(),
            "joints_mm": mpjpe_mm(now, before).numpy(),
            "orient_deg": orientation_error_deg(people[1].global_orient, people[0].global_orient).numpy(),
            "place_mm": 1000 * np.linalg.norm(place[1] - place[0], axis=1),
            "left_hand_mm": hands[:, 0],
            "right_hand_mm": hands[:, 1],
            "face_mm": self._face_mm(people, trusted["face"]),
            "photo_percent": _in_photo(a, b, [own.double().numpy() for own in joints]),
        }
        stated = [
            {name: rows[name].astype(np.float64) for name in CHANGED if name in rows}
            | {
                "reproj_percent": 100 * rows["reproj_rel"].astype(np.float64),
                "distance_m": where[:, 2],
                "stature_m": self._statures.metres(own),
                "head_scale": own.head_scale.double().mean(1).numpy(),
            }
            for rows, own, where in zip((a, b), people, place, strict=True)
        ]
        for name, quantity in (MOVED | CHANGED).items():
            own = values[name] if name in MOVED else stated[1][name] - stated[0][name]
            self._values[name].append(np.where(trusted[quantity.needs], own, np.nan) if quantity.needs else own)
        self._rank(np.where(trusted["body"], values["joints_mm"], np.nan), a, b)

    @torch.inference_mode()
    def _face_mm(self, people: list[EhmParameters], trusted: np.ndarray) -> np.ndarray:
        """(P,) of the heads at rest that both trust, the only ones that are posed; NaN of others."""
        found = np.full(len(trusted), np.nan)
        if trusted.any():
            before, now = (rest_head(self._flame, own.take(torch.from_numpy(trusted))) for own in people)
            found[trusted] = pa_mpjpe_mm(now, before).numpy()
        return found

    def _rank(self, joints_mm: np.ndarray, a: Columns, b: Columns) -> None:
        if not self._num_worst:
            return
        least = self.worst[-1].joints_mm if len(self.worst) == self._num_worst else -np.inf
        rows = np.flatnonzero(joints_mm > least)  # not of bodies that a label does not trust: NaN
        rows = rows[np.argsort(-joints_mm[rows], kind="stable")][: self._num_worst]
        found = [own.table.take(rows).to_pylist() for own in (a, b)]
        new = [
            Worst(float(joints_mm[row]), first["sample_id"], first, second)
            for row, first, second in zip(rows, *found, strict=True)
        ]
        self.worst = heapq.nlargest(self._num_worst, [*self.worst, *new])

    @property
    def num_pairs(self) -> int:
        """P."""
        return sum(map(len, self._values["place_mm"]))

    def values(self, name: str) -> np.ndarray:
        """(P,) of a quantity; NaN where a label does not trust the part."""
        return np.concatenate([*self._values[name], np.zeros(0)])

    def figures(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        moved = {name: _spread(self.values(name)) for name in MOVED}
        changed = {name: _difference(self.values(name)) for name in CHANGED}
        return {
            "people": {"both": self.status.total(), "labelled_in_both": self.num_pairs, "only_a": self.only_a,
                       "only_b": self.only_b},
            "status": [{"a": a, "b": b, "people": count} for (a, b), count in sorted(self.status.items())],
            "agreement": {
                part: {
                    "both": own[True, True], "only_a": own[True, False], "only_b": own[False, True],
                    "neither": own[False, False],
                }
                for part, own in self.flags.items()
            },
            "moved": {name: own for name, own in moved.items() if own},
            "changed": {name: own for name, own in changed.items() if own},
            "worst": [
                {"a": own.sample_a, "b": own.b["sample_id"], "joints_mm": rounded(own.joints_mm)} for own in self.worst
            ],
        }  # fmt: skip


def _labelled(rows: Columns) -> np.ndarray:
    return found_rows(rows.table) & np.logical_and.reduce([rows.has(name) for name in _NEEDED])


def _in_photo(a: Columns, b: Columns, joints: list[np.ndarray]) -> np.ndarray:
    """(P,) mean distance of the main joints as both pinhole cameras show them, % of the first box's longer side."""
    shown = []
    for rows, own in zip((a, b), joints, strict=True):
        camera = Camera(
            focal_px=torch.from_numpy(rows["focal_px"].astype(np.float64)),
            principal_px=torch.from_numpy(rows["principal_px"].astype(np.float64)),
        )
        shown.append(pinhole.project(torch.from_numpy(own[:, :NUM_MAIN_JOINTS]), camera).numpy())
    box = a["bbox_xyxy"].astype(np.float64)
    longer = np.maximum((box[:, 2:] - box[:, :2]).max(1), 1.0)
    return 100 * np.linalg.norm(shown[1] - shown[0], axis=-1).mean(1) / longer


def _spread(values: np.ndarray) -> dict[str, float | int | None]:
    own = finite(values)
    if not len(own):
        return {}
    mean = _difference(own)
    median, high = np.percentile(own, [50, 95])
    return mean | {"median": rounded(float(median)), "p95": rounded(float(high)), "max": rounded(float(own.max()))}


def _difference(values: np.ndarray) -> dict[str, float | int | None]:
    gap: PairedDifference | None = paired_difference(values, np.zeros(len(values)))
    if gap is None:
        return {}
    se = None if gap.se is None else rounded(gap.se)
    return {"people": gap.people, "mean": rounded(gap.mean), "se": se}

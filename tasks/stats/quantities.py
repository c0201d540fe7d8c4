"""Numbers of every person: pose, shape, scale, camera, quality; and who is far out in one of them.

Legend: N people with a label.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.people import found_rows
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import Group, shard_files
from datasets_manifest.stores import Place
from model.body import skeleton
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.metrics.summary import rounded
from model.rotations import rotmat_to_rotvec
from tasks.posing import Statures, known_values
from tasks.report.figures import PART_TITLES, finite

Kind = Literal["Pose", "Shape and scale", "Camera", "Quality"]
_POSED = {"shoulders": skeleton.SHOULDERS, "elbows": skeleton.ELBOWS, "hips": skeleton.HIPS, "knees": skeleton.KNEES}
OUTLIER = 6.0
"""Spreads from the median beyond which somebody is an outlier."""
_TO_SIGMA = 1.4826
"""Of a normal distribution, standard deviations in a median absolute deviation."""
_AT_ONCE = 512
"""People whose numbers are taken together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """A number of every person."""

    title: str
    unit: str
    kind: Kind
    needs: str = "body"
    """The part that a label must trust; empty: none."""


def _quality(part: str) -> Quantity:
    return Quantity(title=f"Quality: {PART_TITLES[part]}", unit="", kind="Quality", needs=part)


QUANTITIES: Mapping[str, Quantity] = {
    **{name: Quantity(title=f"Turn of the {name}, the larger", unit="°", kind="Pose") for name in _POSED},
    "spine": Quantity(title="Turn of the spine, all joints", unit="°", kind="Pose"),
    "head_turn": Quantity(title="Turn of neck and head", unit="°", kind="Pose"),
    "tilt": Quantity(title="Body against the photo's upright", unit="°", kind="Pose"),
    "facing": Quantity(title="Turned away from the camera", unit="°", kind="Pose"),
    "left_fist": Quantity(title="Left hand, mean turn of a joint", unit="°", kind="Pose", needs="left_hand"),
    "right_fist": Quantity(title="Right hand, mean turn of a joint", unit="°", kind="Pose", needs="right_hand"),
    "jaw": Quantity(title="Turn of the jaw", unit="°", kind="Pose", needs="face"),
    "betas": Quantity(title="Shape, root mean square coefficient", unit="", kind="Shape and scale"),
    "stature_m": Quantity(title="Stature", unit="m", kind="Shape and scale"),
    "head_scale": Quantity(title="Scale of the head", unit="", kind="Shape and scale", needs="face"),
    "expression": Quantity(
        title="Expression, root mean square coefficient", unit="", kind="Shape and scale", needs="face"
    ),
    "distance_m": Quantity(title="Distance from the camera", unit="m", kind="Camera"),
    "view_deg": Quantity(title="Field of view, the longer side", unit="°", kind="Camera", needs=""),
    "box_px": Quantity(title="Longer side of the box", unit="px", kind="Camera", needs=""),
    "box_share": Quantity(title="Box, share of the photo", unit="%", kind="Camera", needs=""),
    "reproj_percent": Quantity(title="Reprojection error over the box", unit="%", kind="Quality", needs=""),
    **{f"{part}_quality": _quality(part) for part in PART_NAMES},
}


class PeopleNumbers:
    """Numbers of everybody below a folder of labels, 4 bytes each, with their samples' names."""

    def __init__(self, body: EHMs) -> None:
        """Takes the body of the labels."""
        self._body, self._statures = body, Statures(body)
        self._values = {name: array("f") for name in QUANTITIES}
        self.samples: list[str] = []
        """N names."""
        self.groups: list[Group] = []
        """Data set and split of each."""

    @classmethod
    def of(cls, labels: Place, body: EHMs, visit: Callable[[Columns], None] | None = None) -> PeopleNumbers:
        """Of all people with a label.

        Args:
            labels: Folder of the labels.
            body: Their body model.
            visit: Takes the people of each shard as well.

        Raises:
            ValueError: There are no labels, or they are of another body.
        """
        found = cls(body)
        for path in shard_files(labels):
            rows = found.add(path)
            if visit is not None:
                visit(rows)
        if not found.samples:
            raise ValueError(f"{labels} has no labels of anybody; name a folder that pear annotate wrote")
        return found

    def add(self, path: Place) -> Columns:
        """Takes a shard; returns its people."""
        with Shard(path) as shard:
            if body_identity(shard.footer.body_model) not in (None, body_identity(self._body.assets.entry)):
                raise ValueError(
                    f"{path} is of the body {body_name(shard.footer.body_model)}, the settings have "
                    f"{body_name(self._body.assets.entry)}: give that of the former (body_model in the settings)"
                )
            table = shard.table(label_schema(in_groups=True))
        rows = Columns(table.filter(pa.array(_labelled(table))))
        for start in range(0, rows.num_rows, _AT_ONCE):
            self._take(rows.take(np.arange(start, min(start + _AT_ONCE, rows.num_rows))))
        return rows

    def _take(self, rows: Columns) -> None:
        people = EhmParameters.from_columns(known_values(rows))
        numbers = dict(_numbers(rows, people)) | {"stature_m": self._statures.metres(people)}
        for name, quantity in QUANTITIES.items():
            own = numbers[name]
            own = np.where(rows[f"{quantity.needs}_valid"], own, np.nan) if quantity.needs else own
            self._values[name].frombytes(own.astype(np.float32).tobytes())
        self.samples += rows["sample_id"].tolist()
        self.groups += zip(rows["dataset"].tolist(), rows["split"].tolist(), strict=True)

    def values(self, name: str) -> np.ndarray:
        """(N,) of a quantity; NaN where a label does not trust the part."""
        return np.frombuffer(self._values[name], np.float32).astype(np.float64)

    def outliers(self, most: int) -> list[dict[str, Any]]:
        """Who is far from the median of a quantity, the farthest first: sample, quantity, value, spreads."""
        found = []
        for name in QUANTITIES:
            far = _spreads(self.values(name))
            rows = np.flatnonzero(np.abs(far) > OUTLIER)
            found += [(float(far[row]), name, int(row)) for row in rows]
        found.sort(key=lambda entry: -abs(entry[0]))
        return [
            {
                "sample_id": self.samples[row],
                "quantity": name,
                "value": rounded(float(self.values(name)[row])),
                "spreads": rounded(far),
            }
            for far, name, row in found[:most]
        ]

    def num_outliers(self) -> int:
        """People who are far out in any quantity."""
        far = [np.abs(_spreads(self.values(name))) > OUTLIER for name in QUANTITIES]
        return int(np.logical_or.reduce(far).sum())

    def figures(self) -> dict[str, dict[str, float | int]]:
        """Of every quantity that anybody has: median, spread, percentiles, people."""
        return {name: own for name in QUANTITIES if (own := _summary(self.values(name)))}


def drift(now: PeopleNumbers, before: PeopleNumbers) -> dict[str, dict[str, float]]:
    """How the people of one set of labels differ from those of another, who need not be the same.

    Returns:
        Of each quantity that both have: both medians, their difference in spreads of those before, and the largest
        difference of the shares of people below any value (the statistic of Kolmogorov and Smirnov) with the one that
        five in a hundred pairs of samples of one population exceed.
    """
    found = {}
    for name in QUANTITIES:
        a, b = finite(before.values(name)), finite(now.values(name))
        if not len(a) or not len(b):
            continue
        spread = max(_spread(a), 1e-9)
        every = np.sort(np.concatenate([a, b]))
        shares = [np.searchsorted(np.sort(own), every, side="right") / len(own) for own in (a, b)]
        found[name] = {
            "before": rounded(float(np.median(a))),
            "now": rounded(float(np.median(b))),
            "spreads": rounded(float((np.median(b) - np.median(a)) / spread)),
            "largest_gap": rounded(float(np.abs(shares[0] - shares[1]).max())),
            "gap_of_chance": rounded(float(1.358 * np.sqrt((len(a) + len(b)) / (len(a) * len(b))))),
        }
    return found


def _labelled(table: pa.Table) -> np.ndarray:
    rows = Columns(table)
    return found_rows(table) & rows.has("transl_m") & rows.has("bbox_xyxy") & rows.has("focal_px")


def _numbers(rows: Columns, people: EhmParameters) -> Iterator[tuple[str, np.ndarray]]:
    turns = _degrees(rotmat_to_rotvec(people.body_pose).numpy())
    for name, joints in _POSED.items():
        yield name, turns[:, np.array(joints) - 1].max(1)
    yield "spine", turns[:, np.array(skeleton.SPINE) - 1].sum(1)
    yield "head_turn", turns[:, np.array((skeleton.NECK, skeleton.HEAD)) - 1].sum(1)
    orient = people.global_orient.double().numpy()
    # Up and forward of the body, in the camera frame: y down, z forward.
    yield "tilt", np.degrees(np.arccos(np.clip(-orient[:, 1, 1], -1, 1)))
    yield "facing", np.degrees(np.arccos(np.clip(-orient[:, 2, 2], -1, 1)))
    for side in ("left", "right"):
        pose = getattr(people, f"{side}_hand_pose")
        yield f"{side}_fist", _degrees(rotmat_to_rotvec(pose).numpy()).mean(1)
    yield "jaw", _degrees(rotmat_to_rotvec(people.jaw_pose).numpy())
    yield "betas", _rms(people.betas.double().numpy())
    yield "expression", _rms(people.flame_expression.double().numpy())
    yield "head_scale", people.head_scale.double().mean(1).numpy()
    yield "distance_m", people.known("transl_m")[:, 2].double().numpy()
    width, height = (np.where(rows.has(name), rows[name], np.nan) for name in ("image_width", "image_height"))
    yield "view_deg", np.degrees(2 * np.arctan(np.maximum(width, height) / 2 / rows["focal_px"]))
    box = rows["bbox_xyxy"].astype(np.float64)
    size = box[:, 2:] - box[:, :2]
    yield "box_px", size.max(1)
    yield "box_share", 100 * size.prod(1) / (width * height)
    yield "reproj_percent", 100 * rows["reproj_rel"].astype(np.float64)
    for part in PART_NAMES:
        yield f"{part}_quality", rows[f"{part}_quality"].astype(np.float64)


def _degrees(rotvecs: np.ndarray) -> np.ndarray:
    return np.degrees(np.linalg.norm(rotvecs.astype(np.float64), axis=-1))


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt((values**2).mean(1)) if values.shape[1] else np.zeros(len(values))


def _spread(values: np.ndarray) -> float:
    """Standard deviation of the middle of a distribution, by its median absolute deviation."""
    return float(_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def _spreads(values: np.ndarray) -> np.ndarray:
    """How far from the median each is; 0 where there is no value, or where half of all are the same."""
    own = finite(values)
    spread = _spread(own) if len(own) else 0.0
    return np.nan_to_num((values - np.median(own)) / spread) if spread > 0 else np.zeros(len(values))


def _summary(values: np.ndarray) -> dict[str, float | int]:
    own = finite(values)
    if not len(own):
        return {}
    low, median, high = np.percentile(own, [5, 50, 95])
    found = {"median": median, "spread": _spread(own), "p5": low, "p95": high, "least": own.min(), "most": own.max()}
    return {name: rounded(float(value)) for name, value in found.items()} | {"people": len(own)}


def by_kind(names: Sequence[str]) -> dict[str, list[str]]:
    """Names of quantities under what they are of."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(QUANTITIES[name].kind, []).append(name)
    return found

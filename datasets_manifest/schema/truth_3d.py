"""What a real data set knows of a person in 3D, and its columns in a plan.

Synthetic people have their truth in the words of the label schema (``PersonRecord.truth``). Real data sets have body
models and 3D points of their own, in the frame and from the origin that they chose: both are stated, nothing is turned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.schema.fields import ARRAY_MAP, FLAGS, SHAPE_MAP, column

ModelName = Literal["smpl", "smplh", "smplx"]
FrameName = Literal["camera", "world"]
HandsFrom = Literal["relaxed", "flat"]
GenderName = Literal["neutral", "female", "male"]
PointsAre = Literal["keypoints", "joints"]

PARAMETER_SIZES: dict[str, tuple[int, ...]] = {
    "global_orient": (3,),
    "body_pose": (69, 63),
    "left_hand_pose": tuple(range(1, 46)),
    "right_hand_pose": tuple(range(1, 46)),
    "jaw_pose": (3,),
    "leye_pose": (3,),
    "reye_pose": (3,),
    "transl": (3,),
    "betas": (),
    "expression": (),
    "flame_shape": (),
    "flame_expression": (),
    "eyelids": (2,),
}
"""Parameter, as the body models name it -> numbers it may have, empty for any: 69 of SMPL's body pose, 63 of others. Of
hands 45 are rotations, fewer are coefficients of the body model's own hand components. Those of FLAME are a head's that
stands on the body, as EHM-s has it; ``expression`` is of SMPL-X's own space."""
_MAX_SPREAD_M, _MIN_SPREAD_M = 4.0, 0.01
"""No two points of a person are farther apart, and no four or more nearer together."""
_MANY = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth3d:
    """A person in 3D: parameters of a body model, points, or both. Metres and radians."""

    frame: FrameName
    """camera: x right, y down, z forward, of the photo; world: that of ``Place.world_to_camera``."""
    model: ModelName | None = None
    """Whose parameters they are; None = points alone."""
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Names of ``PARAMETER_SIZES``: rotations as axis-angle, flat; betas and expression of any number."""
    hands_from: HandsFrom = "relaxed"
    """What hands turn from: the relaxed hand of the body model (``flat_hand_mean`` false), or the flat one."""
    part_valid: tuple[bool, ...] = (True,) * len(PART_NAMES)
    """Of ``PART_NAMES``: whose parameters labels may be made of, where there are any. Evaluation reads the others too.
    """
    gender: GenderName = "neutral"
    """Of the body model."""
    keypoints_m: np.ndarray | None = None
    """(133, 4) float32: x, y, z metres, score 0..1 (0 = not known), in the order of the 2D keypoints."""
    other_points_m: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Points that the 133 lack, by name: (4,) x, y, z metres, score."""
    points_are: PointsAre = "keypoints"
    """keypoints where annotators or networks see them, as triangulated ones are; joints of a body model or of markers,
    which lie inside the body."""
    sigma_m: float = 0.02
    """Standard deviation of an axis of the points, as far as they are known."""
    pose_sigma_rad: float = 0.1
    """Standard deviation of an axis of the pelvis and of every joint of the parameters."""
    root_relative: bool = False
    """Whether points and ``transl`` say nothing of where the person is: they have an origin of their own."""
    points_turned: bool = True
    """Whether the points are turned as ``frame`` says. Of others nobody said how; evaluation alone reads them."""
    intrinsics_px: tuple[float, float, float, float] | None = None
    """Focal lengths along x and y, and principal point, of the camera whose frame it is, where that is made up for this
    person alone. Evaluation reads it; it stands in no plan."""

    def __post_init__(self) -> None:
        """Check names, numbers and the unit.

        Raises:
            ValueError: A parameter is unknown, has other numbers or no model; a value is not finite; or points are so
                far apart that they are hardly metres.
        """
        if bool(self.parameters) != (self.model is not None):
            raise ValueError("3D truth has parameters of a body model and the model's name, or neither")
        for name, values in self.parameters.items():
            if name not in PARAMETER_SIZES:
                raise ValueError(f"3D truth has no parameter {name!r}; known are {', '.join(PARAMETER_SIZES)}")
            sizes = PARAMETER_SIZES[name] or (np.size(values),)
            if np.ndim(values) != 1 or np.size(values) not in sizes:
                expected = "1 to 45" if name.endswith("hand_pose") else " or ".join(map(str, sizes))
                raise ValueError(f"{name} of 3D truth must be a row of {expected} numbers, got {np.shape(values)}")
            if not _are_finite(values):
                raise ValueError(f"{name} of 3D truth holds a value that is not finite")
        for name, most in (("sigma_m", _MAX_SPREAD_M), ("pose_sigma_rad", np.pi)):
            if not 0 < getattr(self, name) < most:
                raise ValueError(f"{name} of 3D truth must be between 0 and {most:.3g}, got {getattr(self, name):g}")
        known = self._known_points()
        if len(self.part_valid) != len(PART_NAMES):
            raise ValueError(f"part_valid of 3D truth must be {len(PART_NAMES)} flags, got {len(self.part_valid)}")
        if not _are_finite(known):
            raise ValueError("a point of 3D truth is not finite; give it the score 0 and zeros")
        spread = float((np.maximum.reduce(known) - np.minimum.reduce(known)).max()) if len(known) else 0.0
        if spread > _MAX_SPREAD_M:
            raise ValueError(
                f"points of 3D truth of one person are {spread:.4g} m apart, expected {_MAX_SPREAD_M:g} m at most; "
                "are they millimetres, or of two people?"
            )
        if len(known) >= _MANY and spread < _MIN_SPREAD_M:
            raise ValueError(
                f"{len(known)} points of 3D truth of one person are within {spread:.2g} m, expected "
                f"{_MIN_SPREAD_M:g} m at least; give those that are not known the score 0"
            )

    def _known_points(self) -> np.ndarray:
        """(N, 3) all points that are known."""
        rows = [] if self.keypoints_m is None else [np.asarray(self.keypoints_m)]
        if self.other_points_m:
            rows.append(np.array(list(self.other_points_m.values())).reshape(-1, 4))
        points = np.concatenate(rows) if rows else np.zeros((0, 4))
        return points[points[:, 3] > 0, :3]

    @property
    def num_betas(self) -> int:
        """Coefficients of shape; 0 without a model."""
        return np.size(self.parameters.get("betas", ()))


def _are_finite(values: np.ndarray) -> bool:
    # The ufunc itself: the method costs more than what it does, three to ten times a person.
    return bool(np.logical_and.reduce(np.isfinite(values), axis=None))


def truth_3d_columns() -> list[pa.Field]:
    """Columns of a plan whose people have 3D truth."""
    return [
        column(
            "truth_3d",
            ARRAY_MAP,
            "3D that a real data set ships, by name, flat: parameters of the body model as `parameter/betas`, the 133 "
            "points as `keypoints_m`, others as `point/pelvis`; null where it has none",
            unit="m, rad",
            optional=True,
        ),
        column("truth_3d_shape", SHAPE_MAP, "shape of each array in truth_3d", optional=True),
        column("truth_3d_model", pa.string(), "smpl, smplh or smplx; null where there are points alone", optional=True),
        column("truth_3d_gender", pa.string(), "neutral, female or male: of the body model", optional=True),
        column("truth_3d_hands_from", pa.string(), "relaxed or flat: the hand that its hands turn from", optional=True),
        column(
            "truth_3d_part_valid",
            FLAGS,
            f"{', '.join(part.replace('_', ' ') for part in PART_NAMES)}: may labels be made of its parameters",
            shape=(len(PART_NAMES),),
            optional=True,
        ),
        column("truth_3d_frame", pa.string(), "camera or world: what truth_3d is relative to", optional=True),
        column(
            "truth_3d_points_are", pa.string(), "keypoints or joints: where in the body its points lie", optional=True
        ),
        column(
            "truth_3d_sigma_m", pa.float32(), "standard deviation of an axis of its points", unit="m", optional=True
        ),
        column(
            "truth_3d_pose_sigma_rad",
            pa.float32(),
            "standard deviation of an axis of its joints",
            unit="rad",
            optional=True,
        ),
        column("truth_3d_root_relative", pa.bool_(), "does truth_3d not say where the person is", optional=True),
        column("truth_3d_points_turned", pa.bool_(), "are its points turned as the frame says", optional=True),
    ]


def pack_truth_3d(people: Sequence[Truth3d | None]) -> dict[str, Any]:
    """Columns of people (N), None for those without."""

    def named(truth: Truth3d) -> dict[str, np.ndarray]:
        arrays = {f"parameter/{name}": values for name, values in truth.parameters.items()}
        arrays |= {f"point/{name}": point for name, point in truth.other_points_m.items()}
        return arrays if truth.keypoints_m is None else arrays | {"keypoints_m": truth.keypoints_m}

    return {
        **pack_arrays([None if truth is None else named(truth) for truth in people], "truth_3d"),
        "truth_3d_model": [truth and truth.model for truth in people],
        "truth_3d_gender": [truth and truth.gender for truth in people],
        "truth_3d_hands_from": [truth and truth.hands_from for truth in people],
        "truth_3d_part_valid": [None if truth is None else list(truth.part_valid) for truth in people],
        "truth_3d_frame": [truth and truth.frame for truth in people],
        "truth_3d_points_are": [truth and truth.points_are for truth in people],
        "truth_3d_sigma_m": [truth and truth.sigma_m for truth in people],
        "truth_3d_pose_sigma_rad": [truth and truth.pose_sigma_rad for truth in people],
        "truth_3d_root_relative": [None if truth is None else truth.root_relative for truth in people],
        "truth_3d_points_turned": [None if truth is None else truth.points_turned for truth in people],
    }


def truth_3d_of(row: Mapping[str, Any]) -> Truth3d | None:
    """3D truth of a row of a plan, as ``Table.to_pylist`` gives it; None where the data set ships none."""
    if row.get("truth_3d") is None:
        return None
    shapes = dict(row["truth_3d_shape"])
    arrays = {name: np.array(values, np.float32).reshape(shapes[name]) for name, values in row["truth_3d"]}

    def below(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    return Truth3d(
        frame=row["truth_3d_frame"],
        model=row["truth_3d_model"],
        parameters=below("parameter/"),
        hands_from=row.get("truth_3d_hands_from") or "relaxed",
        part_valid=tuple(row.get("truth_3d_part_valid") or (True,) * len(PART_NAMES)),
        gender=row["truth_3d_gender"],
        keypoints_m=arrays.get("keypoints_m"),
        other_points_m=below("point/"),
        points_are=row["truth_3d_points_are"],
        sigma_m=row["truth_3d_sigma_m"],
        pose_sigma_rad=row["truth_3d_pose_sigma_rad"],
        root_relative=row["truth_3d_root_relative"],
        points_turned=row.get("truth_3d_points_turned", not row["truth_3d_root_relative"]),
    )

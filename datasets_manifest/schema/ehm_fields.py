"""The parameters of an EHM-s person: the one table that labels, bodies, fits, training and predictions derive from.

``model.body.parameters.EhmParameters`` is a batch of people as tensors. In files a rotation is an axis-angle vector in
radians, in memory a matrix. A new parameter is a row here and a field there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

M, RAD, ONE = "m", "rad", "1"
CAMERA = "camera: x right, y down, z forward"
PARENT = "parent joint, SMPL-X order"

Kind = Literal["rotation", "coefficients", "plain"]
Part = Literal["body", "left_hand", "right_hand", "face"]
PART_NAMES: tuple[Part, ...] = get_args(Part)
"""Order of the four flags in ``part_valid``."""
BODY_GROUP_NAMES = ("head", "torso", "left_arm", "right_arm", "left_leg", "right_leg")
"""Order of the six flags in ``body_group_valid``; which points and joints each has stands in `model.body.skeleton`."""
Fusion = Literal["blended", "paper"]
"""How the FLAME head joins the body, which decides what the parameters of a face mean: ``model.body.ehms`` defines
both."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BodySize:
    """Numbers of coefficients of a body, or of what speaks of one."""

    num_betas: int = 10
    """SMPL-X shape."""
    num_flame_shape: int = 10
    """FLAME shape."""
    num_expression: int = 10
    """FLAME expression."""


DEFAULT_SIZE = BodySize()
"""Of the label files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EhmField:
    """One parameter of a person."""

    name: str
    """Of the label column, and of the field of ``EhmParameters``."""
    kind: Kind
    """A rotation's default is the identity."""
    part: Part
    """Whose validity flag decides about it."""
    shape: tuple[int | str, ...]
    """In a file, rotations as axis-angle; a number of coefficients by its name in ``BodySize``."""
    sentence: str
    """What it is."""
    unit: str
    """Of the numbers in a file."""
    frame: str = ""
    """Coordinate frame."""
    default: float = 0.0
    """Number that stands for `neutral` in a file."""
    in_labels: bool = True
    """Whether labels have it."""

    def column_shape(self, size: BodySize) -> tuple[int, ...]:
        """Shape in a file."""
        return tuple(getattr(size, entry) if isinstance(entry, str) else entry for entry in self.shape)

    def tensor_shape(self, size: BodySize) -> tuple[int, ...]:
        """Shape in memory: a rotation is a matrix (3, 3)."""
        return self.column_shape(size) + ((3,) if self.kind == "rotation" else ())


EHM_FIELDS = (
    EhmField(
        name="transl_m", kind="plain", part="body", shape=(3,), unit=M, frame=CAMERA,
        sentence="position of the pelvis joint",
    ),
    EhmField(
        name="global_orient", kind="rotation", part="body", shape=(3,), unit=RAD, frame=CAMERA,
        sentence="root rotation, axis-angle",
    ),
    EhmField(
        name="body_pose", kind="rotation", part="body", shape=(21, 3), unit=RAD, frame=PARENT,
        sentence="21 body joints, axis-angle",
    ),
    EhmField(
        name="left_hand_pose", kind="rotation", part="left_hand", shape=(15, 3), unit=RAD, frame=PARENT,
        sentence="15 joints, axis-angle, flat = 0",
    ),
    EhmField(
        name="right_hand_pose", kind="rotation", part="right_hand", shape=(15, 3), unit=RAD, frame=PARENT,
        sentence="15 joints, axis-angle, flat = 0",
    ),
    EhmField(
        name="betas", kind="coefficients", part="body", shape=("num_betas",), unit=ONE,
        sentence="SMPL-X shape coefficients",
    ),
    EhmField(
        name="flame_shape", kind="coefficients", part="face", shape=("num_flame_shape",), unit=ONE,
        sentence="FLAME shape coefficients",
    ),
    EhmField(
        name="flame_expression", kind="coefficients", part="face", shape=("num_expression",), unit=ONE,
        sentence="FLAME expression coefficients",
    ),
    EhmField(
        name="jaw_pose", kind="rotation", part="face", shape=(3,), unit=RAD, frame="head",
        sentence="jaw rotation, axis-angle",
    ),
    EhmField(
        name="eye_pose", kind="rotation", part="face", shape=(2, 3), unit=RAD, frame="head",
        sentence="left then right eye rotation, axis-angle",
    ),
    EhmField(
        name="eyelids", kind="plain", part="face", shape=(2,), unit=ONE,
        sentence="left then right eyelid, 0 open .. 1 closed",
    ),
    EhmField(
        name="head_scale", kind="plain", part="face", shape=(3,), unit=ONE, default=1.0,
        sentence="EHM-s scale of the head, about the head joint",
    ),
    EhmField(
        name="head_orient", kind="rotation", part="face", shape=(3,), unit=RAD, frame=CAMERA, in_labels=False,
        sentence="head as the face shows it, axis-angle; the body's own is joint 15 of its chained rotations",
    ),
)  # fmt: skip
"""In the order of the label columns."""

LABEL_FIELDS = tuple(field for field in EHM_FIELDS if field.in_labels)
"""Those that pose a body."""
LABEL_PARAMETERS = tuple(field.name for field in LABEL_FIELDS)
"""Their names."""
COEFFICIENTS = tuple(field.name for field in EHM_FIELDS if field.kind == "coefficients")
"""Parameters of which a file says how many there are."""
LEARNT_FIELDS = tuple(field for field in LABEL_FIELDS if field.name != "transl_m")
"""Those that a regressor learns: where a person is, it says by the camera of the crop."""

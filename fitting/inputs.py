"""What the refinement is given: keypoints of a person, and the coarse estimates of the parts."""

from dataclasses import MISSING, dataclass, fields, replace

import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import EHM_FIELDS, BodySize
from fitting.sparse_tables import NUM_SURFACE
from model.body import skeleton
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera


@dataclass(frozen=True, kw_only=True, slots=True)
class Observations:
    """Keypoints of B people."""

    keypoints_px: Tensor
    """(B, 133, 2) image px; the value of a keypoint that was not seen does not matter."""
    sigma_px: Tensor
    """(B, 133) calibrated standard deviation of an axis, gross outliers apart, inf for a keypoint that was not seen;
    `model.estimators.base.KeypointsOutput` says what the backends state."""
    boxes_xyxy: Tensor | None = None
    """(B, 4) person boxes in px, to state errors as a share of the box; None takes the extent of the keypoints."""
    surface_offset_m: Tensor | None = None
    """(B, 6) where this source of keypoints puts hips and shoulders, from the joints: outwards, up, to the front for
    each, in the frame of pelvis and collar. None, or rows of NaN, take those of the settings."""
    surface_sigma_m: Tensor | None = None
    """(B, 6) how far that differs from person to person; None, or rows of NaN, take those of the settings."""
    hidden_error_mm: Tensor | None = None
    """(B, 4) what body, left hand, right hand and face are off by without a residual that shows it, since the keypoints
    of this source are off together; None is nothing. Moves no fit, only what is expected of its error."""
    points_m: Tensor | None = None
    """(B, 133, 3) keypoints known in 3D, triangulated or measured, in the frame of the camera, metres; of hips and
    shoulders the places that `surface_offset_m` speaks of. None is nothing."""
    points_sigma_m: Tensor | None = None
    """(B, 133) their standard deviation of an axis, inf for those that are not known."""
    joints_m: Tensor | None = None
    """(B, 22, 3) root and body joints of SMPL-X known in 3D, of another body model or from markers, in the frame of the
    camera, metres: the joints themselves, wherever the keypoints of hips and shoulders lie. None is nothing."""
    joints_sigma_m: Tensor | None = None
    """(B, 22) their standard deviation of an axis, inf for those that are not known."""
    points_are_relative: Tensor | None = None
    """(B,) bool: points and joints in 3D are known but for a shift of all of them, along the axes of the camera; where
    a person is, the keypoints in the image say. None: nobody's are."""

    def __post_init__(self) -> None:
        count = self.keypoints_px.shape[0]
        if self.keypoints_px.shape != (count, skeleton.NUM_KEYPOINTS, 2) or self.sigma_px.shape != (
            count,
            skeleton.NUM_KEYPOINTS,
        ):
            raise ValueError(
                f"observations need keypoints_px (B, 133, 2) and sigma_px (B, 133), "
                f"got {tuple(self.keypoints_px.shape)} and {tuple(self.sigma_px.shape)}; use the COCO-WholeBody layout"
            )
        if self.boxes_xyxy is not None and self.boxes_xyxy.shape != (count, 4):
            raise ValueError(
                f"observations of {count} people need boxes_xyxy ({count}, 4) or None, "
                f"got {tuple(self.boxes_xyxy.shape)}"
            )
        for name, number in (("points", skeleton.NUM_KEYPOINTS), ("joints", skeleton.NUM_MAIN_JOINTS)):
            place, sigma = getattr(self, f"{name}_m"), getattr(self, f"{name}_sigma_m")
            found = tuple(None if value is None else tuple(value.shape) for value in (place, sigma))
            if found not in ((None, None), ((count, number, 3), (count, number))):
                raise ValueError(
                    f"observations of {count} people need {name}_m ({count}, {number}, 3) and {name}_sigma_m "
                    f"({count}, {number}), or neither, got {found[0]} and {found[1]}"
                )
        flags = self.points_are_relative
        if flags is not None and (flags.shape != (count,) or flags.dtype != torch.bool):
            raise ValueError(
                f"observations of {count} people need points_are_relative ({count},) of bool or None, got "
                f"{tuple(flags.shape)} of {flags.dtype}"
            )
        widths = {"surface_offset_m": NUM_SURFACE, "surface_sigma_m": NUM_SURFACE, "hidden_error_mm": 4}
        for name, width in widths.items():
            value = getattr(self, name)
            if value is not None and value.shape != (count, width):
                raise ValueError(
                    f"observations of {count} people need {name} ({count}, {width}) or None, got {tuple(value.shape)}"
                )

    @property
    def has_points(self) -> Tensor:
        """(B,) bool: something of the person is known in 3D."""
        known = torch.zeros(len(self.keypoints_px), dtype=torch.bool, device=self.keypoints_px.device)
        for sigma in (self.points_sigma_m, self.joints_sigma_m):
            if sigma is not None:
                known = known | torch.isfinite(sigma).any(1)
        return known

    @property
    def without_points(self) -> "Observations":
        """The same people, nothing of whom is known in 3D."""
        nothing = dict.fromkeys(("points_m", "points_sigma_m", "joints_m", "joints_sigma_m", "points_are_relative"))
        return replace(self, **nothing)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coarse:
    """Estimates of the parts for B people, before the refinement. Rows of a part that is not valid are ignored."""

    global_orient: Tensor
    """(B, 3, 3) camera frame."""
    body_pose: Tensor
    """(B, 21, 3, 3)."""
    hand_pose: Tensor
    """(B, 2, 15, 3, 3) left, right; identity is the flat hand."""
    betas: Tensor
    """(B, 10)."""
    flame_shape: Tensor
    """(B, 10)."""
    flame_expression: Tensor
    """(B, 10)."""
    jaw_pose: Tensor
    """(B, 3, 3)."""
    eyelids: Tensor
    """(B, 2)."""
    eye_pose: Tensor
    """(B, 2, 3, 3)."""
    body_valid: Tensor
    """(B,) bool; False starts from neutral bodies."""
    hand_valid: Tensor
    """(B, 2) bool; False starts from a relaxed hand."""
    face_valid: Tensor
    """(B,) bool; False starts from a neutral face."""
    sigma_rad: Tensor | None = None
    """(B, 22) standard deviation an axis of root and body joints; None takes those of the settings."""
    hand_sigma_rad: Tensor | None = None
    """(B, 2) standard deviation an axis of the finger joints; None takes that of the settings."""
    head_orient: Tensor | None = None
    """(B, 3, 3) head orientation in the camera frame from the face estimator, or None."""
    head_sigma_rad: Tensor | None = None
    """(B,) standard deviation an axis of `head_orient`; None, or NaN, takes that of the settings."""
    wrist_orient: Tensor | None = None
    """(B, 2, 3, 3) wrist orientation in the camera frame from the hand estimator, or None."""
    hand_score: Tensor | None = None
    """(B, 2) the hand estimator's own score, 0..1; None, or NaN, leaves the wrists to the angle alone."""
    transl_m: Tensor | None = None
    """(B, 3) pelvis position; None, or rows of NaN, let the keypoints place the body."""

    def __post_init__(self) -> None:
        # Any number of coefficients will do: missing ones are zero, those that the body lacks are left out.
        size = BodySize(
            num_betas=self.betas.shape[-1],
            num_flame_shape=self.flame_shape.shape[-1],
            num_expression=self.flame_expression.shape[-1],
        )
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            own = _PERSON[field.name].tensor_shape(size) if field.name in _PERSON else _OWN_SHAPES[field.name]
            shape, found = (len(self.global_orient), *own), None if value is None else tuple(value.shape)
            if found != shape:
                raise ValueError(f"coarse estimate {field.name} needs shape {shape}, got {found}")

    @classmethod
    def unknown(cls, count: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> "Coarse":
        """No estimate of any part: everything starts neutral."""
        rest = EhmParameters.neutral(count, dtype=dtype, device=device)
        hand = torch.stack([rest.left_hand_pose, rest.right_hand_pose], 1)
        flags = {
            name: torch.zeros(count, *_OWN_SHAPES[name], dtype=torch.bool, device=device)
            for name in ("body_valid", "hand_valid", "face_valid")
        }
        required = {field.name for field in fields(cls) if field.default is MISSING}
        return cls(hand_pose=hand, **flags, **{name: value for name, value in rest.named().items() if name in required})


_PERSON = {field.name: field for field in EHM_FIELDS}
_OWN_SHAPES: dict[str, tuple[int, ...]] = {
    "hand_pose": (2, skeleton.NUM_HAND_JOINTS, 3, 3),
    "wrist_orient": (2, 3, 3),
    "body_valid": (),
    "hand_valid": (2,),
    "face_valid": (),
    "sigma_rad": (skeleton.NUM_MAIN_JOINTS,),
    "hand_sigma_rad": (2,),
    "head_sigma_rad": (),
    "hand_score": (2,),
}
"""Behind the people, of what is no parameter of a person."""
_PLACE = "transl_m"
"""Checked apart: where it is not finite, the keypoints place the body."""
_ROTATION_TOLERANCE = 1e-2


def without_bad_values(coarse: Coarse, camera: Camera, dtype: torch.dtype) -> tuple[Tensor, Coarse]:
    """Rows (B,) whose camera or valid parts hold NaN, inf or a matrix that is no rotation, and the estimates with
    invalid parts made neutral."""
    neutral = Coarse.unknown(len(coarse.global_orient), dtype, coarse.global_orient.device)
    bad = ~torch.isfinite(camera.focal_px) | (camera.focal_px <= 0) | ~torch.isfinite(camera.principal_px).all(1)
    parts = {
        f"{part}_valid": [f.name for f in fields(coarse) if f.name in _PERSON and _PERSON[f.name].part == part]
        for part in ("body", "face")
    }
    parts["body_valid"].remove(_PLACE)
    parts["hand_valid"] = ["hand_pose", "wrist_orient"]
    clean: dict[str, Tensor] = {}
    for flag, names in parts.items():
        valid = getattr(coarse, flag)
        for name in names:
            value = getattr(coarse, name)
            if value is None:
                continue
            value = value.to(dtype)
            other = getattr(neutral, name)
            if other is None:
                other = torch.eye(3, dtype=dtype, device=value.device).expand_as(value)
            sound = torch.isfinite(value).flatten(valid.dim()).all(-1)
            if value.shape[-2:] == (3, 3):
                sound &= is_rotation(value).view(*valid.shape, -1).all(-1)
            broken = valid & ~sound
            bad = bad | (broken if broken.dim() == 1 else broken.any(1))
            keep = (valid & sound).view(*valid.shape, *[1] * (value.dim() - valid.dim()))
            clean[name] = torch.where(keep, value, _fit_width(other, value))
    for name in ("sigma_rad", "hand_sigma_rad", "head_sigma_rad"):
        value = getattr(coarse, name)
        if value is not None:
            value = value.to(dtype)
            clean[name] = torch.where(torch.isfinite(value) & (value > 0), value, torch.full_like(value, torch.nan))
    if coarse.transl_m is not None:
        clean["transl_m"] = coarse.transl_m.to(dtype)
    return bad, replace(coarse, **clean)


def is_rotation(matrix: Tensor) -> Tensor:
    """Which matrices (..., 3, 3) are rotations (...), to the rounding of networks and files."""
    first, second, third = matrix.unbind(-2)
    square = torch.stack([first.square().sum(-1) - 1, second.square().sum(-1) - 1, (first * second).sum(-1)], -1)
    off = torch.cat([square, torch.linalg.cross(first, second) - third], -1)
    return off.abs().amax(-1) < _ROTATION_TOLERANCE


def _fit_width(neutral: Tensor, value: Tensor) -> Tensor:
    """Neutral values in the shape of `value`, for coefficient vectors of another length."""
    return neutral if neutral.shape == value.shape else torch.zeros_like(value)

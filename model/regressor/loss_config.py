"""Weights of the loss, and which observations count."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

_NO_WEIGHTS = ("min_score", "invalid_parts_in_2d", "local_frames")
_POINTS_3D, _POINTS_2D = ("body_3d", "hand_3d", "face_3d", "face_form"), ("body_2d", "hand_2d", "face_2d")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """Weight of every term of ``model.regressor.losses`` and of ``model.regressor.unseen``; how points are compared."""

    global_orient: float = 0.001
    """Pelvis."""
    body_pose: float = 0.001
    """21 body joints."""
    betas: float = 0.0005
    """SMPL-X shape."""
    hand_pose: float = 0.001
    """15 joints of either hand."""
    head_orient: float = 0.001
    """The head's rotation in the camera frame."""
    jaw_pose: float = 0.001
    """Jaw."""
    eye_pose: float = 0.001
    """Both eyes."""
    eyelids: float = 0.001
    """Both eyelids."""
    flame_shape: float = 0.001
    """FLAME shape."""
    flame_expression: float = 0.001
    """FLAME expression."""
    head_scale: float = 0.001
    """Scale of the head."""
    body_3d: float = 0.05
    """Joints and feet, metres."""
    hand_3d: float = 0.05
    """Points of either hand, metres."""
    face_3d: float = 0.05
    """Points of the face, metres."""
    face_form: float = 0.0
    """Points of the face without their place, turn and size, which is 1: what a picture of the face alone shows."""
    body_2d: float = 0.01
    """Body and feet, sides of the crop."""
    hand_2d: float = 0.01
    """Points of either hand, sides of the crop."""
    face_2d: float = 0.01
    """Points of the face, sides of the crop."""
    unseen: float = 0.0
    """What a crop does not show: it is pulled towards the mean parameters, and points of what is shown do not turn it
    (at 0 they do). Not in the paper."""
    min_score: float = 0.0
    """2D points that score this or less do not count."""
    invalid_parts_in_2d: bool = False
    """Do observed 2D points count of parts whose 3D may not supervise."""
    local_frames: bool = False
    """Compare 3D points as the joint they hang on sees them, not as the camera does: pose apart from the turn of the
    pelvis, wrist or head. While that turn is unknown, the camera's view of a limb teaches its median, not its pose."""

    def __post_init__(self) -> None:
        for name in WEIGHT_NAMES:
            weight = getattr(self, name)
            if not 0 <= weight < float("inf"):
                raise ValueError(f"{name}: expected a weight of 0 or more, got {weight}")
        if not any(getattr(self, name) for name in WEIGHT_NAMES):
            raise ValueError("all weights of the loss are 0: nothing would be learnt")
        if not 0 <= self.min_score < 1:
            raise ValueError(f"min_score: expected 0 or more and below 1, got {self.min_score}")

    @property
    def reaches_every_readout(self) -> bool:
        """Whether each read-out of the network has a term of its own: every parameter, and points for the camera."""
        own = [name for name in WEIGHT_NAMES if name not in (*_POINTS_3D, *_POINTS_2D, "unseen")]
        return all(getattr(self, name) for name in own) and any(getattr(self, name) for name in _POINTS_2D)

    def weight_of(self, term: str) -> float:
        """Weight of a term of the table; left and right hand share one."""
        return getattr(self, term.replace("left_", "").replace("right_", ""))


WEIGHT_NAMES = tuple(field.name for field in dataclasses.fields(LossConfig) if field.name not in _NO_WEIGHTS)
"""Settings that are weights of terms."""

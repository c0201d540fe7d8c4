"""People who move: smooth paths through sampled poses.

World: x right, y down, z forward, metres, as the frame of a level camera; the floor is y = 0.

Legend: K drawn poses, F frames.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from model.body.ehms import EHMs
from model.body.joint_limits import JOINT_LIMITS_RAD
from model.body.skeleton import SMPLX_JOINT_NAMES
from model.renderer.people import RestShape
from tasks.posing import pose_bodies
from tasks.synthetic.paths import path_through
from tasks.synthetic.pose import FACING_CAMERA, SHAPE, SampledPerson, sample_person

KEY_EVERY = 15
"""Frames from one drawn pose to the next: a step of somebody who walks."""
_CHANGE = 0.6
"""How far a drawn pose is gone to from the first: all the way, people would sit down and leap up within a second."""
_STRIDE_RAD = 0.35
"""Of a hip, forwards and back."""
_WHOLE = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""Crop shares: all of the person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """Where somebody goes, seen from above."""

    start_xz_m: tuple[float, float]
    """To the right and forwards, where the clip begins."""
    end_xz_m: tuple[float, float]
    """The same where it ends."""
    yaw_rad: float
    """Where they face: 0 is against z, a quarter turn to the right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """One person over F frames."""

    parameters: Mapping[str, np.ndarray]
    """Label column -> (F, ...) float32, the place among them; world frame."""

    def at(self, frame: int) -> dict[str, np.ndarray]:
        """Parameters at a frame."""
        return {name: values[frame] for name, values in self.parameters.items()}


def draw_motion(rng: np.random.Generator, frames: int, walk: Walk, ehm: EHMs, rest: RestShape) -> Motion:
    """Draws a person who walks and turns, moves hands and face; lowest where drawn, the feet then are on the floor.

    Args:
        rng: Everything random comes from it.
        frames: F.
        walk: Where they go.
        ehm: The body model.
        rest: The same body at rest.
    """
    count = max(3, math.ceil((frames - 1) / KEY_EVERY) + 1)
    first, *others = (sample_person(rng, rest.joints_m, _WHOLE) for _ in range(count))
    drawn = {name: _towards(first, others, name) for name in first.parameters}
    _stride(drawn["body_pose"], float(rng.choice([-1.0, 1.0])))
    turn = walk.yaw_rad + rng.normal(0.0, 0.25, count)
    tilt = rng.normal(0.0, 0.06, (count, 3))
    drawn["global_orient"] = _upright(turn, tilt).as_rotvec()
    way = np.linspace(walk.start_xz_m, walk.end_xz_m, frames)
    posed = pose_bodies(ehm, {name: values.astype(np.float32) for name, values in drawn.items()})
    lowest = posed.vertices[..., 1].numpy().max(1) - posed.joints[:, 0, 1].numpy()

    paths = {name: path_through(values, KEY_EVERY, frames) for name, values in drawn.items()}
    paths["global_orient"] = _upright(*(path_through(values, KEY_EVERY, frames) for values in (turn, tilt))).as_rotvec()
    paths["body_pose"] = np.clip(paths["body_pose"], JOINT_LIMITS_RAD[..., 0], JOINT_LIMITS_RAD[..., 1])
    paths["eyelids"] = np.clip(paths["eyelids"], 0.0, 1.0)
    paths["transl_m"] = np.stack([way[:, 0], -path_through(lowest, KEY_EVERY, frames), way[:, 1]], 1)
    parameters = {name: values.astype(np.float32) for name, values in paths.items()}
    parameters |= {name: np.repeat(first.parameters[name][None], frames, 0) for name in SHAPE}
    return Motion(parameters=parameters)


def _towards(first: SampledPerson, others: list[SampledPerson], name: str) -> np.ndarray:
    """(K, ...) parameters of a person who goes from the first pose towards others."""
    change = 0.0 if name in SHAPE else _CHANGE
    own = first.parameters[name].astype(np.float64)
    return np.stack([own, *(own + change * (other.parameters[name] - own) for other in others)])


def _stride(body_pose: np.ndarray, side: float) -> None:
    """Makes the legs of poses (K, 21, 3) those of somebody who walks, in place: another leg is forward each time."""
    forward = side * (-1.0) ** np.arange(len(body_pose)) * _STRIDE_RAD
    for name, sign in (("left", -1.0), ("right", 1.0)):
        hip, knee = (SMPLX_JOINT_NAMES.index(f"{name}_{joint}") - 1 for joint in ("hip", "knee"))
        body_pose[:, hip] *= 0.2
        body_pose[:, hip, 0] = sign * forward
        body_pose[:, knee, 0] = 0.1 + np.maximum(0.0, -sign * forward)


def _upright(turn_rad: np.ndarray, tilt: np.ndarray) -> Rotation:
    """Root rotations of people who are turned about the vertical axis (N,) and tilted a little (N, 3)."""
    vertical = Rotation.from_rotvec(np.stack([0.0 * turn_rad, turn_rad, 0.0 * turn_rad], 1))
    return FACING_CAMERA * vertical * Rotation.from_rotvec(tilt)

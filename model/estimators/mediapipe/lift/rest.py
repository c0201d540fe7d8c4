"""The rest skeleton that the inverse kinematics turns: joints and surface points of a body model at rest."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.estimators.base import Array

SIDES = ("left", "right")
FINGERS = ("thumb", "index", "middle", "ring", "pinky")


@dataclass(frozen=True, kw_only=True, slots=True)
class RestSkeleton:
    """Rest positions in metres, model axes (y up, z out of the chest, +x = the person's left)."""

    joints: Array
    """(55, 3) SMPL-X joints."""
    face: Array
    """(51, 3) inner face landmarks in the order of the 68 without the jaw line."""
    points: dict[str, Array]
    """Named surface points (3,): nose, left_eye, ..., left_big_toe, left_heel, left_thumb (tip), ..."""
    hands_mean: Array
    """(2, 15, 3) rotation vectors of a relaxed left and right hand."""


def from_assets(assets: Any) -> RestSkeleton:
    """Builds the skeleton of a body model's mean shape from its ``BodyAssets``."""
    vertices = np.asarray(assets.v_template, dtype=float)
    corners = vertices[np.asarray(assets.landmark_vertices)]
    weights = np.asarray(assets.landmark_weights, dtype=float)
    mean = np.zeros((2, 45)) if assets.hands_mean is None else np.asarray(assets.hands_mean, dtype=float)
    return RestSkeleton(
        joints=np.asarray(assets.joint_regressor, dtype=float) @ vertices,
        face=(corners * weights[..., None]).sum(1),
        points={name: vertices[index] for name, index in assets.keypoint_vertices.items()},
        hands_mean=mean.reshape(2, 15, 3),
    )


@functools.lru_cache(maxsize=1)
def open_skeleton() -> RestSkeleton:
    """Returns the rest skeleton of the open body."""
    from model.body.assets import load_open_body

    return from_assets(load_open_body().smplx)

"""Where the people of labels are in the world of their group.

Legend: N rows. The camera frame is x right, y down, z forward; what the axes of a world are, its data set decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Placed(NamedTuple):
    """Camera frames in a world."""

    rotation: np.ndarray
    """(N, 3, 3) from camera to world."""
    centre_m: np.ndarray
    """(N, 3) where the cameras are."""

    @classmethod
    def of(cls, world_to_camera: np.ndarray) -> Placed:
        """The frames of extrinsics (N, 3, 4); where one is not known (NaN) the camera is the world of all rows."""
        if not np.isfinite(world_to_camera).all():
            count = len(world_to_camera)
            return cls(np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))
        matrices = np.asarray(world_to_camera, np.float64)
        rotation = matrices[:, :, :3].transpose(0, 2, 1)
        return cls(rotation, -(rotation @ matrices[:, :, 3:])[..., 0])

    def to_world(self, points_cam: np.ndarray) -> np.ndarray:
        """Points (N, P, 3) of the camera frames in the world, metres."""
        return np.asarray(points_cam, np.float64) @ self.rotation.transpose(0, 2, 1) + self.centre_m[:, None]


def up_axis(rotation: np.ndarray) -> np.ndarray:
    """The axis (3,) of a world that points up: the one nearest to what is up in its cameras, which stand upright.

    Args:
        rotation: (N, 3, 3) from camera to world, of all cameras that there are.
    """
    up = -rotation[:, :, 1].mean(0)
    axis = int(np.abs(up).argmax())
    return np.eye(3)[axis] * np.sign(up[axis])


def z_up(up: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that brings an axis to z, the shortest; a camera's own `up` (0, -1, 0) gives x right, y
    forward."""
    x, y, z = np.asarray(up, np.float64)
    if z < -0.5:  # Half a turn, about x.
        return np.diag([1.0, -1.0, -1.0])
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])  # of up x z
    return np.eye(3) + cross + cross @ cross / (1 + z)

"""A motion as BVH: the skeleton of 55 joints and its rotations. Centimetres, y up, as programs for animation expect.

Offsets are those of the shaped person at rest, in a T pose. A file has no place for anything else.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from model.body import skeleton
from model.body.ehms import EHMs
from tasks.export.motion import Motion
from tasks.export.rest import rest_of
from tasks.export.y_up import Y_UP_FROM_Z_UP

CM = 100.0
ORDER = "ZXY"
"""Of the rotations, each about the axes that the ones before have turned. The middle one, which must stay below 90
degrees for the others to be told apart, is that of nodding: few joints come near."""
_POSITION = "Xposition Yposition Zposition"
_ROTATION = " ".join(f"{axis}rotation" for axis in ORDER)
_TIP = 0.5
"""Length of the last bone of a chain, in those of the one before."""


def encode(motion: Motion, body: EHMs) -> bytes:
    """The file."""
    joints = CM * rest_of(body, motion.parameters).joints
    order: list[int] = []
    lines = ["HIERARCHY", *_hierarchy(joints, 0, "", order)]
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1 / motion.rate_hz:.8f}"]
    rotations = motion.parameters.local_rotations().double().numpy()
    rotations[:, 0] = Y_UP_FROM_Z_UP @ rotations[:, 0]
    place = CM * motion.parameters.known("transl_m").double().numpy() @ Y_UP_FROM_Z_UP.T
    values = np.column_stack([place, _angles(rotations[:, order]).reshape(len(motion), -1)])
    lines += [" ".join(f"{value:.5f}" for value in row) for row in values.tolist()]
    return ("\n".join(lines) + "\n").encode()


def _hierarchy(joints: np.ndarray, joint: int, indent: str, order: list[int]) -> Iterator[str]:
    """The lines of a joint and of all below it, whose numbers are added in the order of the channels."""
    order.append(joint)
    parent = skeleton.SMPLX_PARENTS[joint]
    children = [k for k, above in enumerate(skeleton.SMPLX_PARENTS) if above == joint]
    offset = joints[joint] - joints[parent] if parent >= 0 else np.zeros(3)
    yield f"{indent}{'JOINT' if parent >= 0 else 'ROOT'} {skeleton.SMPLX_JOINT_NAMES[joint]}"
    yield f"{indent}{{"
    inner = f"{indent}  "
    yield f"{inner}OFFSET {_numbers(offset)}"
    channels = _ROTATION if parent >= 0 else f"{_POSITION} {_ROTATION}"
    yield f"{inner}CHANNELS {len(channels.split())} {channels}"
    for child in children:
        yield from _hierarchy(joints, child, inner, order)
    if not children:
        yield from (f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET {_numbers(_TIP * offset)}", f"{inner}}}")
    yield f"{indent}}}"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.5f}" for value in values.tolist())


def _angles(rotations: np.ndarray) -> np.ndarray:
    """Rotations (T, J, 3, 3) -> degrees (T, J, 3) that go on from frame to frame without leaps of a turn."""
    flat = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_euler(ORDER, degrees=True)
    return np.unwrap(flat.reshape(*rotations.shape[:2], 3), period=360.0, axis=0)

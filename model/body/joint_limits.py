"""How far body joints bend: one table for the priors of the fit and for people drawn at random."""

import numpy as np
from numpy.typing import NDArray

from model.body.skeleton import NUM_BODY_JOINTS, SMPLX_JOINT_NAMES

_WIDE = ((-1.2, 1.2),) * 3
_STIFF = ((-0.7, 0.7),) * 3
_HIP = ((-2.2, 1.0), (-1.0, 1.0), (-1.0, 1.0))
_KNEE = ((-0.08, 2.5), (-0.4, 0.4), (-0.4, 0.4))
_SHOULDER = ((-1.8, 1.8), (-2.0, 2.0), (-1.9, 1.9))
_LIMITS_RAD = {
    **dict.fromkeys(("left_hip", "right_hip"), _HIP),
    **dict.fromkeys(("left_knee", "right_knee"), _KNEE),
    **dict.fromkeys(("spine1", "spine2", "spine3", "left_foot", "right_foot", "left_collar", "right_collar"), _STIFF),
    **dict.fromkeys(("left_shoulder", "right_shoulder"), _SHOULDER),
    "left_elbow": ((-0.8, 0.8), (-2.5, 0.08), (-0.5, 0.5)),
    "right_elbow": ((-0.8, 0.8), (-0.08, 2.5), (-0.5, 0.5)),
}
"""Joints that are not named have the wide limits."""

JOINT_LIMITS_RAD: NDArray[np.float64] = np.array(
    [_LIMITS_RAD.get(name, _WIDE) for name in SMPLX_JOINT_NAMES[1 : NUM_BODY_JOINTS + 1]]
)
"""(21, 3, 2) lowest and highest value of each axis-angle component of SMPL-X joints 1..21.

Knees bend about +x, the left elbow about -y and the right one about +y, and neither bends backwards by more than 5
degrees. Spine, collars and feet stay within 40 degrees an axis; neck, head, ankles and wrists within 69, so that neck
and head together turn as far as people can.
"""

"""Index tables: MediaPipe's 33 pose, 468 face and 21 hand landmarks against the 133 COCO-WholeBody keypoints.

Sources: the landmark charts of MediaPipe Pose, Face Mesh and Hands; the COCO-WholeBody annotation format. Hands have
the same order on both sides.
"""

from __future__ import annotations

import numpy as np

SMALL_TOES = (18, 21)
"""Keypoints that MediaPipe does not have."""

POSE_OF_BODY = np.array([0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28, 31, 31, 29, 32, 32, 30])
"""Pose landmark of each of the 23 body and foot keypoints; the small toes' entries are placeholders."""

POSE_FLIP = np.array(
    [
        *(0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21),
        *(24, 23, 26, 25, 28, 27, 30, 29, 32, 31),
    ]
)
"""Left-right swap of the 33 pose landmarks."""

FACE_OF_68 = np.array(
    [
        *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
        *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
        *(168, 197, 5, 4, 75, 97, 2, 326, 305),
        *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
        *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
        *(78, 82, 13, 312, 308, 317, 14, 87),
    ]
)
"""Face-mesh landmark of each of the 68 face keypoints; the jaw line approximates the silhouette."""

LEFT_ARM = (11, 13, 15, 17, 19)
RIGHT_ARM = (12, 14, 16, 18, 20)
"""Pose landmarks: shoulder, elbow, wrist, little-finger knuckle, index knuckle."""
LEFT_LEG = (23, 25, 27, 29, 31)
RIGHT_LEG = (24, 26, 28, 30, 32)
"""Pose landmarks: hip, knee, ankle, heel, big toe."""

"""Small videos for tests."""

from pathlib import Path

import cv2
import numpy as np

FPS, SIZE = 10, (96, 64)
STEP = 12
"""Grey levels between two frames."""


def write_video(path: Path, num_frames: int = 20, code: str = "MJPG") -> Path:
    """Frame i is i * STEP grey, its left half red only."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), FPS, SIZE)
    assert writer.isOpened()
    for i in range(num_frames):
        frame = np.full((SIZE[1], SIZE[0], 3), i * STEP, np.uint8)
        frame[:, : SIZE[0] // 2, :2] = 0
        writer.write(frame)
    writer.release()
    return path

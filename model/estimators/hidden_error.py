"""What the keypoints of a source are off by together, which no residual shows.

A fit meets such keypoints as well as exact ones, so its own figures promise too much. A keypoint backend whose hidden
error is known states it with every person, as an evidence array; the expected errors of the parts, and with them their
qualities, take it into account. A backend that says nothing has none as far as is known.
"""

from __future__ import annotations

import numpy as np

from model.estimators.base import Array

HIDDEN_EVIDENCE = "hidden_error_mm"
"""Name of the evidence array (P, 4): body, left hand, right hand, face."""
MEDIAPIPE_MM = (0.0, 2.77, 2.77, 0.93)
"""MediaPipe's, from 187 rendered people of all crops (`benchmarks.quality_fit`). That of bodies is none beyond what the
stated sigma of their keypoints tells (`fitting.quality.BODY`)."""


def hidden_error(error_mm: tuple[float, float, float, float], num_people: int) -> dict[str, Array]:
    """The statement as an evidence array of (P,) people."""
    return {HIDDEN_EVIDENCE: np.tile(np.array(error_mm, np.float32), (num_people, 1))}

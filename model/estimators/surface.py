"""Where a source of keypoints puts hips and shoulders: places on the body that are not the model's joints.

A keypoint backend that knows states it with every person, as two evidence arrays; the refinement then lets the four
keypoints lie off the joints instead of weighing them down. A backend that says nothing means the joints themselves.

Six numbers a statement: hip, then shoulder; outwards, up and to the front, in metres and in the frame of the parent
bone (pelvis, collar) of a body in its rest pose. Left and right mirror each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.estimators.base import Array

OFFSET_EVIDENCE, SIGMA_EVIDENCE = "surface_offset_m", "surface_sigma_m"
"""Names of the evidence arrays (P, 6)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfacePlaces:
    """How one source of keypoints differs from the joints of the body model."""

    offset_m: tuple[float, float, float, float, float, float]
    """Mean place of the hip and the shoulder keypoint from its joint."""
    hip_sigma_m: float
    """Standard deviation of an axis of the hip over people."""
    shoulder_sigma_m: float
    """Of the shoulder."""

    def evidence(self, num_people: int) -> dict[str, Array]:
        """The statement as evidence arrays of (P,) people."""
        sigma_m = np.array([self.hip_sigma_m, self.shoulder_sigma_m], np.float32)
        return {
            OFFSET_EVIDENCE: np.tile(np.array(self.offset_m, np.float32), (num_people, 1)),
            SIGMA_EVIDENCE: np.tile(np.repeat(sigma_m, 3), (num_people, 1)),
        }


COCO_ANNOTATORS = SurfacePlaces(offset_m=(0.0, 0.0, 0.0, -0.009, 0.012, 0.0), hip_sigma_m=0.015, shoulder_sigma_m=0.015)
"""People who mark COCO photos, and networks trained on them. From 12 annotated people fitted with free offsets: hips at
the joints of the open body within a centimetre, shoulders 0.8 cm further in and 1.4 cm up, as for `MEDIAPIPE`."""
MEDIAPIPE = SurfacePlaces(offset_m=(-0.014, 0.0, 0.028, -0.010, 0.012, 0.005), hip_sigma_m=0.03, shoulder_sigma_m=0.015)
"""MediaPipe's pose network, against the joints of the open body: robust least squares on 716 points of 200 rendered
people, standard errors of 1-1.5 mm; what remains of a point spreads by 1.4 (shoulders) and 1.7 cm (hips) an axis,
its noise included, where it was 1.7 and 2.9 cm about the joints.

Hips of real people are another matter, since rendered ones have this body's own proportions: of 27 views of people in a
studio of many cameras, triangulated, hips lie lower on the body than the 1.3 cm above the joints that rendered ones
have, and legs that look too short lean towards the camera. Hips are thus at the joints' height, known to 3 cm."""

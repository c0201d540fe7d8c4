"""Face estimator: head orientation, jaw opening and eyelids from the dense face landmarks.

Shape and expression stay zero: the refinement finds them from the keypoints. Where the eyes look is not read.
"""

from __future__ import annotations

import math

import numpy as np

from model.body.skeleton import JAW
from model.estimators.base import Array, FaceOutput, PersonBatch
from model.estimators.mediapipe.body import face_points
from model.estimators.mediapipe.lift.rest import RestSkeleton
from model.estimators.mediapipe.lift.so3 import CAMERA_FROM_MODEL, kabsch
from model.estimators.mediapipe.part import MediapipePart
from model.estimators.mediapipe.search.person import face_accepted, face_details
from model.estimators.refusals import refused
from model.estimators.registry import register

INNER_LIPS = (13, 14)
"""Face-mesh landmarks: middle of the upper and of the lower lip, inside."""
EYE_CORNERS = (33, 263)
"""Face-mesh landmarks: outer corners of the right and left eye."""
EYES = (((386, 374), (385, 380), (263, 362)), ((159, 145), (158, 153), (33, 133)))
"""Left and right eye: two pairs of upper and lower lid, then outer and inner corner."""
REST_EYE_CORNERS, REST_UPPER_LIP, REST_LOWER_LIP = (19, 28), 45, 49
"""Rest face landmarks among the 51."""
MAX_JAW_RAD = 0.6
OPEN_EYE, CLOSED_EYE = 0.25, 0.08
"""Height of the eye's opening against its width, open and closed."""
SIGMA_RAD = math.radians(6)
"""Standard deviation of the head's orientation."""


def jaw_opening_rad(rest: RestSkeleton, mesh: Array) -> float:
    """Angle of the jaw that opens the lips of a (468, 3) mesh as far as seen.

    Distances are taken in 3D, so that a nod does not open the mouth; the eyes' outer corners give the scale.
    """
    width = float(np.linalg.norm(mesh[EYE_CORNERS[0]] - mesh[EYE_CORNERS[1]]))
    rest_width = float(np.linalg.norm(rest.face[REST_EYE_CORNERS[0]] - rest.face[REST_EYE_CORNERS[1]]))
    gap_m = float(np.linalg.norm(mesh[INNER_LIPS[0]] - mesh[INNER_LIPS[1]])) * rest_width / max(width, 1e-6)
    rest_gap_m = float(np.linalg.norm(rest.face[REST_UPPER_LIP] - rest.face[REST_LOWER_LIP]))
    radius_m = float(np.linalg.norm(rest.face[REST_LOWER_LIP] - rest.joints[JAW]))
    sine = np.clip((gap_m - rest_gap_m) / (2 * radius_m), 0, 1)
    return float(min(2 * math.asin(sine), MAX_JAW_RAD))


def eyelids_closed(mesh: Array) -> Array:
    """Closure (2,) of the left and right eye of a (468, 3) mesh, 0 open to 1 closed."""
    out = []
    for *lids, (outer, inner) in EYES:
        width = float(np.linalg.norm(mesh[outer] - mesh[inner]))
        height = float(np.mean([np.linalg.norm(mesh[upper] - mesh[lower]) for upper, lower in lids]))
        out.append((OPEN_EYE - height / max(width, 1e-6)) / (OPEN_EYE - CLOSED_EYE))
    return np.clip(out, 0, 1)


@register("face", "mediapipe")
class MediapipeFace(MediapipePart):
    """Head, jaw and eyelids from MediaPipe's face mesh."""

    def estimate(self, batch: PersonBatch) -> FaceOutput:
        """Estimates one row a person; a face that was not found stays neutral and invalid."""
        num = len(batch)
        evidence = self.evidence(batch, face=True)
        valid = face_accepted(evidence)
        jaw, eyelids = np.zeros((num, 3)), np.zeros((num, 2))
        orient = np.tile(CAMERA_FROM_MODEL, (num, 1, 1))
        for i in np.flatnonzero(valid).tolist():
            mesh = evidence["face_px"][i].astype(float)
            jaw[i, 0] = jaw_opening_rad(self._rest, mesh)
            eyelids[i] = eyelids_closed(mesh)
            points = face_points(evidence, i, float(batch.focal_px[i]), batch.principal_px[i])
            orient[i] = CAMERA_FROM_MODEL @ kabsch(self._rest.face, points)
        return FaceOutput(
            valid=valid,
            score=np.where(valid, np.nan_to_num(evidence["face_score"]), 0.0),
            flame_shape=np.zeros((num, 10)),
            flame_expression=np.zeros((num, 10)),
            jaw_pose=jaw,
            eye_pose=np.zeros((num, 6)),
            eyelids=eyelids,
            eyes_valid=np.zeros(num, dtype=bool),
            eyelids_valid=valid,
            head_orient=orient,
            sigma_rad=np.full(num, SIGMA_RAD),
            reasons=[refused(detail) for detail in face_details(evidence)],
        )

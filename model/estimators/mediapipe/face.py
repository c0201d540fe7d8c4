"""Face estimator: head orientation, jaw opening and eyelids from the dense face landmarks, gaze from the irises.

Shape and expression stay zero: the refinement finds them from the keypoints.
"""

from __future__ import annotations

import math

import numpy as np

from model.body.skeleton import JAW
from model.estimators.base import Array, FaceOutput, PersonBatch
from model.estimators.mediapipe.body import INNER_FACE_OF_51, face_points
from model.estimators.mediapipe.lift.gaze import find_gaze, turned_away_rad
from model.estimators.mediapipe.lift.rest import RestSkeleton
from model.estimators.mediapipe.lift.so3 import CAMERA_FROM_MODEL, kabsch, log, swing
from model.estimators.mediapipe.part import MediapipePart
from model.estimators.mediapipe.search.eyes import CORNERS_OF_MESH, read_eyes
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
MIN_EYE_PX = 12.0
"""Least width of an eye whose gaze is read; the wider of the two counts."""
MAX_TURNED_RAD = math.radians(40)
"""Farthest turn of a head to the side whose gaze is read: beyond, one eye is seen edge-on."""
MIN_OPENING = 0.2
"""Least mean height of the eyes against their width, by the iris network: the mesh takes many closed eyes for open."""
MAX_DISAGREEMENT = 0.55
"""Most that the two eyes may differ, see ``Gaze``: where they do, hair, hands or glasses hide one."""
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


def eyes_shown(mesh: Array, head: Array, width_px: int, height_px: int) -> bool:
    """Whether a photo shows both eyes of a face, large enough.

    Args:
        mesh: (468, 3) landmarks, px.
        head: (3, 3) rotation of the head, model axes, as a camera that looks straight at it sees it.
        width_px: Of the photo.
        height_px: Of the photo.
    """
    corners = mesh[np.array(CORNERS_OF_MESH), :2]
    inside = bool(((corners >= 0) & (corners < [width_px, height_px])).all())
    eye_px = float(np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1).max())
    return inside and eye_px >= MIN_EYE_PX and turned_away_rad(head) <= MAX_TURNED_RAD


@register("face", "mediapipe")
class MediapipeFace(MediapipePart):
    """Head, jaw, eyelids and gaze from MediaPipe's face mesh and irises."""

    def estimate(self, batch: PersonBatch) -> FaceOutput:
        """Estimates one row a person; a face that was not found stays neutral and invalid."""
        num = len(batch)
        evidence = self.evidence(batch, face=True)
        valid = face_accepted(evidence)
        jaw, eyelids, eyes = np.zeros((num, 3)), np.zeros((num, 2)), np.zeros((num, 2, 3))
        eyes_valid = np.zeros(num, dtype=bool)
        orient = np.tile(CAMERA_FROM_MODEL, (num, 1, 1))
        for i in np.flatnonzero(valid).tolist():
            mesh = evidence["face_px"][i].astype(float)
            jaw[i, 0] = jaw_opening_rad(self._rest, mesh)
            eyelids[i] = eyelids_closed(mesh)
            points = face_points(evidence, i, float(batch.focal_px[i]), batch.principal_px[i])
            orient[i] = CAMERA_FROM_MODEL @ kabsch(self._rest.face, points)
            turn = self._eye_turn(batch.images[i], mesh)
            if turn is not None:
                eyes[i], eyes_valid[i] = turn, True
        return FaceOutput(
            valid=valid,
            score=np.where(valid, np.nan_to_num(evidence["face_score"]), 0.0),
            flame_shape=np.zeros((num, 10)),
            flame_expression=np.zeros((num, 10)),
            jaw_pose=jaw,
            eye_pose=eyes.reshape(num, 6),
            eyelids=eyelids,
            eyes_valid=eyes_valid,
            eyelids_valid=valid,
            head_orient=orient,
            sigma_rad=np.full(num, SIGMA_RAD),
            reasons=[refused(detail) for detail in face_details(evidence)],
        )

    def _eye_turn(self, rgb: Array, mesh: Array) -> Array | None:
        """Rotation vector (3,) of both eyes in the head, None where the photo does not show it."""
        head = kabsch(self._rest.face, mesh[INNER_FACE_OF_51] @ CAMERA_FROM_MODEL)
        if not eyes_shown(mesh, head, rgb.shape[1], rgb.shape[0]):
            return None
        eyes = read_eyes(self._networks, rgb, mesh)
        corners, lids, irises = (np.stack([getattr(eye, name) for eye in eyes]) for name in ("corners", "lids", "iris"))
        width_px, height_px = (np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) for ends in (corners, lids))
        gaze = find_gaze(self._rest, head, corners, irises)
        if np.mean(height_px / np.maximum(width_px, 1e-6)) < MIN_OPENING or gaze.disagreement > MAX_DISAGREEMENT:
            return None
        return log(swing(np.array([0.0, 0.0, 1.0]), gaze.direction))

"""Which faces are believed."""

# pyright: reportOptionalMemberAccess=false, reportOperatorIssue=false
from dataclasses import replace

import numpy as np
import pytest
from mediapipe_package import need_mediapipe

from model.estimators.mediapipe.graphs.runner import networks
from model.estimators.mediapipe.search.detector import DetectorConfig, find_candidates
from model.estimators.mediapipe.search.face_landmarks import (
    LEFT_EYE,
    LEFT_EYE_OUTER,
    MIN_EYES,
    RIGHT_EYE,
    RIGHT_EYE_OUTER,
    eyes_along,
    face_detail,
)
from model.estimators.mediapipe.search.hand_landmarks import HandConfig
from model.estimators.mediapipe.search.person import face_accepted, face_details, read_parts, to_evidence
from model.estimators.mediapipe.search.pose import from_detection

need_mediapipe()
NAN = float("nan")


def eyes_of(mesh_eye_px, pose_eye_px):
    """Agreement of a mesh and a pose whose eyes lie at +- the given places about one centre."""
    mesh, pose = np.zeros((468, 3)), np.zeros((33, 5))
    mesh[LEFT_EYE_OUTER, :2], mesh[RIGHT_EYE_OUTER, :2] = np.array(mesh_eye_px), -np.array(mesh_eye_px)
    pose[LEFT_EYE, :2], pose[RIGHT_EYE, :2] = np.array(pose_eye_px), -np.array(pose_eye_px)
    return eyes_along(mesh, pose)


@pytest.mark.parametrize(
    ("mesh", "pose", "agreement"),
    [
        ((30, 0), (21, 0), 0.7),
        ((0, 30), (0, 21), 0.7),
        ((30, 0), (-21, 0), -0.7),
        ((30, 0), (0, 21), 0.0),
        ((300, 0), (210, 0), 0.7),
    ],
)
def test_eyes_agree_by_direction_and_length(mesh, pose, agreement):
    assert eyes_of(mesh, pose) == pytest.approx(agreement)


@pytest.mark.parametrize(
    ("score", "offset", "eyes", "said"),
    [
        (0.99, 0.1, 0.7, None),
        (0.99, 0.1, NAN, None),
        (NAN, NAN, NAN, "no head was found"),
        (0.4, 0.1, 0.7, "score 0.40, needed 0.5"),
        (0.99, 0.5, 0.7, "50 % of its height"),
        (0.99, 0.1, -0.28, "-28 % as far apart along the face's, needed 25 %"),
    ],
)
def test_what_is_said_against_a_face_has_its_figure_and_the_limit(score, offset, eyes, said):
    detail = face_detail(score, offset, eyes)
    assert detail is None if said is None else said in detail


def test_a_face_on_the_back_of_a_head_is_refused():
    rgb = np.ascontiguousarray(pytest.importorskip("skimage.data").astronaut())
    (person, *_) = find_candidates(networks(), rgb, (1, 2), DetectorConfig())
    pose = from_detection(networks(), rgb, person)
    assert pose is not None
    frontal = read_parts(networks(), rgb, pose, HandConfig(), hands=False)
    assert frontal.has_face()
    assert frontal.face_eyes > MIN_EYES
    turned = frontal.pose.landmarks.copy()
    turned[[LEFT_EYE, RIGHT_EYE]] = turned[[RIGHT_EYE, LEFT_EYE]]
    behind = replace(frontal, face_eyes=eyes_along(frontal.face.landmarks, turned))
    assert not behind.has_face()
    evidence = to_evidence([frontal, behind, None])
    np.testing.assert_array_equal(face_accepted(evidence), [True, False, False])
    assert face_details(evidence)[0] is None
    assert "the body's eyes are" in face_details(evidence)[1]

"""The landmarks of a known skeleton, seen as MediaPipe would give them, must lead back to the skeleton."""

import numpy as np
import pytest

from model.body.skeleton import SMPLX_PARENTS, WRISTS
from model.estimators.mediapipe.hands import FINGER_LANDMARKS, solve_fingers
from model.estimators.mediapipe.lift import so3
from model.estimators.mediapipe.lift.kinematics import FIRST_FINGER, palm_orientation, solve
from model.estimators.mediapipe.lift.rest import SIDES, open_skeleton

LIMBS = [(16, 18), (18, 20), (17, 19), (19, 21), (1, 4), (4, 7), (2, 5), (5, 8)]
LANDMARK_OF_JOINT = {16: 11, 17: 12, 18: 13, 19: 14, 20: 15, 21: 16, 1: 23, 2: 24, 4: 25, 5: 26, 7: 27, 8: 28}
FLIP = np.diag([-1.0, 1.0, 1.0])
VISIBLE = np.ones(33)


def forward(rest, local):
    """Global rotations and positions (22, ...) of joints 0..21."""
    G, X = [local[0]], [rest.joints[0]]
    for j in range(1, 22):
        parent = SMPLX_PARENTS[j]
        G.append(G[parent] @ local[j])
        X.append(X[parent] + G[parent] @ (rest.joints[j] - rest.joints[parent]))
    return np.stack(G), np.stack(X)


def landmarks(rest, G, X):
    out = np.zeros((33, 3))

    def on(joint, point):
        return X[joint] + G[joint] @ (point - rest.joints[joint])

    for joint, landmark in LANDMARK_OF_JOINT.items():
        out[landmark] = X[joint]
    for side, name in enumerate(SIDES):
        out[29 + side] = on(7 + side, rest.points[f"{name}_heel"])
        out[31 + side] = on(7 + side, rest.points[f"{name}_big_toe"])
        first = FIRST_FINGER[side]
        out[17 + side] = on(WRISTS[side], rest.joints[first + 6])
        out[19 + side] = on(WRISTS[side], rest.joints[first])
        out[7 + side] = on(15, rest.points[f"{name}_ear"])
        out[2 + 3 * side] = on(15, rest.points[f"{name}_eye"])
        out[9 + side] = on(15, rest.face[(37, 31)[side]])
    out[0] = on(15, rest.points["nose"])
    return out


def random_pose(seed, *, root=2.0):
    random = np.random.default_rng(seed)
    local = [np.eye(3) for _ in range(22)]
    local[0] = so3.exp(random.normal(scale=root, size=3))
    for side, sign in ((0, 1), (1, -1)):
        local[16 + side] = so3.exp(random.normal(scale=0.5, size=3))
        local[18 + side] = so3.exp(np.array([0.0, -sign * random.uniform(0.3, 1.8), 0.0]))
        local[1 + side] = so3.exp(random.normal(scale=[0.5, 0.2, 0.2]))
        local[4 + side] = so3.exp(np.array([random.uniform(0.3, 1.5), 0.0, 0.0]))
        local[7 + side] = so3.exp(np.array([random.uniform(-0.3, 0.3), 0.0, 0.0]))
    local[15] = so3.exp(random.normal(scale=0.2, size=3))
    return local


@pytest.mark.parametrize("seed", range(12))
def test_limbs_point_as_in_the_pose_that_made_the_landmarks(seed):
    rest = open_skeleton()
    G, X = forward(rest, random_pose(seed))
    found = solve(rest, landmarks(rest, G, X), VISIBLE)
    _, Y = forward(rest, found.L)
    angles = [np.degrees(so3.between_rad(X[b] - X[a], Y[b] - Y[a])) for a, b in LIMBS]
    assert max(angles) < 2


@pytest.mark.parametrize("seed", range(12))
def test_pelvis_and_shoulders_are_recovered(seed):
    rest = open_skeleton()
    G, X = forward(rest, random_pose(seed))
    found = solve(rest, landmarks(rest, G, X), VISIBLE)
    assert np.degrees(so3.angle_rad(found.G[0].T @ G[0])) < 2
    for joint in (16, 17):
        bend = so3.between_rad(X[joint + 2] - X[joint], X[joint + 4] - X[joint + 2])
        if bend > np.radians(35):
            assert np.degrees(so3.angle_rad(found.G[joint].T @ G[joint])) < 2


def test_upright_person_facing_the_camera_is_half_a_turn_about_x():
    rest = open_skeleton()
    G, X = forward(rest, [np.eye(3)] * 22)
    np.testing.assert_allclose(
        solve(rest, landmarks(rest, G, X), VISIBLE).global_orient(), so3.CAMERA_FROM_MODEL, atol=1e-6
    )


def test_person_off_the_centre_is_turned_by_the_view_ray():
    """Seen straight on in the crop at the photo's right edge means turned towards the camera, to the photo's left."""
    rest = open_skeleton()
    G, X = forward(rest, [np.eye(3)] * 22)
    crop_camera = landmarks(rest, G, X) @ so3.CAMERA_FROM_MODEL
    ray = so3.view_ray(900.0, 500.0, 800.0, np.array([500.0, 500.0]))
    chest = solve(rest, so3.to_model_axes(crop_camera, ray), VISIBLE).global_orient() @ np.array([0, 0, 1.0])
    np.testing.assert_allclose(chest, -so3.unit(np.array([0.5, 0, 1.0])), atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_mirrored_landmarks_give_the_mirrored_pose(seed):
    from model.body.skeleton import SMPLX_FLIP
    from model.estimators.mediapipe.landmarks import POSE_FLIP

    rest = open_skeleton()
    world = landmarks(rest, *forward(rest, random_pose(seed, root=0.3)))
    pose, mirrored = solve(rest, world, VISIBLE), solve(rest, (world @ FLIP)[POSE_FLIP], VISIBLE)
    for joint in range(22):
        expected = FLIP @ pose.L[SMPLX_FLIP[joint]] @ FLIP
        assert np.degrees(so3.angle_rad(mirrored.L[joint].T @ expected)) < 3


def finger_bones(rest, side, finger, start):
    first = FIRST_FINGER[side] + start
    return np.diff([*rest.joints[first : first + 3], rest.points[f"{SIDES[side]}_{finger}"]], axis=0)


@pytest.mark.parametrize("side", [0, 1])
def test_fingers_point_as_in_the_hand_that_made_the_landmarks(side):
    rest = open_skeleton()
    random = np.random.default_rng(side)
    first, wrist = FIRST_FINGER[side], so3.exp(random.normal(size=3))
    hand = np.zeros((21, 3))
    for finger, (start, points) in FINGER_LANDMARKS.items():
        parent, at = wrist, wrist @ (rest.joints[first + start] - rest.joints[WRISTS[side]])
        bones = np.diff(
            [*rest.joints[first + start : first + start + 3], rest.points[f"{SIDES[side]}_{finger}"]], axis=0
        )
        hand[points[0]] = at
        for k in range(3):
            parent = parent @ so3.exp(random.normal(scale=0.3, size=3))
            at = at + parent @ bones[k]
            hand[points[k + 1]] = at
    found = palm_orientation(rest, hand, side)
    assert np.degrees(so3.angle_rad(found.T @ wrist)) < 8  # the thumb's base bends the palm's frame a little
    poses = solve_fingers(rest, hand, found, side)
    for finger, (start, points) in FINGER_LANDMARKS.items():
        parent = found
        bones = np.diff(
            [*rest.joints[first + start : first + start + 3], rest.points[f"{SIDES[side]}_{finger}"]], axis=0
        )
        for k in range(3):
            parent = parent @ poses[start + k]
            assert np.degrees(so3.between_rad(parent @ bones[k], hand[points[k + 1]] - hand[points[k]])) < 2

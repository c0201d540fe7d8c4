import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.estimators import ImageInput, PersonBatch, create
from model.estimators.simulated import BODY_SIGMA_RAD, HAND_SIGMA_RAD, ROOT_SIGMA_RAD, global_rotations

NUM = 60


def rotations(random, count, scale):
    return random.normal(scale=scale, size=(NUM, count, 3))


@pytest.fixture(scope="module")
def people():
    random = np.random.default_rng(3)
    truth = {
        "global_orient": rotations(random, 1, 1.0)[:, 0],
        "body_pose": rotations(random, 21, 0.3),
        "left_hand_pose": rotations(random, 15, 0.3),
        "right_hand_pose": rotations(random, 15, 0.3),
        "betas": random.normal(size=(NUM, 10)),
        "flame_shape": random.normal(size=(NUM, 10)),
        "flame_expression": random.normal(size=(NUM, 12)),
        "jaw_pose": random.normal(scale=0.1, size=(NUM, 3)),
        "eye_pose": np.zeros((NUM, 2, 3)),
        "eyelids": random.random((NUM, 2)),
    }
    return PersonBatch(
        images=[np.zeros((8, 8, 3), np.uint8)] * NUM,
        boxes_xyxy=np.zeros((NUM, 4)),
        keypoints=np.zeros((NUM, 133, 3)),
        sigma_px=np.full((NUM, 133), np.inf),
        focal_px=np.ones(NUM),
        principal_px=np.zeros((NUM, 2)),
        truth=truth,
        sample_ids=[f"toy/{i:03d}" for i in range(NUM)],
    )


def axis_error_rad(estimate, truth_rotvec):
    truth = Rotation.from_rotvec(truth_rotvec.reshape(-1, 3))
    error = truth.inv() * Rotation.from_matrix(estimate.reshape(-1, 3, 3))
    return float(np.sqrt((error.as_rotvec() ** 2).mean()))


def test_body_error_has_the_stated_size(people):
    out = create("body", "simulated").estimate(people)
    assert axis_error_rad(out.body_pose, people.truth["body_pose"]) == pytest.approx(BODY_SIGMA_RAD, rel=0.05)
    assert axis_error_rad(out.global_orient, people.truth["global_orient"]) == pytest.approx(ROOT_SIGMA_RAD, rel=0.2)
    np.testing.assert_allclose(out.sigma_rad[0], [ROOT_SIGMA_RAD] + [BODY_SIGMA_RAD] * 21)


def test_hand_error_has_the_stated_size(people):
    out = create("hands", "simulated").estimate(people)
    for side, name in enumerate(("left", "right")):
        error = axis_error_rad(out.hand_pose[:, side], people.truth[f"{name}_hand_pose"])
        assert error == pytest.approx(HAND_SIGMA_RAD, rel=0.06)


def test_head_is_near_the_true_one(people):
    out = create("face", "simulated").estimate(people)
    orient = Rotation.from_rotvec(people.truth["global_orient"]).as_matrix()
    body = Rotation.from_rotvec(people.truth["body_pose"].reshape(-1, 3)).as_matrix().reshape(NUM, 21, 3, 3)
    head = Rotation.from_matrix(global_rotations(orient, body)[:, 15]).as_rotvec()
    assert axis_error_rad(out.head_orient, head) == pytest.approx(ROOT_SIGMA_RAD, rel=0.2)
    assert ((out.eyelids >= 0) & (out.eyelids <= 1)).all()
    assert out.flame_expression.shape == (NUM, 10)


@pytest.mark.parametrize(("part", "field"), [("body", "body_pose"), ("hands", "hand_pose"), ("face", "jaw_pose")])
def test_error_depends_on_the_sample_id_alone(people, part, field):
    estimator = create(part, "simulated")
    whole = getattr(estimator.estimate(people), field)
    np.testing.assert_array_equal(getattr(create(part, "simulated").estimate(people), field), whole)
    single = PersonBatch(
        images=people.images[7:8],
        boxes_xyxy=people.boxes_xyxy[7:8],
        keypoints=people.keypoints[7:8],
        sigma_px=people.sigma_px[7:8],
        focal_px=people.focal_px[7:8],
        principal_px=people.principal_px[7:8],
        truth={name: array[7:8] for name, array in people.truth.items()},
        sample_ids=people.sample_ids[7:8],
    )
    np.testing.assert_allclose(getattr(estimator.estimate(single), field)[0], whole[7], atol=1e-12)


def test_batch_without_truth_is_told_what_to_use(people):
    bare = PersonBatch(
        images=people.images,
        boxes_xyxy=people.boxes_xyxy,
        keypoints=people.keypoints,
        sigma_px=people.sigma_px,
        focal_px=people.focal_px,
        principal_px=people.principal_px,
    )
    with pytest.raises(ValueError, match="synthetic data set"):
        create("body", "simulated").estimate(bare)


def test_keypoint_errors_have_the_stated_sizes():
    random = np.random.default_rng(0)
    truth = np.concatenate([random.uniform(0, 500, (40, 133, 2)), np.full((40, 133, 1), 2.0)], -1)
    boxes = np.tile([0.0, 0, 500, 500], (40, 1))
    image = ImageInput.from_rgb("a", np.zeros((512, 512, 3), np.uint8))
    out = create("keypoints", "simulated").estimate(image, boxes, truth)
    seen = np.isfinite(out.sigma_px)
    assert 1 - seen.mean() == pytest.approx(0.10, abs=0.015)
    distance = np.linalg.norm(out.keypoints[..., :2] - truth[..., :2], axis=-1)
    gross = seen & (distance > 20)
    assert gross.sum() / seen.sum() == pytest.approx(0.03, abs=0.01)
    assert distance[gross].min() > 29
    assert distance[gross].max() < 81
    normalised = distance[seen & ~gross] / out.sigma_px[seen & ~gross]
    assert np.sqrt((normalised**2).mean() / 2) == pytest.approx(1, abs=0.05)
    again = create("keypoints", "simulated").estimate(image, boxes, truth)
    np.testing.assert_array_equal(again.keypoints, out.keypoints)

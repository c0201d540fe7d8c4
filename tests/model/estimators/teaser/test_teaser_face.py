"""The face estimators: frames, batches and refusals, with random weights in the published layout."""

import math

import numpy as np
import pytest
import torch
from face_checkpoints import face_tensors
from face_keypoints import person
from refusals import codes_of

from model.estimators import PersonBatch, create
from model.estimators.teaser.face import SmirkFace, TeaserFace, load_network
from model.estimators.teaser.region import RegionConfig, face_square
from model.imaging.upstream_crop import cut
from model.rotations import rotvec_to_rotmat

SIZE = 480


@pytest.fixture(scope="module")
def teaser_path(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("teaser") / "TEASER.pt"
    torch.save(face_tensors("teaser"), path)
    return str(path)


@pytest.fixture(scope="module")
def teaser(teaser_path: str) -> TeaserFace:
    return TeaserFace(checkpoint_path=teaser_path, batch_size=2)


def photo(seed: int = 0) -> np.ndarray:
    """Smooth random colours (480, 480, 3)."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (12, 12, 3))
    return np.kron(coarse, np.ones((40, 40, 1))).astype(np.uint8)


def people(images: list[np.ndarray], keypoints: list[np.ndarray]) -> PersonBatch:
    count = len(images)
    return PersonBatch(
        images=images,
        boxes_xyxy=np.tile([0.0, 0, SIZE, SIZE], (count, 1)),
        keypoints=np.stack(keypoints),
        sigma_px=np.ones((count, 133)),
        focal_px=np.full(count, 1.2 * SIZE),
        principal_px=np.full((count, 2), (SIZE - 1) / 2),
    )


def test_a_face_is_what_the_network_says_about_its_crop(teaser_path: str) -> None:
    rgb, keypoints = photo(), person(0.4)
    output = TeaserFace(checkpoint_path=teaser_path, view_ray=False).estimate(people([rgb], [keypoints]))
    network, _ = load_network(teaser_path, name="teaser", tokens=True)
    square = face_square(keypoints, RegionConfig())
    assert square is not None
    crop = torch.from_numpy(cut(rgb, square, 224).pixels).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        read = network(crop)
    np.testing.assert_allclose(output.flame_shape, read.shape, atol=1e-5)
    np.testing.assert_allclose(output.flame_expression, read.expression, atol=1e-5)
    np.testing.assert_allclose(output.jaw_pose, read.jaw_rotvec, atol=1e-5)
    np.testing.assert_allclose(output.eyelids, read.eyelids, atol=1e-5)
    assert not output.eye_pose.any()
    turn = np.array([[math.cos(0.4), -math.sin(0.4), 0], [math.sin(0.4), math.cos(0.4), 0], [0, 0, 1]])
    wanted = turn @ np.diag([1.0, -1.0, -1.0]) @ rotvec_to_rotmat(read.pose_rotvec[0]).numpy()
    np.testing.assert_allclose(output.head_orient[0], wanted, atol=1e-5)
    assert output.valid.all()
    assert codes_of(output) == [None]
    assert output.score[0] == pytest.approx(0.9)
    assert output.sigma_rad[0] == pytest.approx(math.radians(5))


def test_a_turned_photo_turns_the_head_and_nothing_else(teaser: TeaserFace) -> None:
    rgb, keypoints = photo(), person(0.2)
    turned = keypoints.copy()
    turned[:, 0], turned[:, 1] = SIZE - 1 - keypoints[:, 1], keypoints[:, 0]
    batch = people([rgb, np.ascontiguousarray(np.rot90(rgb, -1))], [keypoints, turned])
    output = teaser.estimate(batch)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(output.head_orient[1], quarter @ output.head_orient[0], atol=1e-4)
    for name in ("flame_shape", "flame_expression", "jaw_pose", "eyelids"):
        np.testing.assert_allclose(getattr(output, name)[1], getattr(output, name)[0], atol=1e-4)


def test_a_face_off_the_axis_is_relative_to_its_view_ray(teaser_path: str, teaser: TeaserFace) -> None:
    batch = people([photo()], [person(centre=(400.0, 100.0))])
    plain = TeaserFace(checkpoint_path=teaser_path, view_ray=False).estimate(batch).head_orient[0]
    turned = teaser.estimate(batch).head_orient[0]
    square = face_square(batch.keypoints[0], RegionConfig())
    assert square is not None
    ray = np.array([*(np.array(square.centre_px) - batch.principal_px[0]) / batch.focal_px[0], 1.0])
    np.testing.assert_allclose((turned @ plain.T) @ [0, 0, 1], ray / np.linalg.norm(ray), atol=1e-6)


def test_people_do_not_depend_on_each_other(teaser: TeaserFace) -> None:
    images = [photo(k) for k in range(3)]
    keypoints = [person(0.1 * k, scale=50 + 10 * k) for k in range(3)]
    together = teaser.estimate(people(images, keypoints))
    single = teaser.estimate(people(images[2:], keypoints[2:]))
    np.testing.assert_allclose(together.head_orient[2], single.head_orient[0], atol=1e-5)
    np.testing.assert_allclose(together.flame_expression[2], single.flame_expression[0], atol=1e-5)
    assert np.abs(together.flame_expression[0] - together.flame_expression[1]).max() > 1e-3


def test_a_person_without_a_face_keeps_a_neutral_row(teaser: TeaserFace) -> None:
    hidden = person()
    hidden[40:91, 2] = 0
    output = teaser.estimate(people([photo(), photo()], [hidden, person()]))
    assert output.valid.tolist() == [False, True]
    assert codes_of(output) == ["keypoints_too_few", None]
    assert not output.flame_shape[0].any()
    np.testing.assert_array_equal(output.head_orient[0], np.diag([1.0, -1.0, -1.0]))
    assert teaser.estimate(people([photo()], [hidden])).valid.tolist() == [False]


def test_an_answer_that_is_not_finite_is_refused(tmp_path) -> None:
    tensors = face_tensors("smirk")
    tensors["smirk_encoder.pose_encoder.pose_cam_layers.0.weight"].fill_(3e38)
    torch.save(tensors, tmp_path / "SMIRK_em1.pt")
    output = SmirkFace(checkpoint_path=str(tmp_path / "SMIRK_em1.pt")).estimate(people([photo()], [person()]))
    assert output.valid.tolist() == [False]
    assert codes_of(output) == ["estimator_refused"]
    assert np.isfinite(output.head_orient).all()


def test_smirk_is_teaser_without_tokens(teaser: TeaserFace, tmp_path) -> None:
    tensors = {
        key.replace("teaser", "smirk"): value
        for key, value in face_tensors("teaser").items()
        if "token_encoder" not in key
    }
    torch.save(tensors, tmp_path / "SMIRK_em1.pt")
    batch = people([photo()], [person()])
    smirk = create("face", "smirk", checkpoint_path=str(tmp_path / "SMIRK_em1.pt"))
    np.testing.assert_array_equal(smirk.estimate(batch).head_orient, teaser.estimate(batch).head_orient)
    assert smirk.info.licence == "MIT"
    assert smirk.info.weights_sha256 != teaser.info.weights_sha256


def test_all_coefficients_of_the_network_are_given(teaser_path: str) -> None:
    output = create("face", "teaser", checkpoint_path=teaser_path).estimate(people([photo()], [person()]))
    assert (output.flame_shape.shape, output.flame_expression.shape) == ((1, 300), (1, 50))
    with pytest.raises(ValueError, match="num_shape"):
        create("face", "teaser", checkpoint_path=teaser_path, num_shape=50)


@pytest.mark.long
def test_half_precision_stays_near(teaser_path: str, teaser: TeaserFace) -> None:
    batch = people([photo()], [person()])
    half = TeaserFace(checkpoint_path=teaser_path, half=True).estimate(batch)
    np.testing.assert_allclose(half.flame_expression, teaser.estimate(batch).flame_expression, atol=0.02)
    assert not np.array_equal(half.flame_expression, teaser.estimate(batch).flame_expression)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda"}, "CUDA"),
        ({"sigma_deg": 0}, "sigma_deg"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_options_that_make_no_sense_are_named(teaser_path: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TeaserFace(checkpoint_path=teaser_path, **options)

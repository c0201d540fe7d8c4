"""Hands from HaMeR: the mirror law, what is not a hand, frames, batches, files."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from photo_people import mirrored, people
from refusals import codes_of
from upstream_checkpoints import write_checkpoint

from model.body.skeleton import LEFT_HAND, RIGHT_HAND
from model.estimators import create
from model.estimators.base import HandsEstimator
from model.estimators.crop_network import normalised
from model.imaging.crop_camera import view_ray_rotation
from model.imaging.squares import PORTRAIT, keypoint_box, square_of_box
from model.imaging.upstream_crop import cut
from model.rotations import mirror_rotmat
from model.weights import read_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("hamer") / "hamer.ckpt"
    write_checkpoint(path, "hamer")
    return str(path)


@pytest.fixture(scope="module")
def estimator(checkpoint):
    return create("hands", "hamer", checkpoint_path=checkpoint, batch_size=4)


def mirror(rotations):
    return mirror_rotmat(torch.from_numpy(rotations)).numpy()


def test_mirror_image_gives_mirrored_hands(estimator):
    batch = people()
    one, other = estimator.estimate(batch), estimator.estimate(mirrored(batch))
    assert one.valid.all()
    assert other.valid.all()
    for side in (0, 1):
        # The crops agree to the last bit; the network's sums depend on a crop's place in the batch.
        assert np.allclose(one.hand_pose[:, side], mirror(other.hand_pose[:, 1 - side]), atol=1e-5)
        assert np.allclose(one.wrist_orient[:, side], mirror(other.wrist_orient[:, 1 - side]), atol=1e-5)
    assert np.array_equal(one.score, other.score[:, ::-1])
    assert np.abs(one.hand_pose[:, 0] - one.hand_pose[:, 1]).max() > 0.01


def test_right_hand_is_the_networks_reading_of_its_crop(checkpoint, tmp_path):
    network = write_checkpoint(tmp_path / "same.ckpt", "hamer")
    estimator = create("hands", "hamer", checkpoint_path=checkpoint, view_ray=False)
    batch = people(1)
    square = square_of_box(keypoint_box(batch.keypoints[0, RIGHT_HAND], 0.3, 4), 2.0, PORTRAIT)
    crop = cut(batch.images[0], square, 256, antialias=True)
    with torch.no_grad():
        expected = network(normalised(torch.from_numpy(crop.pixels)[None])).rotations[0].numpy()
    found = estimator.estimate(batch)
    assert np.allclose(found.hand_pose[0, 1], expected[1:], atol=1e-6)
    assert np.allclose(found.wrist_orient[0, 1], expected[0], atol=1e-6)


def test_wrist_is_relative_to_the_camera(checkpoint, estimator):
    batch = people(2)
    plain = create("hands", "hamer", checkpoint_path=checkpoint, view_ray=False).estimate(batch)
    turned = estimator.estimate(batch)
    assert np.array_equal(plain.hand_pose, turned.hand_pose)
    for row, side in ((0, 0), (1, 1)):
        square = estimator.square(batch.keypoints[row], side)
        ray = view_ray_rotation(
            torch.tensor(square.centre_px, dtype=torch.float64),
            torch.tensor(400.0, dtype=torch.float64),
            torch.tensor(batch.principal_px[row]),
        ).numpy()
        assert np.allclose(turned.wrist_orient[row, side], ray @ plain.wrist_orient[row, side], atol=1e-9)


def test_too_few_keypoints_are_no_hand(estimator):
    batch = people(3)
    batch.keypoints[0, LEFT_HAND, 2] = 0
    batch.keypoints[1, RIGHT_HAND.start + 3 : RIGHT_HAND.stop, 2] = 0.25
    found = estimator.estimate(batch)
    assert found.valid.tolist() == [[False, True], [True, False], [True, True]]
    assert codes_of(found) == [("keypoints_too_few", None), (None, "keypoints_too_few"), (None, None)]
    assert found.score[~found.valid].tolist() == [0, 0]
    assert (found.score[found.valid] > 0.5).all()
    assert np.allclose(found.hand_pose[0, 0], np.eye(3))
    assert np.allclose(found.wrist_orient[0, 0], np.diag([1, -1, -1]), atol=1e-6)
    assert found.sigma_rad[0, 0] > found.sigma_rad[0, 1] > math.radians(5)


def test_an_answer_that_is_not_finite_is_refused(checkpoint, monkeypatch):
    estimator = create("hands", "hamer", checkpoint_path=checkpoint)
    run = estimator._network.run

    def broken(plans):
        rotations = run(plans)["rotations"]
        rotations[0, 3] = np.nan
        return {"rotations": rotations}

    monkeypatch.setattr(estimator._network, "run", broken)
    batch = people(2)
    batch.keypoints[1, LEFT_HAND, 2] = 0
    found = estimator.estimate(batch)
    assert found.valid.tolist() == [[False, True], [False, True]]
    assert codes_of(found) == [("estimator_refused", None), ("keypoints_too_few", None)]
    assert np.isfinite(found.hand_pose).all()


def test_nobody_has_hands(estimator):
    batch = people(2)
    batch.keypoints[..., 2] = 0
    assert not estimator.estimate(batch).valid.any()


def test_batch_is_as_single(estimator):
    batch = people(3)
    together = estimator.estimate(batch)
    for row in range(3):
        alone = estimator.estimate(
            dataclasses.replace(
                batch,
                images=[batch.images[row]],
                **{
                    name: getattr(batch, name)[row : row + 1]
                    for name in ("boxes_xyxy", "keypoints", "sigma_px", "focal_px", "principal_px")
                },
            )
        )
        assert np.allclose(alone.hand_pose[0], together.hand_pose[row], atol=1e-5)
        assert np.allclose(alone.wrist_orient[0], together.wrist_orient[row], atol=1e-5)


def test_outputs_are_rotations(estimator):
    found = estimator.estimate(people())
    for rotations in (found.hand_pose, found.wrist_orient):
        assert np.allclose(rotations @ np.swapaxes(rotations, -1, -2), np.eye(3), atol=1e-5)
        assert np.allclose(np.linalg.det(rotations), 1, atol=1e-5)


def test_half_precision_is_close(checkpoint, estimator):
    batch = people(2)
    half = create("hands", "hamer", checkpoint_path=checkpoint, half=True).estimate(batch)
    assert 0 < np.abs(half.hand_pose - estimator.estimate(batch).hand_pose).max() < 0.03


def test_flat_layout_gives_the_same(tmp_path, estimator):
    write_checkpoint(tmp_path / "flat.pt", "hamer", layout="flat")
    other = create("hands", "hamer", checkpoint_path=str(tmp_path / "flat.pt"))
    batch = people(1)
    assert np.allclose(other.estimate(batch).hand_pose, estimator.estimate(batch).hand_pose, atol=1e-6)
    assert isinstance(other, HandsEstimator)
    assert len(other.info.weights_sha256) == 64
    assert other.info.weights_sha256 != estimator.info.weights_sha256


@pytest.mark.parametrize(
    ("options", "match"),
    [({"batch_size": 0}, "batch_size"), ({"min_points": 1}, "min_points"), ({"speed": 3}, "speed"),
     ({"device": "abacus"}, "abacus")],
)  # fmt: skip
def test_wrong_options_are_refused(checkpoint, options, match):
    with pytest.raises(ValueError, match=match):
        create("hands", "hamer", checkpoint_path=checkpoint, **options)


def test_file_of_another_network_is_refused(tmp_path):
    write_checkpoint(tmp_path / "body.ckpt", "hmr2")
    with pytest.raises(ValueError, match=r"not one of HaMeR: mano_head\.decpose\.weight"):
        create("hands", "hamer", checkpoint_path=str(tmp_path / "body.ckpt"))
    with pytest.raises(ValueError, match="does not exist"):
        create("hands", "hamer", checkpoint_path=str(tmp_path / "none.ckpt"))


def test_damaged_file_lists_what_is_wrong(tmp_path, checkpoint):
    state = dict(read_checkpoint(checkpoint).tensors)
    del state["backbone.blocks.1.norm2.bias"]
    state["mano_head.deccam.weight"] = torch.zeros(4, 48)
    state["mano_head.extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "bad.pt")
    with pytest.raises(ValueError) as caught:
        create("hands", "hamer", checkpoint_path=str(tmp_path / "bad.pt"))
    for part in ("missing: backbone.blocks.1.norm2.bias", "unexpected: mano_head.extra", "(4, 48) instead of (3, 48)"):
        assert part in str(caught.value)

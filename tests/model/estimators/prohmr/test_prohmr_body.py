"""Bodies from ProHMR: the mode, samples, crop by the keypoints, files."""

import math

import numpy as np
import pytest
import roma
import torch
from photo_people import people
from refusals import codes_of
from upstream_checkpoints import TINY_PROHMR, prohmr, write_checkpoint

from model.estimators import create
from model.estimators.base import BodyEstimator
from model.estimators.crop_network import normalised
from model.estimators.prohmr.body import spread_rad
from model.estimators.prohmr.network import SIZE_KEYS, ProHMRConfig, ProHMRNetwork, config_of
from model.imaging.squares import keypoint_box, square_of_box
from model.imaging.upstream_crop import cut


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("prohmr") / "checkpoint.pt"
    return str(path), write_checkpoint(path, "prohmr")


def test_published_size_has_upstreams_entries():
    """501 entries: 318 of the residual network, 177 of the flow, 6 of the head beside it."""
    with torch.device("meta"):
        network = ProHMRNetwork(ProHMRConfig())
    state = network.state_dict()
    assert len(state) == 501
    assert sum(p.numel() for p in network.flow.fc_head.parameters()) == 2_111_501
    shapes = {
        "flow.fc_head.layers.0.weight": (1024, 2048), "flow.fc_head.layers.2.bias": (13,),
        "flow.fc_head.init_betas": (1, 1, 10), "flow.fc_head.init_cam": (1, 1, 3),
        "backbone.conv1.weight": (64, 3, 7, 7),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    assert config_of(state) == ProHMRConfig()
    assert set(SIZE_KEYS) <= set(state)
    assert config_of(prohmr().state_dict()) == TINY_PROHMR


def test_pose_is_the_mode_of_the_keypoints_crop(written):
    path, network = written
    estimator = create("body", "prohmr", checkpoint_path=path, view_ray=False)
    batch = people(2)
    found = estimator.estimate(batch)
    assert isinstance(estimator, BodyEstimator)
    assert estimator.info.skeleton == "smpl"
    for row in range(2):
        square = square_of_box(keypoint_box(batch.keypoints[row, :23], 0.3, 4), 1.2)
        crop = normalised(torch.from_numpy(cut(batch.images[row], square, 224).pixels)[None])
        with torch.no_grad():
            expected = network(crop)
            features = network.backbone(crop)
        assert np.allclose(found.global_orient[row], expected.rotations[0, 0, 0], atol=1e-5)
        assert np.allclose(found.body_pose[row], expected.rotations[0, 0, 1:22], atol=1e-5)
        assert np.allclose(found.betas[row], expected.betas[0], atol=1e-5)
        log_prob, latents = network.flow.flow.log_prob(expected.sixd[0], features)
        assert latents.abs().max() < 1e-4
        assert torch.allclose(log_prob, expected.log_prob[0], atol=1e-3)
    assert found.valid.all()


def test_samples_only_change_the_uncertainty(written):
    batch = people(2)
    mode, many, again, other = (
        create("body", "prohmr", checkpoint_path=written[0], num_samples=n, seed=seed).estimate(batch)
        for n, seed in ((0, 0), (16, 0), (16, 0), (16, 1))
    )
    assert np.allclose(mode.body_pose, many.body_pose, atol=1e-5)
    assert (many.sigma_rad >= mode.sigma_rad).all()
    assert (many.sigma_rad > mode.sigma_rad).any()
    assert np.array_equal(many.sigma_rad, again.sigma_rad)
    assert not np.array_equal(many.sigma_rad, other.sigma_rad)


def test_spread_is_the_standard_deviation_of_small_turns():
    torch.manual_seed(0)
    mode = roma.random_rotmat(3).double()
    turns = roma.rotvec_to_rotmat(0.1 * torch.randn(4000, 3, 3, dtype=torch.float64))
    samples = torch.cat([mode[None], mode @ turns])[None]
    assert torch.allclose(spread_rad(samples), torch.full((1, 3), 0.1, dtype=torch.float64), rtol=0.03)


def test_feet_count_for_the_crop_and_hands_do_not(written):
    estimator = create("body", "prohmr", checkpoint_path=written[0])
    batch = people(1)
    batch.keypoints[0, :, :2] = 100
    batch.keypoints[0, 0, :2] = 50, 60
    batch.keypoints[0, 22, :2] = 150, 220
    batch.keypoints[0, 23:, :2] = 300
    square = estimator.square(batch, 0)
    assert math.isclose(square.side_px, 1.2 * 160)
    assert square.centre_px == (100, 140)


def test_too_few_keypoints_are_no_body(written):
    batch = people(2)
    batch.keypoints[1, 3:23, 2] = 0.1
    found = create("body", "prohmr", checkpoint_path=written[0]).estimate(batch)
    assert found.valid.tolist() == [True, False]
    assert codes_of(found) == [None, "keypoints_too_few"]


def test_half_precision_is_close(written):
    batch = people(2)
    exact, half = (
        create("body", "prohmr", checkpoint_path=written[0], half=flag).estimate(batch) for flag in (False, True)
    )
    assert 0 < np.abs(half.body_pose - exact.body_pose).max() < 0.03


def test_file_of_another_network_is_refused(tmp_path):
    write_checkpoint(tmp_path / "hands.ckpt", "hamer", layout="flat")
    with pytest.raises(ValueError, match=r"not one of ProHMR: backbone\.conv1\.weight"):
        create("body", "prohmr", checkpoint_path=str(tmp_path / "hands.ckpt"))


def test_wrong_options_are_refused(written):
    with pytest.raises(ValueError, match="num_samples"):
        create("body", "prohmr", checkpoint_path=written[0], num_samples=-1)

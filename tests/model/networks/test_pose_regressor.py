"""The network of HMR2 and HaMeR: names, mean parameters, which part of the crop it sees, half precision."""

import pytest
import torch
from upstream_checkpoints import mean_pose, regressor

from model.estimators.regressor_files import HAMER, HMR2
from model.networks.pose_regressor import PoseRegressor, PoseRegressorConfig, config_of
from model.networks.sizes import VIT_SIZES, DecoderConfig
from model.rotations import sixd_to_rotmat


@pytest.mark.parametrize(("file", "num_pose"), [(HMR2, 144), (HAMER, 96)])
def test_published_size_has_upstreams_entries(file, num_pose):
    """503 entries: 389 of the transformer, 105 of the decoder, three read-outs and three means."""
    config = PoseRegressorConfig(
        head=file.head,
        mean_pose=file.mean_pose,
        num_joints=file.num_joints,
        backbone=VIT_SIZES["H"],
        decoder=DecoderConfig(),
    )
    with torch.device("meta"):
        state = PoseRegressor(config).state_dict()
    head = file.head
    assert len(state) == 503
    shapes = {
        f"{head}.decpose.weight": (num_pose, 1024), f"{head}.decshape.bias": (10,), f"{head}.deccam.weight": (3, 1024),
        f"{head}.{file.mean_pose}": (1, num_pose), f"{head}.init_betas": (1, 10), f"{head}.init_cam": (1, 3),
    }  # fmt: skip
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    read = config_of(state, head=head, mean_pose=file.mean_pose, num_joints=file.num_joints, backbone_depth=32, depth=6)
    assert read == config


def test_read_outs_are_added_to_the_means():
    network = regressor(HAMER)
    with torch.no_grad():
        for name in ("decpose", "decshape", "deccam"):
            network.head.get_submodule(name).weight.zero_()
            network.head.get_submodule(name).bias.zero_()
        network.head.get_buffer("init_betas").copy_(torch.arange(10.0))
        network.head.get_buffer("init_cam").copy_(torch.tensor([0.9, 0.1, 0.2]))
        found = network(torch.randn(2, 3, 256, 256))
    expected = sixd_to_rotmat(mean_pose(16).view(16, 6))
    assert torch.allclose(found.rotations, expected.expand(2, -1, -1, -1), atol=1e-6)
    assert torch.allclose(network.head.mean_rotations(), expected)
    assert found.betas[1].tolist() == list(range(10))
    assert torch.allclose(found.camera[0], torch.tensor([0.9, 0.1, 0.2]))


def test_outer_columns_are_not_seen():
    network = regressor(HMR2)
    crops = torch.randn(1, 3, 256, 256)
    other = crops.clone()
    other[..., :32], other[..., -32:] = 5, -5
    inner = crops.clone()
    inner[..., 32] += 1
    with torch.no_grad():
        a, b, c = (network(x).rotations for x in (crops, other, inner))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_half_precision_of_the_backbone_is_close():
    crops = torch.randn(2, 3, 256, 256)
    network = regressor(HAMER)
    with torch.no_grad():
        exact = network(crops)
        network.backbone.half()
        half = network(crops)
    assert half.rotations.dtype == torch.float32
    assert 0 < (half.rotations - exact.rotations).abs().max() < 0.02

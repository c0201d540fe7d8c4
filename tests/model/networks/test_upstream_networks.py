"""The official networks on the same random weights, where their packages are installed (`make upstream`).

Published sizes: each of HMR2 and HaMeR needs about 6 GB of memory.
"""

import numpy as np
import pytest
import torch
from torch import nn
from upstream_checkpoints import mean_pose, randomise
from upstream_packages import upstream

from model.estimators.prohmr.network import ProHMRNetwork
from model.estimators.prohmr.network import config_of as prohmr_config
from model.estimators.regressor_files import HAMER, HMR2
from model.networks.pose_regressor import PoseRegressor, config_of

pytestmark = [pytest.mark.upstream, pytest.mark.timeout(900)]
TOLERANCE = 1e-4
CASES = {
    "hamer": ("hamer.models.heads.mano_head", "MANOTransformerDecoderHead", "MANO", "NUM_HAND_JOINTS", HAMER),
    "hmr2": ("hmr2.models.heads.smpl_head", "SMPLTransformerDecoderHead", "SMPL", "NUM_BODY_JOINTS", HMR2),
}


def mean_file(folder, num_joints):
    rng = np.random.default_rng(0)
    path = folder / "mean.npz"
    np.savez(path, pose=mean_pose(num_joints).numpy(), shape=rng.normal(size=10), cam=np.array([0.9, 0.1, -0.1]))
    return str(path)


def same_names(state, network):
    ours = network.state_dict()
    assert ours.keys() == state.keys()
    assert all(ours[name].shape == state[name].shape for name in ours)
    network.load_state_dict(state, assign=True)
    return network.eval()


def close(ours, theirs):
    return float((ours - theirs).abs().max()) < TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_transformer_and_decoder(name, tmp_path):
    module, kind, part, joints, file = CASES[name]
    node = upstream("yacs.config").CfgNode
    backbone = upstream(f"{name}.models.backbones.vit").vit(None)
    decoder = {"depth": 6, "heads": 8, "mlp_dim": 1024, "dim_head": 64, "context_dim": 1280}
    settings = {
        "MODEL": {f"{part}_HEAD": {"TYPE": "transformer_decoder", "TRANSFORMER_DECODER": decoder}},
        part: {joints: file.num_joints - 1, "MEAN_PARAMS": mean_file(tmp_path, file.num_joints)},
    }
    theirs = nn.Module()
    theirs.backbone = backbone
    theirs.add_module(file.head, getattr(upstream(module), kind)(node(settings)))
    randomise(theirs, 0)
    state = theirs.state_dict()
    config = config_of(
        state, head=file.head, mean_pose=file.mean_pose, num_joints=file.num_joints, backbone_depth=32, depth=6
    )
    with torch.device("meta"):
        network = PoseRegressor(config)
    same_names(state, network)
    crops = torch.randn(2, 3, 256, 256)
    with torch.no_grad():
        pose, camera, _ = theirs.get_submodule(file.head)(backbone(crops[..., 32:-32]))
        ours = network(crops)
    locals_ = pose["hand_pose" if name == "hamer" else "body_pose"]
    assert close(ours.rotations, torch.cat([pose["global_orient"], locals_], 1))
    assert close(ours.betas, pose["betas"])
    assert close(ours.camera, camera)


def test_prohmr(tmp_path):
    node = upstream("yacs.config").CfgNode
    flow = upstream("prohmr.models.heads.smpl_flow").SMPLFlow
    settings = {
        "MODEL": {
            "FLOW": {
                "DIM": 144, "NUM_LAYERS": 4, "CONTEXT_FEATURES": 2048, "LAYER_HIDDEN_FEATURES": 1024, "LAYER_DEPTH": 2,
            },
            "FC_HEAD": {"NUM_FEATURES": 1024},
        },
        "SMPL": {"NUM_BODY_JOINTS": 23, "MEAN_PARAMS": mean_file(tmp_path, 24)},
    }  # fmt: skip
    theirs = nn.Module()
    theirs.backbone = upstream("prohmr.models.backbones.resnet").resnet50(pretrained=False)
    theirs.flow = flow(node(settings))
    randomise(theirs, 0)
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if name.endswith("entries"):
                parameter.mul_(0.2)
    state = theirs.state_dict()
    with torch.device("meta"):
        network = ProHMRNetwork(prohmr_config(state))
    same_names(state, network)
    crops, latents = torch.randn(2, 3, 224, 224), torch.randn(2, 1, 144)
    with torch.no_grad():
        features = theirs.backbone(crops)
        for z in (torch.zeros(2, 1, 144), latents):
            pose, camera, log_prob, _, _ = theirs.flow(features, z=z)
            ours = network.decode(network.backbone(crops), z)
            assert close(ours.rotations, torch.cat([pose["global_orient"], pose["body_pose"]], 2))
            assert close(ours.betas, pose["betas"][:, 0])
            assert close(ours.camera, camera[:, 0])
            assert torch.allclose(ours.log_prob, log_prob, rtol=1e-5, atol=TOLERANCE)

"""Writes self-made checkpoints in the format of upstream's: all names and layouts, random weights, any size.

The estimators read the size of a network from its file, so that small ones exercise all of their code. The poses are
close to an upright person who faces the camera, and to a flat hand.
"""

import contextlib
import sys
import types

import torch

from model.estimators.prohmr.network import ProHMRConfig, ProHMRNetwork
from model.estimators.regressor_files import HAMER, HMR2
from model.networks.glow import ActNorm, GlowConfig, LULinear
from model.networks.pose_regressor import PoseRegressor, PoseRegressorConfig
from model.networks.resnet import ResNetConfig
from model.networks.sizes import VIT_SIZES, DecoderConfig, ViTConfig

TINY_VIT = ViTConfig(width=128, depth=2, heads=2)
TINY_DECODER = DecoderConfig(context_width=128, width=48, depth=2, heads=2, hidden=40)
TINY_PROHMR = ProHMRConfig(
    backbone=ResNetConfig(blocks=(1, 2, 1, 1), width=8),
    flow=GlowConfig(context=256, hidden=24, layers=2, blocks=2),
    head=16,
)
EXTRAS = {
    "prohmr": ("smpl.v_template", "smpl.joint_map", "discriminator.D_conv1.weight", "initialized"),
    "hmr2": ("smpl.v_template", "smpl.joint_map", "discriminator.D_conv1.weight", "initialized"),
    "hamer": ("mano.v_template", "mano.joint_map", "discriminator.D_conv1.weight", "initialized"),
}
"""Entries of upstream's files that estimating ignores."""
FRONTAL = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""First and second column of the orientation of an upright person who faces the camera."""
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def mean_pose(num_joints):
    """(6 J,) a frontal root, straight limbs."""
    return torch.tensor([*FRONTAL, *IDENTITY * (num_joints - 1)])


def randomise(network, seed):
    """Gives a network random weights and norms that keep numbers in range."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if not tensor.is_floating_point() or name.rpartition(".")[2].startswith(("init_", "dummy")):
                continue
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.7, 1.4, generator=generator)
            elif tensor.ndim >= 2 and not name.endswith(("pos_embed", "pos_embedding")):
                tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
            else:
                tensor.normal_(0, 0.05, generator=generator)
    return network.eval()


def prohmr(seed=0, config=TINY_PROHMR):
    """A random network of ProHMR whose mode is a frontal person."""
    network = randomise(ProHMRNetwork(config), seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, LULinear):
                module.lower_entries.mul_(0.2)
                module.upper_entries.mul_(0.2)
                module.unconstrained_upper_diag.add_(0.54)
        first = next(module for module in network.modules() if isinstance(module, ActNorm))
        first.shift.add_(-mean_pose(24) * first.log_scale.exp())
        # Latents of size one are poses a few tenths away from the mode, and so are images from each other.
        first.log_scale.add_(1.5)
        first.shift.mul_(4.48)
    return network


def regressor(file, seed=0, backbone=TINY_VIT, decoder=TINY_DECODER):
    """A random network of HMR2 or HaMeR close to its mean pose."""
    config = PoseRegressorConfig(
        head=file.head, mean_pose=file.mean_pose, num_joints=file.num_joints, backbone=backbone, decoder=decoder
    )
    network = randomise(PoseRegressor(config), seed)
    with torch.no_grad():
        network.head.get_buffer(file.mean_pose).copy_(mean_pose(file.num_joints))
        network.head.decpose.weight.mul_(0.3)
    return network


def network_of(kind, seed=0, full=False):
    """Random network of ``prohmr``, ``hmr2`` or ``hamer``, tiny or of the published size."""
    if kind == "prohmr":
        return prohmr(seed, ProHMRConfig() if full else TINY_PROHMR)
    file = {"hmr2": HMR2, "hamer": HAMER}[kind]
    return regressor(file, seed, VIT_SIZES["H"], DecoderConfig()) if full else regressor(file, seed)


@contextlib.contextmanager
def yacs_node():
    """Gives an object that pickles as a yacs configuration, without yacs; outside, its package does not exist."""
    names = ("yacs", "yacs.config")
    before = {name: sys.modules.get(name) for name in names}
    package, module = types.ModuleType("yacs"), types.ModuleType("yacs.config")
    node = module.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    sys.modules.update(zip(names, (package, module), strict=True))
    try:
        found = node(MODEL=node(IMAGE_SIZE=256, BBOX_SHAPE=[192, 256]), EXTRA=node(FOCAL_LENGTH=5000))
        found.__dict__["__immutable__"] = False
        yield found
    finally:
        for name, was in before.items():
            sys.modules.pop(name)
            if was is not None:
                sys.modules[name] = was


def upstream_state(kind, network):
    """State dict as upstream's training saves it, with entries that have nothing to do with estimating."""
    state = dict(network.state_dict())
    return state | {name: torch.zeros(2, dtype=torch.bool) for name in EXTRAS[kind]}


def write_checkpoint(path, kind, *, seed=0, layout="lightning", full=False):
    """Writes a checkpoint and returns the network in it.

    Args:
        path: File to write.
        kind: ``prohmr``, ``hmr2`` or ``hamer``.
        seed: Of the weights.
        layout: ``lightning`` with a configuration object, or ``flat``.
        full: Published size (0.2 GB for ProHMR, 2.7 GB for the others) instead of a tiny one.
    """
    network = network_of(kind, seed, full)
    state = upstream_state(kind, network)
    with yacs_node() as node:
        lightning = {
            "epoch": 35,
            "global_step": 1000000,
            "pytorch-lightning_version": "1.8.1",
            "state_dict": state,
            "hyper_parameters": {"cfg": node},
            "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-5}]}],
        }
        torch.save(lightning if layout == "lightning" else state, path)
    return network

"""Networks with random weights in the publishers' file formats, of the published or of a tiny size."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from model.estimators.prohmr.network import ProHMRConfig, ProHMRNetwork
from model.estimators.regressor_files import HAMER, HMR2, RegressorFile
from model.estimators.teaser.network import FaceEncoder
from model.networks.glow import ActNorm, GlowConfig
from model.networks.pose_regressor import PoseRegressor, PoseRegressorConfig
from model.networks.resnet import ResNetConfig
from model.networks.sizes import VIT_SIZES, DecoderConfig, ViTConfig

SIZES = ("published", "tiny")
_UPRIGHT = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
_STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""6D rotations of a root that faces the camera, and of a straight joint."""


def _mean_pose(num_joints: int) -> torch.Tensor:
    return torch.tensor([*_UPRIGHT, *_STRAIGHT * (num_joints - 1)])


def _regressor(file: RegressorFile, size: str) -> nn.Module:
    tiny = size == "tiny"
    network = PoseRegressor(
        PoseRegressorConfig(
            head=file.head,
            mean_pose=file.mean_pose,
            num_joints=file.num_joints,
            backbone=ViTConfig(width=128, depth=2, heads=2) if tiny else VIT_SIZES["H"],
            decoder=DecoderConfig(context_width=128, width=48, depth=2, heads=2, hidden=40)
            if tiny
            else DecoderConfig(),
        )
    )
    network.get_submodule(file.head).get_buffer(file.mean_pose).copy_(_mean_pose(file.num_joints))
    return network


def _prohmr(size: str) -> nn.Module:
    config = ProHMRConfig()
    if size == "tiny":
        config = ProHMRConfig(
            backbone=ResNetConfig(blocks=(1, 2, 1, 1), width=8),
            flow=GlowConfig(context=256, hidden=24, layers=2, blocks=2),
            head=16,
        )
    network = ProHMRNetwork(config)
    first = next(module for module in network.modules() if isinstance(module, ActNorm))
    first.shift.data.sub_(_mean_pose(24))  # The mode of the flow is then near this pose.
    return network


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network of one backend."""

    build: Callable[[str], nn.Module]
    """With random weights, of one of ``SIZES``; those of faces have one size."""
    crop_px: int
    """Side of its crops."""
    prefix: str = ""
    """What the publisher puts before the names of its weights."""


NETWORKS: dict[str, Network] = {
    "prohmr": Network(build=_prohmr, crop_px=224),
    "hmr2": Network(build=lambda size: _regressor(HMR2, size), crop_px=256),
    "hamer": Network(build=lambda size: _regressor(HAMER, size), crop_px=256),
    "teaser": Network(build=lambda _: FaceEncoder(tokens=True), crop_px=224, prefix="teaser_encoder."),
    "smirk": Network(build=lambda _: FaceEncoder(tokens=False), crop_px=224, prefix="smirk_encoder."),
}
"""By backend."""


def write_network(folder: Path, backend: str, size: str) -> Path:
    """Writes the checkpoint of a backend unless the folder has it; 2.7 GB for the published HMR2 and HaMeR.

    Args:
        folder: Where to.
        backend: One of ``NETWORKS``.
        size: One of ``SIZES``.
    """
    path = folder / f"{backend}-{size}.pt"
    if not path.exists():
        torch.manual_seed(0)
        network = NETWORKS[backend]
        with torch.no_grad():
            state = network.build(size).state_dict()
            torch.save({f"{network.prefix}{name}": value for name, value in state.items()}, path)
    return path

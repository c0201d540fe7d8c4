"""Networks with random weights in the publishers' file formats, of the published or of a tiny size."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from model.estimators.prohmr.network import ProHMRConfig, ProHMRNetwork
from model.estimators.regressor_files import HAMER, HMR2, RegressorFile
from model.estimators.teaser.network import FaceEncoder
from model.networks.cross_decoder import DecoderConfig
from model.networks.glow import ActNorm, GlowConfig
from model.networks.pose_regressor import PoseRegressor, PoseRegressorConfig
from model.networks.resnet import ResNetConfig
from model.networks.vit import VIT_SIZES, ViTConfig

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


def _face(name: str) -> dict[str, torch.Tensor]:
    return {f"{name}_encoder.{key}": value for key, value in FaceEncoder(tokens=name == "teaser").state_dict().items()}


_STATES: dict[str, Callable[[str], dict[str, torch.Tensor]]] = {
    "prohmr": lambda size: _prohmr(size).state_dict(),
    "hmr2": lambda size: _regressor(HMR2, size).state_dict(),
    "hamer": lambda size: _regressor(HAMER, size).state_dict(),
    "teaser": lambda _: _face("teaser"),
    "smirk": lambda _: _face("smirk"),
}
"""By backend. Those of faces have one size."""


def write_network(folder: Path, backend: str, size: str) -> Path:
    """Writes the checkpoint of a backend unless the folder has it; 2.7 GB for the published HMR2 and HaMeR.

    Args:
        folder: Where to.
        backend: ``prohmr``, ``hmr2``, ``hamer``, ``teaser`` or ``smirk``.
        size: One of ``SIZES``.
    """
    path = folder / f"{backend}-{size}.pt"
    if not path.exists():
        torch.manual_seed(0)
        with torch.no_grad():
            torch.save(_STATES[backend](size), path)
    return path

"""Checkpoints of HMR2 and HaMeR: names, and the network in the size that a file has."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from model.networks.pose_regressor import PoseRegressor, config_of, size_keys
from model.weights import load_into, num_blocks, read_checkpoint, require_keys


@dataclass(frozen=True, kw_only=True, slots=True)
class RegressorFile:
    """What differs between the two."""

    network: str
    """Name in errors."""
    head: str
    """Prefix of the head's names."""
    mean_pose: str
    """Name of the mean pose in the head."""
    num_joints: int
    """Joints with the root."""
    ignored: tuple[str, ...]
    """Entries that estimating does not need: the body model, the training's critic, a flag."""


HMR2 = RegressorFile(
    network="HMR2",
    head="smpl_head",
    mean_pose="init_body_pose",
    num_joints=24,
    ignored=("smpl.*", "discriminator.*", "initialized"),
)
HAMER = RegressorFile(
    network="HaMeR",
    head="mano_head",
    mean_pose="init_hand_pose",
    num_joints=16,
    ignored=("mano.*", "discriminator.*", "initialized"),
)


def load_pose_regressor(path: str, file: RegressorFile) -> tuple[PoseRegressor, str]:
    """Returns the network of a checkpoint and the SHA-256 of the file.

    The size is read from the file; the number of the backbone's heads, which no shape tells, from its width.

    Raises:
        ValueError: The file is absent or not of this network; missing and unexpected names are listed.
    """
    checkpoint = read_checkpoint(path)
    tensors = checkpoint.tensors
    require_keys(tensors, size_keys(file.head), path=path, network=file.network)
    config = config_of(
        tensors,
        head=file.head,
        mean_pose=file.mean_pose,
        num_joints=file.num_joints,
        backbone_depth=max(1, num_blocks(tensors, "backbone.blocks")),
        depth=max(1, num_blocks(tensors, f"{file.head}.transformer.transformer.layers")),
    )
    with torch.device("meta"):
        network = PoseRegressor(config)
    return load_into(network, tensors, path=path, ignore=file.ignored), checkpoint.sha256

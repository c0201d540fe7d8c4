"""Body estimator ``prohmr``: the mode of ProHMR's pose distribution, its spread as uncertainty if wished.

Needs one file, ``checkpoint.pt`` as upstream gave it out: mean shape and camera lie in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.estimators.base import PersonBatch
from model.estimators.crop_network import CropNetwork, CropNetworkConfig
from model.estimators.prohmr.network import CROP_PX, IGNORED, SIZE_KEYS, ProHMRNetwork, config_of
from model.estimators.published_error import body_sigma_rad
from model.estimators.registry import register
from model.estimators.smpl_body import SmplBody
from model.imaging.squares import Square, keypoint_box, square_of_box
from model.weights import load_into, read_checkpoint, require_keys

BOX_SCALE = 1.2
"""Side of the crop in longer sides of the keypoints' box (rescale_factor of OpenPoseDataset)."""
NUM_BOX_POINTS = 23
"""Body and feet points among the 133 keypoints: the counterpart of OpenPose's BODY_25."""
JOINT_ERROR_M = 0.0598
"""Mean joint error of the mode on 3DPW after alignment (ProHMR: PA-MPJPE 59.8 mm)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProHMRBodyConfig(CropNetworkConfig):
    """How bodies are read."""

    min_score: float = 0.3
    """Score (0..1) that a keypoint must exceed to count for the crop."""
    min_points: int = 4
    """Such keypoints below which there is no crop."""
    num_samples: int = 0
    """Samples of the pose distribution from which a joint's spread is read; 0 leaves the published error alone."""
    seed: int = 0
    """Of the samples; all people share the same latents."""

    def __post_init__(self) -> None:
        CropNetworkConfig.__post_init__(self)
        if not 0 <= self.min_score <= 1 or self.min_points < 2 or self.num_samples < 0:
            raise ValueError(
                "prohmr: expected min_score in 0..1, min_points of at least 2 and num_samples of at least 0, got "
                f"{self.min_score}, {self.min_points} and {self.num_samples}"
            )


def load_network(path: str) -> tuple[ProHMRNetwork, str]:
    """Returns the network of a checkpoint, its size read from the file, and the file's SHA-256.

    Raises:
        ValueError: The file is absent or not ProHMR's; missing and unexpected names are listed.
    """
    checkpoint = read_checkpoint(path)
    require_keys(checkpoint.tensors, SIZE_KEYS, path=path, network="ProHMR")
    with torch.device("meta"):
        network = ProHMRNetwork(config_of(checkpoint.tensors))
    return load_into(network, checkpoint.tensors, path=path, ignore=IGNORED), checkpoint.sha256


def spread_rad(rotations: Tensor) -> Tensor:
    """Standard deviation an axis (B, J) of sampled rotations (B, N, J, 3, 3) about the first, the mode.

    The squared chord of a turn by an angle a, |R - S|^2 = 4 (1 - cos a), gives the mean square angle without its pole.
    """
    chord = (rotations[:, 1:] - rotations[:, :1]).square().sum((-1, -2))
    angle = torch.acos((1 - chord / 4).clamp(-1, 1))
    return (angle.square().mean(1) / 3).sqrt()


@register("body", "prohmr")
class ProHMRBody(SmplBody):
    """SMPL body pose from ProHMR."""

    name = "prohmr"
    licence = "code BSD-3-Clause; weights for research, made with SMPL (non-commercial)"
    sigma_rad = body_sigma_rad(JOINT_ERROR_M)

    Options = ProHMRBodyConfig

    def __init__(self, *, checkpoint_path: str, **options: Any) -> None:
        """Loads the network.

        Args:
            checkpoint_path: ``checkpoint.pt`` of ProHMR.
            **options: Fields of ``ProHMRBodyConfig``.

        Raises:
            ValueError: The file is absent or not ProHMR's, or an option is unknown or out of range.
        """
        self._config: ProHMRBodyConfig = ProHMRBodyConfig(**options)  # type: ignore[override]
        network, sha256 = load_network(checkpoint_path)
        num_latents = network.config.flow.features
        noise = np.random.default_rng(self._config.seed).standard_normal((self._config.num_samples, num_latents))
        latents = torch.from_numpy(np.concatenate([np.zeros((1, num_latents)), noise]).astype(np.float32))
        latents = latents.to(self._config.device)

        def read(crops: Tensor) -> dict[str, Tensor]:
            poses = network(crops, latents)
            found = {"rotations": poses.rotations[:, 0], "betas": poses.betas}
            return found | {"spread_rad": spread_rad(poses.rotations[:, :, :22])} if len(latents) > 1 else found

        self._network = CropNetwork(network, read, crop_px=CROP_PX, antialias=False, config=self._config)
        self.info = self.info_of(sha256)

    def square(self, batch: PersonBatch, row: int) -> Square | Refusal:
        """Square around the body and feet points that are seen."""
        points = batch.keypoints[row, :NUM_BOX_POINTS]
        box = keypoint_box(points, self._config.min_score, self._config.min_points)
        return Refusal(ErrorCode.KEYPOINTS_TOO_FEW, box) if isinstance(box, str) else square_of_box(box, BOX_SCALE)

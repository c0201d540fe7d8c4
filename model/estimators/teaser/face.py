"""The face estimators ``teaser`` and ``smirk``: both read a face crop the same way, from their own checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_manifest.schema.error_codes import Refusal
from model.body.skeleton import FACE
from model.estimators import conversions
from model.estimators.base import Array, FaceOutput, PersonBatch
from model.estimators.batching import run_in_batches
from model.estimators.crop_network import (
    CheckpointEstimator,
    CropNetworkConfig,
    finite_rows,
    mean_score,
    towards_camera,
)
from model.estimators.refusals import NOT_FINITE
from model.estimators.registry import register
from model.estimators.teaser.network import NUM_EXPRESSION, NUM_SHAPE, FaceEncoder
from model.estimators.teaser.region import RegionConfig, face_square
from model.imaging.squares import Square
from model.imaging.upstream_crop import cut
from model.weights import load_into, read_checkpoint

CROP_PX = 224
SIGMA_DEG = 5.0
"""Standard deviation of the head's orientation an axis. Neither paper publishes it: head-pose networks reach a mean
absolute error of 4 degrees an angle on AFLW2000 (6DRepNet: 3.97), which is 5 degrees of a normal error."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FaceConfig(CropNetworkConfig):
    """How faces are read; ``half`` is about the whole network."""

    region: RegionConfig = dataclasses.field(default_factory=RegionConfig)
    """Where the crop lies."""
    antialias: bool = True
    """Blur photos that shrink more than 2.2-fold; upstream does not and sees such faces jagged."""
    sigma_deg: float = SIGMA_DEG
    """Standard deviation of the head's orientation."""

    def __post_init__(self) -> None:
        CropNetworkConfig.__post_init__(self)
        if not self.sigma_deg > 0:
            raise ValueError(f"FaceConfig: sigma_deg must be positive, got {self.sigma_deg}")


class FaceNetwork(CheckpointEstimator):
    """FLAME parameters and head orientation of faces whose keypoints are known; where the eyes look they do not say.

    Weights in the file are called ``<name>_encoder.``, with the backend's name.
    """

    tokens: bool
    """Whether the file has the token encoder."""

    Options = FaceConfig

    def __init__(self, *, checkpoint_path: str, **options: Any) -> None:
        """Loads the network.

        Args:
            checkpoint_path: The file as upstream gives it out.
            **options: Fields of ``FaceConfig``.

        Raises:
            ValueError: The file is absent or not this network's, or an option is unknown or out of range.
        """
        self._config = FaceConfig(**options)
        self._device = torch.device(self._config.device)
        self._dtype = torch.float16 if self._config.half else torch.float32
        self._network, sha256 = load_network(checkpoint_path, name=self.name, tokens=self.tokens)
        self._network.requires_grad_(False).to(self._device, self._dtype)
        self.info = self.info_of(sha256)

    def estimate(self, batch: PersonBatch) -> FaceOutput:
        """Estimates one row a person; a face with too few keypoints stays neutral and invalid."""
        places = [self._square(keypoints) for keypoints in batch.keypoints]
        found = [(i, square) for i, square in enumerate(places) if isinstance(square, Square)]
        refusals = [place if isinstance(place, Refusal) else None for place in places]
        output = _neutral(refusals, self._config)
        if not found:
            return output
        rows, squares = np.array([i for i, _ in found]), [square for _, square in found]
        items = [(batch.images[i], square) for i, square in found]
        read = run_in_batches(items, self._crop, self._infer, self._config.crops_at_once)
        read["orient"] = self._orient(read["pose_rotvec"], squares, batch.focal_px[rows], batch.principal_px[rows])
        finite = finite_rows(read)
        for row, good in zip(rows, finite, strict=True):
            output.reasons[row] = None if good else NOT_FINITE
        good = rows[finite]
        output.valid[good] = True
        output.score[good] = mean_score(batch.keypoints[good][:, FACE, 2])
        output.flame_shape[good] = read["shape"][finite]
        output.flame_expression[good] = read["expression"][finite]
        output.jaw_pose[good] = read["jaw_rotvec"][finite]
        output.eyelids[good] = read["eyelids"][finite]
        output.eyelids_valid[good] = True
        output.head_orient[good] = read["orient"][finite]
        return output

    def _square(self, keypoints: Array) -> Square | Refusal:
        return face_square(keypoints, self._config.region)

    def _crop(self, item: tuple[Array, Square]) -> Array:
        rgb, square = item
        return cut(rgb, square, CROP_PX, antialias=self._config.antialias).pixels

    @torch.inference_mode()
    def _infer(self, crops: Array) -> dict[str, Array]:
        """Runs the network on (B, 224, 224, 3) crops of 0..255."""
        pixels = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        read = self._network((pixels / 255).to(self._dtype))
        return {field.name: getattr(read, field.name).float().cpu().numpy() for field in dataclasses.fields(read)}

    def _orient(self, pose_rotvec: Array, squares: list[Square], focal_px: Array, principal_px: Array) -> Array:
        """Head orientations (N, 3, 3) in the camera frame of the photo, of rotation vectors (N, 3) read in squares."""
        roll = torch.tensor([square.roll_rad for square in squares], dtype=torch.float64)
        orient = conversions.head_orient(torch.from_numpy(pose_rotvec).double(), roll).numpy()
        return towards_camera(orient, squares, focal_px, principal_px) if self._config.view_ray else orient


def load_network(path: str | Path, *, name: str, tokens: bool) -> tuple[FaceEncoder, str]:
    """Returns the encoders with the weights of a TEASER or SMIRK file, in evaluation mode, and the file's SHA-256.

    The image generator that lies in the same file has no part in this.

    Args:
        path: The file.
        name: ``teaser`` or ``smirk``.
        tokens: Whether the network has the token encoder.

    Raises:
        ValueError: The file is absent, unreadable, or not of this network.
    """
    checkpoint = read_checkpoint(path)
    with torch.device("meta"):
        network = FaceEncoder(tokens=tokens)
    load_into(
        network, checkpoint.tensors, prefix=f"{name}_encoder.", ignore=(f"{name}_generator.*",), path=checkpoint.path
    )
    return network.eval(), checkpoint.sha256


def _neutral(refusals: list[Refusal | None], config: FaceConfig) -> FaceOutput:
    """Rows of people whose faces were not read, with what is said against them so far."""
    num = len(refusals)
    frontal = np.diag([1.0, -1.0, -1.0])
    return FaceOutput(
        valid=np.zeros(num, dtype=bool),
        score=np.zeros(num),
        flame_shape=np.zeros((num, NUM_SHAPE)),
        flame_expression=np.zeros((num, NUM_EXPRESSION)),
        jaw_pose=np.zeros((num, 3)),
        eye_pose=np.zeros((num, 6)),
        eyelids=np.zeros((num, 2)),
        eyes_valid=np.zeros(num, dtype=bool),
        eyelids_valid=np.zeros(num, dtype=bool),
        head_orient=np.tile(frontal, (num, 1, 1)),
        sigma_rad=np.full(num, np.deg2rad(config.sigma_deg)),
        reasons=refusals,
    )


@register("face", "teaser")
class TeaserFace(FaceNetwork):
    """TEASER, from ``TEASER.pt`` or ``TEASER_v1.pt``."""

    name = "teaser"
    tokens = True
    licence = "none stated by the publisher: all rights reserved"


@register("face", "smirk")
class SmirkFace(FaceNetwork):
    """SMIRK, from ``SMIRK_em1.pt``: the same outputs without the token encoder."""

    name = "smirk"
    tokens = False
    licence = "MIT"

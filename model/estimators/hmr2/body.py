"""Body estimator ``hmr2``: HMR2.0b of 4D-Humans, beside ProHMR with the same outputs.

Needs one file, the Lightning checkpoint as upstream gives it out: mean pose, shape and camera lie in it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from datasets_manifest.schema.error_codes import ErrorCode, Refusal
from model.estimators.base import PersonBatch
from model.estimators.crop_network import CropNetwork, CropNetworkConfig
from model.estimators.published_error import body_sigma_rad
from model.estimators.registry import register
from model.estimators.regressor_files import HMR2, load_pose_regressor
from model.estimators.smpl_body import SmplBody
from model.imaging.boxes import box_problem
from model.imaging.squares import PORTRAIT, Square, square_of_box
from model.networks.pose_regressor import CROP_PX

JOINT_ERROR_M = 0.0543
"""Mean joint error on 3DPW after alignment (4D-Humans, HMR 2.0b: PA-MPJPE 54.3 mm)."""


@register("body", "hmr2")
class HMR2Body(SmplBody):
    """SMPL body pose from HMR2.0b."""

    name = "hmr2"
    licence = "code MIT; weights for research, made with SMPL (non-commercial)"
    sigma_rad = body_sigma_rad(JOINT_ERROR_M)

    Options = CropNetworkConfig

    def __init__(self, *, checkpoint_path: str, **options: Any) -> None:
        """Loads the network.

        Args:
            checkpoint_path: The ``.ckpt`` file of HMR2.0.
            **options: Fields of ``CropNetworkConfig``.

        Raises:
            ValueError: The file is absent or not HMR2's, or an option is unknown or out of range.
        """
        self._config = CropNetworkConfig(**options)
        network, sha256 = load_pose_regressor(checkpoint_path, HMR2)

        def read(crops: Tensor) -> dict[str, Tensor]:
            found = network(crops)
            return {"rotations": found.rotations, "betas": found.betas}

        self._network = CropNetwork(network, read, crop_px=CROP_PX, antialias=True, config=self._config)
        self.info = self.info_of(sha256)

    def square(self, batch: PersonBatch, row: int) -> Square | Refusal:
        """Square around the person's box, grown to 3 : 4."""
        box = batch.boxes_xyxy[row]
        height, width = batch.images[row].shape[:2]
        problem = box_problem(box, width, height)
        return Refusal(ErrorCode.BOX_INVALID, problem) if problem else square_of_box(box, 1.0, PORTRAIT)

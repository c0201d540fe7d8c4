"""What one training step is given: crops of people, their labels in the frame of the crop, and what of them is valid.

Legend: B people, C side of the crop in px.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, device

from model.batches import map_tensors
from model.body.parameters import EhmParameters


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingBatch:
    """B people, collated."""

    crops: Tensor
    """(B, 3, C, C) uint8 RGB."""
    target: EhmParameters
    """Labels, relative to the camera of the crop (augmented like the crop)."""
    keypoints_2d: Tensor
    """(B, 133, 3) COCO-WholeBody x, y in -0.5 .. 0.5 of the crop (0 is its centre) and a score; 0 is not seen."""
    body_valid: Tensor
    """(B,) bool: may the body supervise."""
    left_hand_valid: Tensor
    """(B,) bool."""
    right_hand_valid: Tensor
    """(B,) bool."""
    face_valid: Tensor
    """(B,) bool."""
    joint_seen: Tensor
    """(B, 22) bool, root and 21 body joints: is its turn known, or is it at its prior."""
    body_group_valid: Tensor
    """(B, 6) bool: may the limb supervise, see ``model.body.skeleton.BODY_GROUPS``; counts where the body is valid."""
    eyes_valid: Tensor
    """(B,) bool: may the eyes supervise; counts where the face is valid."""
    eyelids_valid: Tensor
    """(B,) bool: may the eyelids, likewise."""
    weight: Tensor
    """(B, 4) factors on what body, left hand, right hand and face supervise, from the label's qualities; 1 is full."""
    sample_ids: tuple[str, ...]
    """B sample ids, for messages and pictures."""
    crop_from_image: Tensor
    """(B, 2, 3) float64 affine from px of the upright photo to px of the crop; it mirrors where the crop does."""

    def to(self, target: device | str, *, non_blocking: bool = False) -> TrainingBatch:
        """The same on another device."""
        return map_tensors(self, lambda tensor: tensor.to(target, non_blocking=non_blocking))

    def __len__(self) -> int:
        """Number of people."""
        return len(self.weight)

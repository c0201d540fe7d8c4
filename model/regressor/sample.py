"""From a label row, its decoded photo and a draw of the augmentation to what the regressor is trained on.

``make_sample`` does what belongs to one person: the cut, its colours, the keypoints. ``collate`` turns the rotations of
all people of a batch at once: to matrices, into the camera of the crop (``model.imaging.crop_camera``), and mirrored
where the crop is.

Legend: B people, C side of the crop in px.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from model.batches import choose_rows
from model.body.parameters import EhmParameters
from model.body.skeleton import (
    BODY_GROUP_FLIP,
    HANDS_AND_FACE,
    HEAD,
    KEYPOINT_FLIP,
)
from model.estimators.base import Array
from model.imaging.crop import crop_transform, cut_crop, keypoints_in_crop
from model.imaging.crop_camera import crop_orient
from model.imaging.squares import Square, is_read
from model.regressor.augment import Augmentation
from model.regressor.batch import TrainingBatch
from model.regressor.flip import CoefficientMirror, mirror_joint_flags, mirror_parameters
from model.regressor.joint_rotations import joint_orientation

PART_INSIDE_SHARE = 0.5
"""A hand or face supervises only if this share of its seen keypoints is inside what the network reads."""
_BODY, _LEFT, _RIGHT, _FACE = range(4)
_MIRRORED_PARTS = [_BODY, _RIGHT, _LEFT, _FACE]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRow:
    """What training reads of one row of the label files; image coordinates in px of the upright photo."""

    sample_id: str
    """For messages."""
    image: str
    """Path in the data set."""
    size_px: tuple[int, int]
    """Width and height of the photo that was annotated; 0 where not known."""
    box_xyxy: Array
    """(4,)."""
    keypoints_2d: Array
    """(133, 3) x, y and score."""
    focal_px: float
    """Of the photo."""
    principal_px: Array
    """(2,)."""
    parameters: Mapping[str, Array]
    """Label columns of ``EhmParameters`` by name, each (n,) or its shape in a file; of the photo's camera."""
    part_valid: Array
    """(4,) bool: body, left hand, right hand, face."""
    joint_seen: Array
    """(22,) bool."""
    body_group_valid: Array
    """(6,) bool, limbs of ``model.body.skeleton.BODY_GROUPS``."""
    eyes_valid: bool
    """May the eyes supervise."""
    eyelids_valid: bool
    """May the eyelids."""
    weight: Array = field(default_factory=lambda: np.ones(4, np.float32))
    """(4,) factors on what body, left hand, right hand and face supervise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One person, cut; the label's rotations are not turned yet."""

    row: LabelRow
    """The label, as it is in the file."""
    augmentation: Augmentation
    """What was drawn."""
    crop: Array
    """(3, C, C) uint8 RGB."""
    crop_from_image: Array
    """(2, 3) float64."""
    keypoints_2d: Array
    """(133, 3) float32, crop coordinates, left and right exchanged where it is mirrored."""
    part_valid: Array
    """(4,) bool, likewise; a part that is not inside the crop is not valid."""
    joint_seen: Array
    """(22,) bool, likewise."""
    body_group_valid: Array
    """(6,) bool, likewise."""
    weight: Array
    """(4,), likewise."""


def make_sample(
    row: LabelRow,
    rgb: Array,
    augmentation: Augmentation,
    crop_px: int,
    *,
    reduction: int = 1,
    offset_px: tuple[float, float] = (0.0, 0.0),
    mirrored_faces: bool = True,
) -> Sample:
    """Cuts one person.

    Args:
        row: The label.
        rgb: (h, w, 3) uint8, the photo or a reduced photo.
        augmentation: Where and how.
        crop_px: C.
        reduction: As for ``cut_crop``.
        offset_px: As for ``cut_crop``.
        mirrored_faces: Whether the face of a mirrored crop may supervise (``CoefficientMirror.face_allowed``).
    """
    mirrored = augmentation.mirrored
    crop_from_image = crop_transform(augmentation.square, crop_px, mirrored=mirrored)
    pixels = cut_crop(rgb, crop_from_image, crop_px, reduction=reduction, offset_px=offset_px)
    planes = cv2.split(pixels)
    if augmentation.gains != (1.0, 1.0, 1.0):
        planes = [
            cv2.convertScaleAbs(plane, alpha=gain) for plane, gain in zip(planes, augmentation.gains, strict=True)
        ]
    keypoints = keypoints_in_crop(row.keypoints_2d, crop_from_image, crop_px)
    part_valid, joint_seen = _inside(row.part_valid, keypoints), row.joint_seen
    limbs, weight = row.body_group_valid, row.weight
    if mirrored:
        keypoints, joint_seen = keypoints[list(KEYPOINT_FLIP)], mirror_joint_flags(joint_seen)
        limbs, weight = limbs[list(BODY_GROUP_FLIP)], weight[_MIRRORED_PARTS]
        part_valid = part_valid[_MIRRORED_PARTS]
        part_valid[_FACE] &= mirrored_faces
    return Sample(
        row=row,
        augmentation=augmentation,
        crop=np.stack(planes),
        crop_from_image=crop_from_image,
        keypoints_2d=keypoints,
        part_valid=part_valid,
        joint_seen=joint_seen,
        body_group_valid=limbs,
        weight=weight,
    )


def collate(samples: Sequence[Sample], mirror: CoefficientMirror | None = None) -> TrainingBatch:
    """B people as one batch on the CPU.

    Args:
        samples: At least one, of equal numbers of coefficients.
        mirror: How coefficients are mirrored.

    Raises:
        ValueError: A crop is mirrored and ``mirror`` is not given.
    """
    rows = [sample.row for sample in samples]
    mirrored = torch.tensor([sample.augmentation.mirrored for sample in samples])
    parameters = in_crop_camera(label_parameters(rows), rows, [sample.augmentation.square for sample in samples])
    if mirrored.any():
        if mirror is None:
            raise ValueError("a crop is mirrored, so how this body's coefficients are mirrored must be given")
        parameters = choose_rows(mirrored, mirror_parameters(parameters, mirror), parameters)
    valid = torch.from_numpy(np.stack([sample.part_valid for sample in samples]))
    return TrainingBatch(
        crops=torch.from_numpy(np.stack([sample.crop for sample in samples])),
        target=parameters,
        keypoints_2d=torch.from_numpy(np.stack([sample.keypoints_2d for sample in samples])),
        body_valid=valid[:, _BODY].clone(),
        left_hand_valid=valid[:, _LEFT].clone(),
        right_hand_valid=valid[:, _RIGHT].clone(),
        face_valid=valid[:, _FACE].clone(),
        joint_seen=torch.from_numpy(np.stack([sample.joint_seen for sample in samples])),
        body_group_valid=torch.from_numpy(np.stack([sample.body_group_valid for sample in samples])),
        eyes_valid=torch.tensor([row.eyes_valid for row in rows]),
        eyelids_valid=torch.tensor([row.eyelids_valid for row in rows]),
        weight=torch.from_numpy(np.stack([sample.weight for sample in samples]).astype(np.float32)),
        sample_ids=tuple(row.sample_id for row in rows),
        crop_from_image=torch.from_numpy(np.stack([sample.crop_from_image for sample in samples])),
    )


def label_parameters(rows: Sequence[LabelRow]) -> EhmParameters:
    """The labels of B rows, orientations relative to the camera of the photo.

    ``head_orient`` is the turn of the head joint that the body's joints add up to.
    """
    people = EhmParameters.from_columns(
        {name: np.stack([row.parameters[name] for row in rows]) for name in rows[0].parameters}
    )
    return dataclasses.replace(people, head_orient=joint_orientation(people.local_rotations(), HEAD))


def in_crop_camera(parameters: EhmParameters, rows: Sequence[LabelRow], squares: Sequence[Square]) -> EhmParameters:
    """The same B people with the orientations that the cameras of their crops see (``crop_orient``).

    Args:
        parameters: Orientations relative to the camera of the photo.
        rows: Whose photo.
        squares: Where the crops lie in it, with their roll.
    """
    camera = (
        torch.tensor([square.centre_px for square in squares], dtype=torch.float32),
        torch.tensor([row.focal_px for row in rows], dtype=torch.float32),
        torch.tensor(np.stack([row.principal_px for row in rows]), dtype=torch.float32),
        torch.tensor([square.roll_rad for square in squares], dtype=torch.float32),
    )
    turned = {name: crop_orient(getattr(parameters, name), *camera) for name in ("global_orient", "head_orient")}
    return dataclasses.replace(parameters, **turned)


def _inside(part_valid: Array, keypoints: Array) -> Array:
    """Flags (4,) without the hands and the face that lie mostly outside what the network reads."""
    valid = np.array(part_valid, bool)
    seen = keypoints[:, 2] > 0
    inside = is_read(keypoints)
    for part, points in enumerate(HANDS_AND_FACE, _LEFT):
        num_seen = seen[points].sum()
        if num_seen and (seen & inside)[points].sum() < PART_INSIDE_SHARE * num_seen:
            valid[part] = False
    return valid

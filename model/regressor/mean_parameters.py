"""The parameters that a regressor starts from: its read-outs say what has to be added to them.

Rotations are in the 6D form of ``model.rotations``: first column, then second column. The two orientations are
relative to the crop's camera, x right, y down, z forward: an upright person who faces it is turned by diag(1, -1, -1).

Legend: B people, S, F, E numbers of SMPL-X shape, FLAME shape and expression coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import roma
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from model.body.parameters import EhmParameters
from model.body.skeleton import SMPLX_JOINT_NAMES
from model.estimators.conversions import sixd_from_interleaved
from model.regressor.config import NUM_POSE_JOINTS, RegressorConfig
from model.rotations import rotation_about_x, rotation_about_z, rotmat_to_6d, sixd_to_rotmat

NEUTRAL_CAMERA = (0.9, 0.0, 0.0)
"""s, tx, ty where a person of 1.75 m fills about four fifths of the crop: ``cam`` of SPIN's mean parameters."""
ARMS_DOWN_RAD = math.radians(60)
"""Turn of both shoulders from the T pose to relaxed arms."""
NUM_SMPL_POSE_JOINTS = 22
"""Joints that SMPL and SMPL-X share with the root: 0..21."""
ORTHONORMAL_TOLERANCE = 1e-3
"""SPIN's file is orthonormal to 1e-6; in the wrong layout its columns are off by 1."""


SMPLX_READOUTS = ("pose", "betas", "camera")
"""``pose`` (52, 6): pelvis in the camera frame, 21 body joints, 15 left and 15 right finger joints."""
FLAME_READOUTS = (
    "head_orient", "jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression", "head_scale",
)  # fmt: skip
"""Parameters by their names. In this order the weights are drawn."""
_BODY_END, _LEFT_HAND_END = 22, 37
"""Ends of root and body, and of the left hand, in the 52 rotations."""

MeanParameters: TypeAlias = Mapping[str, Tensor]
"""One person's read-outs by name, float32; rotations in the 6D form."""


def people_of(readouts: Mapping[str, Tensor]) -> EhmParameters:
    """Read-outs (B, ...) by name, without or with the camera -> B people."""
    pose = sixd_to_rotmat(readouts["pose"])
    known = {field: readouts[field.name] for field in EHM_FIELDS if field.name in readouts}
    return EhmParameters(
        global_orient=pose[..., 0, :, :],
        body_pose=pose[..., 1:_BODY_END, :, :],
        left_hand_pose=pose[..., _BODY_END:_LEFT_HAND_END, :, :],
        right_hand_pose=pose[..., _LEFT_HAND_END:, :, :],
        **{f.name: sixd_to_rotmat(value) if f.kind == "rotation" else value for f, value in known.items()},
    )


def check_mean(mean: MeanParameters, config: RegressorConfig) -> None:
    """Compares the shapes with those a network of this size has.

    Raises:
        ValueError: A read-out has another shape, or is not finite.
    """
    for name, expected in neutral(config).items():
        tensor, shape = mean[name], tuple(expected.shape)
        if tuple(tensor.shape) != shape:
            raise ValueError(f"mean parameters: {name} is {tuple(tensor.shape)}, the regressor needs {shape}")
        if not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"mean parameters: {name} is not finite")


def neutral(config: RegressorConfig) -> MeanParameters:
    """An upright person who faces the camera with relaxed arms, flat hands, open eyes and the mean shape."""
    rotations = torch.eye(3).repeat(NUM_POSE_JOINTS, 1, 1)
    rotations[0] = _facing()
    for name, sign in (("left_shoulder", -1.0), ("right_shoulder", 1.0)):
        rotations[SMPLX_JOINT_NAMES.index(name)] = rotation_about_z(torch.tensor(sign * ARMS_DOWN_RAD))
    rest = EhmParameters.neutral(size=config.size, head_orient=_facing())
    values = {name: rest.known(name) for name in ("betas", *FLAME_READOUTS)}
    found = {f.name: rotmat_to_6d(values[f.name]) if f.kind == "rotation" else values[f.name].clone()
             for f in EHM_FIELDS if f.name in values}  # fmt: skip
    return {"pose": rotmat_to_6d(rotations), "camera": torch.tensor(NEUTRAL_CAMERA)} | found


def from_smpl_mean(arrays: Mapping[str, object], config: RegressorConfig) -> MeanParameters:
    """Body pose and camera from the ``smpl_mean_params.npz`` that SPIN published and HMR2 trains with.

    Its 24 rotations are stored row by row, (a1 b1 a2 b2 a3 b3). The root already is in the camera frame (it is
    diag(1, -1, -1)). Its joints 1..21 are those of SMPL-X. Its shape is not taken: the coefficients belong to SMPL's
    directions, which are not those of SMPL-X. All else is ``neutral``.

    Args:
        arrays: ``pose`` (144,) and ``cam`` (3,).
        config: Size of the regressor.

    Raises:
        ValueError: An array is missing or has another shape, or the rotations are stored in another layout.
    """
    pose, camera = (_vector(arrays, name, size) for name, size in (("pose", 144), ("cam", 3)))
    rows = pose.view(24, 6)
    columns = sixd_from_interleaved(rows)
    if not _orthonormal(columns):
        other = "but read column after column they are: it has to be stored the other way round"
        hint = other if _orthonormal(rows) else "nor are they read column after column: it is another file"
        raise ValueError(
            "mean parameters: pose must hold 24 rotations stored row by row (a1 b1 a2 b2 a3 b3), as SPIN's "
            f"smpl_mean_params.npz does; read so, its columns are not orthonormal, {hint}"
        )
    base = neutral(config)
    mean = torch.cat([columns[:NUM_SMPL_POSE_JOINTS], base["pose"][NUM_SMPL_POSE_JOINTS:]])
    return {**base, "pose": mean, "camera": camera}


def of_labels(
    labels: EhmParameters,
    config: RegressorConfig,
    *,
    body_valid: Tensor | None = None,
    left_hand_valid: Tensor | None = None,
    right_hand_valid: Tensor | None = None,
    face_valid: Tensor | None = None,
    eyes_valid: Tensor | None = None,
    eyelids_valid: Tensor | None = None,
) -> MeanParameters:
    """Mean of labels: the rotation closest to the sum of all (chordal mean), and the plain mean of the rest.

    Args:
        labels: Parameters of B people relative to the cameras of their crops.
        config: Size of the regressor; its numbers of coefficients are the labels'.
        body_valid: (B,) bool, whose pelvis, body, shape count; None is everybody.
        left_hand_valid: (B,) bool.
        right_hand_valid: (B,) bool.
        face_valid: (B,) bool, for head, jaw, eyes, eyelids, FLAME coefficients; the head scale needs the body as well.
        eyes_valid: (B,) bool, whose eyes count where the face does.
        eyelids_valid: (B,) bool, likewise.

    Returns:
        The mean; a part that nobody has is ``neutral``.

    Raises:
        ValueError: The labels have other numbers of coefficients, or a valid one is not finite.
    """
    everybody = torch.ones(len(labels), dtype=torch.bool, device=labels.betas.device)
    flags = {"body": body_valid, "left_hand": left_hand_valid, "right_hand": right_hand_valid, "face": face_valid}
    valid = {part: everybody if flag is None else flag for part, flag in flags.items()}
    needed = {"head_scale": body_valid, "eye_pose": eyes_valid, "eyelids": eyelids_valid}
    base = neutral(config)

    def plain(values: Tensor, flag: Tensor, otherwise: Tensor) -> Tensor:
        return values[flag].double().mean(0).float().cpu() if bool(flag.any()) else otherwise

    def turn(values: Tensor, flag: Tensor, otherwise: Tensor) -> Tensor:
        if not bool(flag.any()):
            return otherwise
        closest = roma.special_procrustes(values[flag].double().mean(0))
        assert isinstance(closest, Tensor)  # It returns a pair if asked for singular values.
        return rotmat_to_6d(closest).float().cpu()

    trunk = torch.cat([labels.global_orient[:, None], labels.body_pose], 1)
    parts = ((trunk, "body"), (labels.left_hand_pose, "left_hand"), (labels.right_hand_pose, "right_hand"))
    rests = base["pose"].split([value.shape[1] for value, _ in parts])
    turned = [turn(value, valid[part], rest) for (value, part), rest in zip(parts, rests, strict=True)]
    mean = {"pose": torch.cat(turned)}
    mean["camera"] = base["camera"]
    for field in EHM_FIELDS:
        if field.name in base:
            also = needed.get(field.name)
            flag = valid[field.part] if also is None else valid[field.part] & also
            average = turn if field.kind == "rotation" else plain
            mean[field.name] = average(labels.known(field.name), flag, base[field.name])
    check_mean(mean, config)
    return mean


def _facing() -> Tensor:
    """diag(1, -1, -1) without the rounding of a sine."""
    return rotation_about_x(math.pi).round()


def _vector(arrays: Mapping[str, object], name: str, size: int) -> Tensor:
    if name not in arrays:
        raise ValueError(f"mean parameters: {name} is missing, the file has {', '.join(sorted(arrays)) or 'nothing'}")
    tensor = torch.as_tensor(arrays[name]).float()
    if tensor.numel() != size:
        raise ValueError(f"mean parameters: {name} is {tuple(tensor.shape)}, expected ({size},)")
    return tensor.flatten()


def _orthonormal(sixd: Tensor) -> bool:
    """Are the two columns of all (N, 6) unit vectors at a right angle."""
    columns = sixd.unflatten(-1, (2, 3))
    return bool(torch.allclose(columns @ columns.mT, torch.eye(2), atol=ORTHONORMAL_TOLERANCE))

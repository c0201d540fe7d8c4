"""The parameters that a regressor starts from: its read-outs say what has to be added to them.

Rotations are in the 6D form of ``model.rotations``: first column, then second column. The two orientations are
relative to the crop's camera, x right, y down, z forward: an upright person who faces it is turned by diag(1, -1, -1).

Legend: B people, S, F, E numbers of SMPL-X shape, FLAME shape and expression coefficients.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from model.body.parameters import EhmParameters
from model.body.skeleton import SMPLX_JOINT_NAMES
from model.estimators.conversions import sixd_from_interleaved
from model.regressor.config import NUM_POSE_JOINTS, RegressorConfig
from model.rotations import rotation_about_x, rotation_about_z, rotmat_to_6d

NEUTRAL_CAMERA = (0.9, 0.0, 0.0)
"""s, tx, ty where a person of 1.75 m fills about four fifths of the crop: ``cam`` of SPIN's mean parameters."""
ARMS_DOWN_RAD = math.radians(60)
"""Turn of both shoulders from the T pose to relaxed arms."""
NUM_SMPL_POSE_JOINTS = 22
"""Joints that SMPL and SMPL-X share with the root: 0..21."""
ORTHONORMAL_TOLERANCE = 1e-3
"""SPIN's file is orthonormal to 1e-6; in the wrong layout its columns are off by 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanParameters:
    """One person's parameters, float32."""

    pose: Tensor
    """(52, 6) pelvis in the camera frame, 21 body joints, 15 left and 15 right finger joints."""
    betas: Tensor
    """(S,) SMPL-X shape."""
    camera: Tensor
    """(3,) s, tx, ty of the crop's camera."""
    head_orient: Tensor
    """(6,) head in the camera frame."""
    jaw_pose: Tensor
    """(6,)."""
    eye_pose: Tensor
    """(2, 6) left, right."""
    eyelids: Tensor
    """(2,) left, right; 0 open, 1 closed."""
    flame_shape: Tensor
    """(F,)."""
    flame_expression: Tensor
    """(E,)."""
    head_scale: Tensor
    """(3,)."""

    def named(self) -> dict[str, Tensor]:
        """Field name to tensor."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def check(self, config: RegressorConfig) -> None:
        """Compares the shapes with those a network of this size has.

        Raises:
            ValueError: A field has another shape, or is not finite.
        """
        for name, shape in shapes(config).items():
            tensor = getattr(self, name)
            if tuple(tensor.shape) != shape:
                raise ValueError(f"mean parameters: {name} is {tuple(tensor.shape)}, the regressor needs {shape}")
            if not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"mean parameters: {name} is not finite")


def shapes(config: RegressorConfig) -> dict[str, tuple[int, ...]]:
    """Field of MeanParameters to its shape in a network of this size."""
    return {
        "pose": (NUM_POSE_JOINTS, 6),
        "betas": (config.num_betas,),
        "camera": (3,),
        "head_orient": (6,),
        "jaw_pose": (6,),
        "eye_pose": (2, 6),
        "eyelids": (2,),
        "flame_shape": (config.num_flame_shape,),
        "flame_expression": (config.num_expression,),
        "head_scale": (3,),
    }


def neutral(config: RegressorConfig) -> MeanParameters:
    """An upright person who faces the camera with relaxed arms, flat hands, open eyes and the mean shape."""
    rotations = torch.eye(3).repeat(NUM_POSE_JOINTS, 1, 1)
    rotations[0] = _facing()
    for name, sign in (("left_shoulder", -1.0), ("right_shoulder", 1.0)):
        rotations[SMPLX_JOINT_NAMES.index(name)] = rotation_about_z(torch.tensor(sign * ARMS_DOWN_RAD))
    identity = rotmat_to_6d(torch.eye(3))
    return MeanParameters(
        pose=rotmat_to_6d(rotations),
        betas=torch.zeros(config.num_betas),
        camera=torch.tensor(NEUTRAL_CAMERA),
        head_orient=rotmat_to_6d(_facing()),
        jaw_pose=identity,
        eye_pose=identity.repeat(2, 1),
        eyelids=torch.zeros(2),
        flame_shape=torch.zeros(config.num_flame_shape),
        flame_expression=torch.zeros(config.num_expression),
        head_scale=torch.ones(3),
    )


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
    mean = torch.cat([columns[:NUM_SMPL_POSE_JOINTS], base.pose[NUM_SMPL_POSE_JOINTS:]])
    return dataclasses.replace(base, pose=mean, camera=camera)


def of_labels(
    labels: EhmParameters,
    config: RegressorConfig,
    *,
    body_valid: Tensor | None = None,
    left_hand_valid: Tensor | None = None,
    right_hand_valid: Tensor | None = None,
    face_valid: Tensor | None = None,
    camera: Tensor | None = None,
) -> MeanParameters:
    """Mean of labels: the rotation closest to the sum of all (chordal mean), and the plain mean of the rest.

    Args:
        labels: Parameters of B people relative to the cameras of their crops.
        config: Size of the regressor; its numbers of coefficients are the labels'.
        body_valid: (B,) bool, whose pelvis, body, shape count; None is everybody.
        left_hand_valid: (B,) bool.
        right_hand_valid: (B,) bool.
        face_valid: (B,) bool, for head, jaw, eyes, eyelids, FLAME coefficients; the head scale needs the body as well.
        camera: (B, 3) s, tx, ty of the people with a valid body; None takes the neutral one.

    Returns:
        The mean; a part that nobody has is ``neutral``.

    Raises:
        ValueError: The labels have other numbers of coefficients, or a valid one is not finite.
    """
    everybody = torch.ones(len(labels), dtype=torch.bool, device=labels.betas.device)
    body, left, right, face = (
        everybody if valid is None else valid for valid in (body_valid, left_hand_valid, right_hand_valid, face_valid)
    )
    base = neutral(config)

    def plain(values: Tensor, valid: Tensor, otherwise: Tensor) -> Tensor:
        return values[valid].double().mean(0).float().cpu() if bool(valid.any()) else otherwise

    def turn(values: Tensor, valid: Tensor, otherwise: Tensor) -> Tensor:
        if not bool(valid.any()):
            return otherwise
        closest = roma.special_procrustes(values[valid].double().mean(0))
        assert isinstance(closest, Tensor)  # It returns a pair if asked for singular values.
        return rotmat_to_6d(closest).float().cpu()

    trunk = torch.cat([labels.global_orient[:, None], labels.body_pose], 1)
    split = trunk.shape[1]
    middle = split + labels.left_hand_pose.shape[1]
    mean = MeanParameters(
        pose=torch.cat(
            [
                turn(trunk, body, base.pose[:split]),
                turn(labels.left_hand_pose, left, base.pose[split:middle]),
                turn(labels.right_hand_pose, right, base.pose[middle:]),
            ]
        ),
        betas=plain(labels.betas, body, base.betas),
        camera=base.camera if camera is None else plain(camera, body, base.camera),
        head_orient=turn(labels.head_orient, face, base.head_orient),
        jaw_pose=turn(labels.jaw_pose, face, base.jaw_pose),
        eye_pose=turn(labels.eye_pose, face, base.eye_pose),
        eyelids=plain(labels.eyelids, face, base.eyelids),
        flame_shape=plain(labels.flame_shape, face, base.flame_shape),
        flame_expression=plain(labels.flame_expression, face, base.flame_expression),
        head_scale=plain(labels.head_scale, face & body, base.head_scale),
    )
    mean.check(config)
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

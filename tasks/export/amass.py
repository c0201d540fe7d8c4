"""A motion as an NPZ in the form of AMASS: that of SMPL-X (`poses` of 165 numbers), or of SMPL+H (156).

The keys are those of the released files, without their markers. What they have no place for has keys of its own,
beginning with ``pear_``, which readers of AMASS pass over.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from datasets_manifest.schema.ehm_fields import PART_NAMES
from model.body.ehms import EHMs
from tasks.export.motion import FrameState, Motion
from tasks.export.rest import rest_of

NUM_BETAS = 16
"""Of the released files; a body of fewer has zeros behind."""
_NUM_DMPLS = 8
_BODY = {"root_orient": "global_orient", "pose_body": "body_pose"}
_FACE = {"pose_jaw": "jaw_pose", "pose_eye": "eye_pose"}
_HANDS = ("left_hand_pose", "right_hand_pose")


def encode_smplx(motion: Motion, body: EHMs) -> bytes:
    """The form of the SMPL-X release: `poses` are root, body, jaw, eyes, left and right hand; flat hands are zero."""
    columns = _columns(motion)
    parts = {name: columns[own] for name, own in (_BODY | _FACE).items()}
    parts["pose_hand"] = np.concatenate([columns[name] for name in _HANDS], 1)
    betas = _betas(columns["betas"][0])
    return _npz(
        trans=_trans(motion, body),
        poses=np.concatenate(list(parts.values()), 1),
        betas=betas,
        num_betas=np.array(len(betas)),
        gender=np.array("neutral"),
        surface_model_type=np.array("smplx"),
        mocap_frame_rate=np.array(motion.rate_hz),
        mocap_time_length=np.array(len(motion) / motion.rate_hz),
        **parts,
        **_own(motion, columns),
    )


def encode_smplh(motion: Motion, body: EHMs) -> bytes:
    """The form of the SMPL+H release: `poses` are root, body, left and right hand. Its shape space is another one, so
    that `betas` are zero: the mean person. The rest pelvis, too: where the pelvis is, ``pear_pelvis_m`` says."""
    columns = _columns(motion)
    joints = (*_BODY.values(), *_HANDS)
    return _npz(
        trans=_trans(motion, body),
        poses=np.concatenate([columns[name] for name in joints], 1),
        betas=np.zeros(NUM_BETAS),
        dmpls=np.zeros((len(motion), _NUM_DMPLS)),
        gender=np.array("neutral"),
        mocap_framerate=np.array(motion.rate_hz),
        **_own(motion, columns),
    )


def _columns(motion: Motion) -> dict[str, np.ndarray]:
    return {name: values.double().numpy() for name, values in motion.parameters.columns().items()}


def _trans(motion: Motion, body: EHMs) -> np.ndarray:
    """(T, 3) what is added to the model, whose rest pelvis is not at its origin."""
    return motion.parameters.known("transl_m").double().numpy() - rest_of(body, motion.parameters).joints[0]


def _betas(betas: np.ndarray) -> np.ndarray:
    return np.concatenate([betas, np.zeros(max(0, NUM_BETAS - len(betas)))])


def _own(motion: Motion, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What AMASS has no place for."""
    gaps = np.array(motion.frames_of(FrameState.FILLED), np.int64).reshape(-1, 2)
    own: dict[str, Any] = {
        "pelvis_m": columns["transl_m"],
        "betas": columns["betas"][0],
        "flame_shape": columns["flame_shape"][0],
        "head_scale": columns["head_scale"][0],
        "flame_expression": columns["flame_expression"],
        "eyelids": columns["eyelids"],
        "frame": motion.frame,
        "time_s": motion.time_s,
        "state": motion.state,
        "state_names": [state.name.lower() for state in FrameState],
        "gaps": gaps,
        "part_valid": motion.part_valid,
        "part_names": list(PART_NAMES),
        "reference": motion.reference,
        "axes": motion.axes,
        "axes_from_reference": motion.axes_from_reference,
        "body_model": json.dumps(dict(motion.body_model), sort_keys=True),
        "licence": motion.licence,
    }
    return {f"pear_{name}": np.array(value) for name, value in own.items()}


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()

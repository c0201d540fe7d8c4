"""Rows of predictions: one a person, and one for a photo, frame or video that gave none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from datasets_manifest.schema.columns import Columns, Values, table_from_columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import ErrorCode, Refusal, Status
from datasets_manifest.schema.predictions import SEEN_COLUMNS, prediction_id
from model.body.parameters import EhmParameters
from model.imaging.squares import Square
from model.regressor.joint_rotations import global_rotations
from model.regressor.photo_people import PhotoPrediction
from model.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from tasks.predict.inputs import InputFrame
from tasks.predict.people import FoundPeople


def unread_rows(frame: InputFrame, schema: pa.Schema) -> pa.Table:
    """The row of a file, or of the rest of a video, that could not be read."""
    assert frame.error is not None
    return table_from_columns(_key(frame, 1) | _failed(frame.error.code, frame.error.detail), schema)


def empty_rows(frame: InputFrame, found: FoundPeople, schema: pa.Schema) -> pa.Table:
    """The row of a photo or frame without people."""
    size = _size(frame, 1)
    state = _failed(
        ErrorCode.NO_PERSON_FOUND, f"no person was found in {size['image_width'][0]} x {size['image_height'][0]} pixels"
    )
    if found.failure is not None:
        state = _failed(ErrorCode.ESTIMATOR_FAILED, found.failure)
    return table_from_columns(_key(frame, 1) | size | state, schema)


def person_rows(
    frame: InputFrame, found: FoundPeople, tracks: Sequence[int | None], prediction: PhotoPrediction, schema: pa.Schema
) -> pa.Table:
    """A row for each person that was found.

    Args:
        frame: The photo or frame.
        found: All P people.
        tracks: Who each of them is in a video.
        prediction: The people among them whose box is usable, in the same order.
        schema: Of whole predictions, or of rotations alone.
    """
    num, usable = len(found), np.flatnonzero(found.usable)
    finite = np.asarray(prediction.is_finite, bool)
    values = {"crop_camera": prediction.crop_camera.numpy()}
    if prediction.joints_m is None or prediction.keypoints_px is None:
        values |= rotation_columns(prediction.parameters)
    else:
        values |= body_columns(prediction.parameters, prediction.joints_m.numpy(), prediction.keypoints_px)
    if prediction.seen is not None:
        values |= {name: prediction.seen[:, k] for k, name in enumerate(SEEN_COLUMNS)}
    crops = {
        "bbox_xyxy": found.boxes_xyxy[usable],
        "crop_square": [np.array([*square.centre_px, square.side_px]) for square in prediction.squares],
        "focal_px": [prediction.focal_px] * len(usable),
        "principal_px": [prediction.principal_px] * len(usable),
    }
    reasons = list(found.doubts)
    states = [Status.FAILED] * num
    for person, is_finite in zip(usable, finite, strict=True):
        if is_finite:
            states[person] = Status.OK if reasons[person] is None else Status.PARTIAL
        else:
            reasons[person] = Refusal(code := ErrorCode.PREDICTION_NOT_FINITE, code.sentence)
    columns: dict[str, Values] = {
        **_key(frame, num),
        **_size(frame, num),
        "track": tracks,
        "detection_score": found.scores,
        "bbox_source": found.sources,
        "status": states,
        "error_code": [reason and reason.code for reason in reasons],
        "error_detail": [reason and reason.detail for reason in reasons],
        **{name: _placed(own, usable, num) for name, own in crops.items()},
        **{name: _placed(own[finite], usable[finite], num) for name, own in values.items()},
    }
    return table_from_columns(columns, schema)


def prediction_of(rows: Columns) -> PhotoPrediction:
    """The prediction that one or more rows of a photo or frame were made of, as far as it is drawn."""
    squares = [Square(centre_px=(x, y), side_px=side) for x, y, side in rows["crop_square"].tolist()]
    return PhotoPrediction(
        parameters=people_of(rows),
        crop_camera=torch.from_numpy(rows["crop_camera"].copy()),
        squares=tuple(squares),
        focal_px=float(rows["focal_px"][0]),
        principal_px=rows["principal_px"][0],
        joints_m=torch.from_numpy(rows["joints_m"].copy()),
        keypoints_px=rows["keypoints_2d"].copy(),
        seen=np.stack([rows[name] for name in SEEN_COLUMNS], 1),
    )


def _placed(values: Sequence[Any] | np.ndarray, rows: np.ndarray, count: int) -> list[Any]:
    """Values of some of ``count`` rows, None in the others."""
    placed: list[Any] = [None] * count
    for row, value in zip(rows, values, strict=True):
        placed[row] = value
    return placed


def body_columns(people: EhmParameters, joints_m: np.ndarray, keypoints_px: np.ndarray) -> dict[str, np.ndarray]:
    """(P, ...) by column of the whole schema: what is said of the bodies of P people.

    Args:
        people: In the camera of their photo.
        joints_m: (P, 55, 3) theirs.
        keypoints_px: (P, 133, 2) theirs.
    """
    return {
        **{name: values.numpy() for name, values in people.columns().items()},
        "global_rotations": _chained(people.local_rotations()),
        "joints_m": joints_m,
        "keypoints_2d": keypoints_px,
    }


def rotation_columns(people: EhmParameters) -> dict[str, np.ndarray]:
    """(P, ...) by column of the schema of rotations."""
    local = people.local_rotations()
    return {
        "local_rotations": rotmat_to_rotvec(local).numpy(),
        "global_rotations": _chained(local),
        "head_orient": people.columns()["head_orient"].numpy(),
    }


def people_of(rows: Columns) -> EhmParameters:
    """The people of rows that have a prediction; of rotations alone they have no place and the mean shape."""
    if "local_rotations" not in rows:
        return EhmParameters.from_columns({name: rows[name] for name in (*LABEL_PARAMETERS, "head_orient")})
    local = rotvec_to_rotmat(torch.from_numpy(rows["local_rotations"].copy()))
    pelvis, body, jaw, eyes, left, right = local.split([1, 21, 1, 2, 15, 15], 1)
    return dataclasses.replace(
        EhmParameters.from_columns({"head_orient": rows["head_orient"]}),
        global_orient=pelvis[:, 0],
        body_pose=body,
        jaw_pose=jaw[:, 0],
        eye_pose=eyes,
        left_hand_pose=left,
        right_hand_pose=right,
    )


def _chained(local: Tensor) -> np.ndarray:
    """Local rotations (P, 55, 3, 3) -> every joint's relative to the camera as axis-angle (P, 55, 3)."""
    return rotmat_to_rotvec(global_rotations(local)).numpy()


def _key(frame: InputFrame, count: int) -> dict[str, Values]:
    """Key columns of ``count`` people."""
    name = frame.source.name
    return {
        "sample_id": [prediction_id(name, frame.frame, person) for person in range(count)],
        "source": [name] * count,
        "frame": [frame.frame] * count,
        "time_s": [frame.time_s] * count,
        "person": np.arange(count),
    }


def _size(frame: InputFrame, count: int) -> dict[str, Sequence[int]]:
    assert frame.rgb is not None
    return {"image_width": [frame.rgb.shape[1]] * count, "image_height": [frame.rgb.shape[0]] * count}


def _failed(code: ErrorCode, detail: str) -> dict[str, Values]:
    return {"status": [Status.FAILED], "error_code": [code], "error_detail": [detail]}

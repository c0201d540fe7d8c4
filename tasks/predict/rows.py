"""Rows of predictions: one a person, and one for a photo, frame or video that gave none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from datasets_manifest.schema.columns import Values, table_from_columns
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.error_codes import ErrorCode, Refusal, Status
from datasets_manifest.schema.predictions import prediction_id
from model.regressor.joint_rotations import global_rotations
from model.regressor.photo_people import PhotoPrediction
from model.rotations import rotmat_to_rotvec
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
    values = _parameters(prediction) if "joints_m" in schema.names else _rotations(prediction)
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


def _placed(values: Sequence[Any] | np.ndarray, rows: np.ndarray, count: int) -> list[Any]:
    """Values of some of ``count`` rows, None in the others."""
    placed: list[Any] = [None] * count
    for row, value in zip(rows, values, strict=True):
        placed[row] = value
    return placed


def _parameters(prediction: PhotoPrediction) -> dict[str, np.ndarray]:
    """(P, ...) by column of the whole schema."""
    people = prediction.parameters
    assert prediction.joints_m is not None
    assert prediction.keypoints_px is not None
    assert prediction.seen is not None
    return {
        "crop_camera": prediction.crop_camera.numpy(),
        **{name: values.numpy() for name, values in people.columns().items()},
        "global_rotations": _chained(people.local_rotations()),
        "joints_m": prediction.joints_m.numpy(),
        "keypoints_2d": prediction.keypoints_px,
        **{f"{part}_seen": prediction.seen[:, k] for k, part in enumerate(PART_NAMES)},
    }


def _rotations(prediction: PhotoPrediction) -> dict[str, np.ndarray]:
    """(P, ...) by column of the schema of rotations."""
    local = prediction.parameters.local_rotations()
    return {
        "crop_camera": prediction.crop_camera.numpy(),
        "local_rotations": rotmat_to_rotvec(local).numpy(),
        "global_rotations": _chained(local),
        "head_orient": prediction.parameters.columns()["head_orient"].numpy(),
    }


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

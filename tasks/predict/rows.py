"""Rows of predictions: one a person, and one for a photo, frame or video that gave none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from datasets_manifest.schema.error_codes import ErrorCode, Status
from datasets_manifest.schema.predictions import prediction_id
from model.regressor.joint_rotations import global_rotations
from model.regressor.photo_people import PhotoPrediction
from model.rotations import rotmat_to_rotvec
from tasks.predict.inputs import InputFrame
from tasks.predict.people import FoundPeople

Row = dict[str, Any]


def unread_row(frame: InputFrame) -> Row:
    """The row of a file, or of the rest of a video, that could not be read."""
    assert frame.error is not None
    return _key(frame, 0) | _failed(frame.error.code, frame.error.detail)


def empty_row(frame: InputFrame, found: FoundPeople) -> Row:
    """The row of a photo or frame without people."""
    size = _size(frame)
    if found.failure is not None:
        return _key(frame, 0) | size | _failed(ErrorCode.ESTIMATOR_FAILED, found.failure)
    detail = f"no person was found in {size['image_width']} x {size['image_height']} pixels"
    return _key(frame, 0) | size | _failed(ErrorCode.NO_PERSON_FOUND, detail)


def person_rows(
    frame: InputFrame, found: FoundPeople, prediction: PhotoPrediction, *, rotations_only: bool
) -> Iterator[Row]:
    """A row for each person that was found.

    Args:
        frame: The photo or frame.
        found: All P people.
        prediction: The people among them whose box is usable, in the same order.
        rotations_only: Which schema the rows are of.
    """
    values = _rotations(prediction) if rotations_only else _parameters(prediction)
    finite, index = prediction.is_finite, 0
    for person in range(len(found)):
        row = _key(frame, person) | _size(frame)
        row |= {"detection_score": found.scores[person], "bbox_source": found.sources[person]}
        if not found.usable[person]:
            yield row | _failed(ErrorCode.BOX_INVALID, ErrorCode.BOX_INVALID.sentence)
            continue
        square = prediction.squares[index]
        row |= {
            "bbox_xyxy": found.boxes_xyxy[person],
            "crop_square": np.array([*square.centre_px, square.side_px]),
            "focal_px": prediction.focal_px,
            "principal_px": prediction.principal_px,
        }
        if finite[index]:
            yield row | _state(found.doubts[person]) | {name: value[index] for name, value in values.items()}
        else:
            yield row | _failed(ErrorCode.PREDICTION_NOT_FINITE, ErrorCode.PREDICTION_NOT_FINITE.sentence)
        index += 1


def _parameters(prediction: PhotoPrediction) -> dict[str, np.ndarray]:
    """(P, ...) by column of the whole schema."""
    people = prediction.parameters
    assert prediction.joints_m is not None
    assert prediction.keypoints_px is not None
    return {
        "crop_camera": prediction.crop_camera.numpy(),
        **{name: values.numpy() for name, values in people.columns().items()},
        "global_rotations": _chained(people.local_rotations()),
        "joints_m": prediction.joints_m.numpy(),
        "keypoints_2d": prediction.keypoints_px,
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


def _key(frame: InputFrame, person: int) -> Row:
    name = frame.source.name
    return {
        "sample_id": prediction_id(name, frame.frame, person),
        "source": name,
        "frame": frame.frame,
        "time_s": frame.time_s,
        "person": person,
    }


def _size(frame: InputFrame) -> Row:
    assert frame.rgb is not None
    return {"image_width": frame.rgb.shape[1], "image_height": frame.rgb.shape[0]}


def _state(doubt: ErrorCode | None) -> Row:
    if doubt is None:
        return {"status": Status.OK, "error_code": None, "error_detail": None}
    return {"status": Status.PARTIAL, "error_code": doubt, "error_detail": doubt.sentence}


def _failed(code: ErrorCode, detail: str) -> Row:
    return {"status": Status.FAILED, "error_code": code, "error_detail": detail}

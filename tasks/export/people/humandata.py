"""People as HumanData, the NPZ of mmhuman3d, which SMPLer-X and SMPLest-X learn from.

Points are in its order of 190, all of them there (not compressed). What a label does not trust is said as its readers
understand it: a person without a trusted body by ``meta['annot_valid']``, a hand by a pose of zeros and a box of score
0, a face by a box of score 0, points by a confidence of 0. There is no `expression`, so that readers supervise none:
the labels' is FLAME's, in ``pear_flame_expression``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.keypoint_sets import NUM_HUMANDATA_POINTS, SMPLX_144
from model.body import skeleton
from tasks.export.people.npz_file import Column, Columns, write_npz
from tasks.export.people.people import NUM_JOINTS, People, extent_xywh
from tasks.export.people.target import BOX_MARGIN, Target, texts

_HANDS = {"left_hand": "lhand", "right_hand": "rhand"}
_OWN = ("flame_shape", "flame_expression", "eyelids", "head_scale")


def write(batches: Iterable[People], target: Target) -> int:
    """Writes ``<stem>.npz``; returns the number of people."""
    with Columns(target.exported.folder) as own:
        count = own.take(_columns(people, target.images(people)) for people in batches)
        if count:
            with target.opened(".npz", people=count) as file:
                write_npz(file, _members(own.columns, target, count))
    return count


def _members(columns: Mapping[str, Column], target: Target, count: int) -> dict[str, Column | np.ndarray]:
    fitted, seen = np.zeros(NUM_HUMANDATA_POINTS, np.uint8), np.zeros(NUM_HUMANDATA_POINTS, np.uint8)
    fitted[:NUM_JOINTS], seen[list(SMPLX_144)] = 1, 1
    smplx = {name.removeprefix("smplx/"): own.array() for name, own in columns.items() if name.startswith("smplx/")}
    # Lists, as its readers expect.
    meta = {name.removeprefix("meta/"): _list(own) for name, own in columns.items() if name.startswith("meta/")}
    return {name: own for name, own in columns.items() if "/" not in name} | {
        "keypoints2d_smplx_mask": fitted,
        "keypoints3d_smplx_mask": fitted,
        "keypoints2d_original_mask": seen,
        "smplx": _object(smplx),
        "meta": _object(meta | {"gender": ["neutral"] * count}),
        "misc": _object(_misc(target)),
        "config": np.array(f"pear-pipeline/{target.stem}"),
        "__key_strict__": np.array(False),
        "__data_len__": np.array(count),
        "__keypoints_compressed__": np.array(False),
    }


def _list(column: Column) -> list[Any]:
    return [value for batch in column.batches() for value in batch.tolist()]


def _object(value: dict[str, Any]) -> np.ndarray:
    """A dict as the format stores it: an array of one object."""
    return np.array(value, dtype=object)


def _misc(target: Target) -> dict[str, Any]:
    return {
        "bbox_source": "labels",
        "bbox_body_scale": BOX_MARGIN,
        "bbox_hand_scale": 1.0,
        "bbox_face_scale": 1.0,
        "smplx_source": "pear-pipeline",
        "cam_param_type": "perspective",
        "cam_param_source": "labels",
        "kps3d_root_aligned": False,
        "flat_hand_mean": False,
        "image_shape": None,
        "body_model": json.dumps(dict(target.terms.body_model), sort_keys=True),
        "licence": target.terms.text,
    }


def _columns(people: People, images: list[str]) -> dict[str, np.ndarray]:
    columns, values, points = people.columns, people.values, people.keypoints
    trusted = people.joint_valid[..., None].astype(np.float32)
    original = np.zeros((len(people), NUM_HUMANDATA_POINTS, 3), np.float32)
    original[:, list(SMPLX_144)[::-1]] = points[:, ::-1]  # A wrist is the body's, of which the hand's root is a copy.
    faces = _scored(extent_xywh(points[:, skeleton.FACE]))
    arrays = {
        "image_path": texts(images),
        "bbox_xywh": _scored(people.boxes_xywh(BOX_MARGIN)),
        "face_bbox_xywh": faces,
        "keypoints2d_smplx": _padded(np.dstack([people.points_px, trusted])),
        "keypoints3d_smplx": _padded(np.dstack([people.points_m, trusted])),
        "keypoints2d_original": original,
        "smplx/global_orient": values["global_orient"],
        "smplx/body_pose": values["body_pose"].reshape(-1, 21, 3),
        "smplx/betas": values["betas"],
        "smplx/transl": people.transl_m.astype(np.float32),
        "smplx/jaw_pose": values["jaw_pose"],
        "smplx/leye_pose": values["eye_pose"][:, :3],
        "smplx/reye_pose": values["eye_pose"][:, 3:],
        "meta/annot_valid": people.part_valid[:, PART_NAMES.index("body")],
        "meta/height": columns["image_height"],
        "meta/width": columns["image_width"],
        "meta/focal_length": np.tile(columns["focal_px"][:, None], (1, 2)),
        "meta/principal_point": columns["principal_px"],
        "meta/sample_id": texts(columns["sample_id"].tolist()),
        "meta/label_source": texts(columns["label_source"].tolist()),
        "meta/seq_name": texts(columns["group"].tolist()),
        "meta/frame_idx": np.where(columns.has("frame"), columns["frame"], -1),
        "meta/person_id": np.where(columns.has("track"), columns["track"], -1),
        **{f"pear_{name}": values[name] for name in _OWN},
    }
    mean = people.body.ehm.assets.smplx.hands_mean
    for side, (hand, short) in enumerate(_HANDS.items()):
        pose = values[f"{hand}_pose"] - (0 if mean is None else mean[side])
        valid = people.part_valid[:, PART_NAMES.index(hand)]
        arrays[f"smplx/{hand}_pose"] = np.where(valid[:, None], pose, 0).reshape(-1, 15, 3)
        arrays[f"{short}_bbox_xywh"] = _scored(extent_xywh(points[:, skeleton.HANDS[side]]))
    return arrays


def _padded(points: np.ndarray) -> np.ndarray:
    """(N, 144, n) -> (N, 190, n) float32, zeros behind."""
    return np.pad(points, ((0, 0), (0, NUM_HUMANDATA_POINTS - NUM_JOINTS), (0, 0))).astype(np.float32)


def _scored(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) -> (N, 5) with the score 1, or 0 of a box of nothing."""
    return np.column_stack([boxes, boxes[:, 2] > 0]).astype(np.float32)

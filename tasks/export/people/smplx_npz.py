"""People as one NPZ of plain arrays: SMPL-X parameters by the names of the package `smplx`, the camera, and who it is.

``smplx.create(..., use_pca=False, flat_hand_mean=True)`` takes the rows of its names as they are. What SMPL-X has no
name for begins with ``pear_``. No array holds objects, so that nothing need be unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from datasets_manifest.schema.ehm_fields import BODY_GROUP_NAMES, PART_NAMES
from tasks.export.people.npz_file import Columns, write_npz
from tasks.export.people.people import People
from tasks.export.people.target import Target, texts


def write(batches: Iterable[People], target: Target) -> int:
    """Writes ``<stem>.npz``; returns the number of people."""
    with Columns(target.exported.folder) as own:
        count = own.take(_columns(people, target.images(people)) for people in batches)
        stated = {
            "part_names": np.array(PART_NAMES),
            "limb_names": np.array(BODY_GROUP_NAMES),
            "gender": np.array("neutral"),
            "flat_hand_mean": np.array(True),
            "axes": np.array(target.exported.stated["axes"]),
            "licence": np.array(target.terms.text),
            "pear_body_model": np.array(json.dumps(dict(target.terms.body_model), sort_keys=True)),
        }
        if count:
            with target.opened(".npz", people=count) as file:
                write_npz(file, own.columns | stated)
    return count


def _columns(people: People, images: list[str]) -> dict[str, np.ndarray]:
    columns, values = people.columns, people.values
    return {
        **{name: values[name] for name in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")},
        "jaw_pose": values["jaw_pose"],
        "leye_pose": values["eye_pose"][:, :3],
        "reye_pose": values["eye_pose"][:, 3:],
        "betas": values["betas"],
        "transl": people.transl_m.astype(np.float32),
        "focal_px": columns["focal_px"],
        "principal_px": columns["principal_px"],
        "image": texts(images),
        "image_size": np.column_stack([columns["image_width"], columns["image_height"]]),
        "person": columns["person"],
        "bbox_xyxy": columns["bbox_xyxy"],
        "keypoints_2d": columns["keypoints_2d"],
        "part_valid": people.part_valid,
        "limb_valid": people.limb_valid,
        "sample_id": texts(columns["sample_id"].tolist()),
        "label_source": texts(columns["label_source"].tolist()),
        "group": texts(columns["group"].tolist()),
        "camera": texts(columns["camera"].tolist()),
        "frame": np.where(columns.has("frame"), columns["frame"], -1),
        "time_s": columns["time_s"],
        "track": np.where(columns.has("track"), columns["track"], -1),
        "world_to_camera": columns["world_to_camera"],
        "pear_pelvis_m": values["transl_m"],
        **{f"pear_{name}": values[name] for name in ("flame_shape", "flame_expression", "eyelids", "head_scale")},
    }

"""Files of poses: our own Parquet of labels or predictions, and NPZ files as AMASS has them.

An NPZ file has ``poses`` as axis-angle, (T, 165) of SMPL-X (root, 21 body joints, jaw, two eyes, 15 joints a hand) or
(T, 156) of SMPL+H, without jaw and eyes; and perhaps ``mocap_frame_rate``. Hands are flat at 0. The world stands
along z, as in AMASS, or along y. Shape, place and expression in it are not read.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.numpy_files import DAMAGED
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import EHM_FIELDS, LABEL_PARAMETERS, PART_NAMES
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.predictions import TRACK, prediction_schema, rotations_schema
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import Shard
from model.batches import map_tensors
from model.body.parameters import EhmParameters
from model.rotations import rotvec_to_rotmat
from tasks.predict.avatar.poses import WORN, Motion

MOST_FPS = 30.0
"""A motion of more frames a second is thinned out."""
STILLS_FPS = 2.0
"""Of poses of which the file does not say when they were."""
_ROOT_BODY = {"global_orient": 1, "body_pose": 21}
_HANDS = {"left_hand_pose": 15, "right_hand_pose": 15}
_LAYOUTS = {165: _ROOT_BODY | {"jaw_pose": 1, "eye_pose": 2} | _HANDS, 156: _ROOT_BODY | _HANDS}
"""Numbers of a pose in an NPZ file -> its joints, in order."""
_RATES = ("mocap_frame_rate", "mocap_framerate")
_CAMERA_FROM_WORLD = {
    1: ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    2: ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
}
"""Axis of a world that points up -> rotation from there to a camera that looks at it level."""
_PART_OF = {field.name: field.part for field in EHM_FIELDS}
_OWN_FLAGS = {"eye_pose": "eyes_valid", "eyelids": "eyelids_valid"}
"""Parameters of which labels say by themselves whether they are known."""


def read_motion(path: Path, body_model: Mapping[str, Any], *, fps: float | None = None) -> Motion:
    """The poses of a file.

    Args:
        path: ``.parquet`` of labels or predictions, of which the first person of each photo or frame counts, of a video
            with tracks who is there for longest; ``.npz``.
        body_model: What states the body that is to wear them.
        fps: Frames a second; None takes what the file says.

    Raises:
        ValueError: No such file, of another kind or layout, of another body, or without a pose.
    """
    if not path.is_file():
        raise ValueError(f"motion {path} is not a file; name a .parquet of labels or predictions, or an .npz of poses")
    if path.suffix == ".parquet":
        return _of_shard(path, body_model, fps)
    if path.suffix == ".npz":
        return _of_npz(path, fps)
    raise ValueError(f"motion {path}: expected a .parquet of labels or predictions, or an .npz of poses")


def _of_shard(path: Path, body_model: Mapping[str, Any], fps: float | None) -> Motion:
    with Shard(path) as shard:
        names = set(shard.schema.names)
        if names | {TRACK} == set(rotations_schema().names):
            raise ValueError(f"motion {path} holds joint rotations alone; predict it without --rotations-only")
        schema, flag = (prediction_schema(), "seen") if "source" in names else (label_schema(), "valid")
        rows, stated = shard.columns(schema), shard.footer.body_model
    if body_identity(stated) != body_identity(body_model):
        raise ValueError(
            f"motion {path} is of the body model {body_name(stated)}, the avatars' is {body_name(body_model)}; "
            "label or predict it with the latter"
        )
    rows = rows.take(_followed(rows))
    flags = {part: rows[f"{part}_{flag}"] for part in PART_NAMES}
    rows = rows.take(kept := flags["body"] if flags["body"].any() else np.logical_or.reduce(list(flags.values())))
    known = {name: flags[_PART_OF[name]][kept] for name in WORN}
    known |= {name: rows[own] for name, own in _OWN_FLAGS.items() if own in rows}
    if not rows.num_rows:
        raise ValueError(f"motion {path} has no person with a part that is {flag}; name another file")
    known = {name: flags & np.isfinite(rows[name]).reshape(rows.num_rows, -1).all(1) for name, flags in known.items()}
    times = rows["time_s"][np.isfinite(rows["time_s"])] if "time_s" in rows else np.zeros(0)
    gaps = np.diff(times)
    return _motion(
        EhmParameters.from_columns({name: rows[name] for name in LABEL_PARAMETERS}),
        {name: torch.from_numpy(flags) for name, flags in known.items()},
        fps or (1 / float(np.median(gaps)) if (gaps > 0).any() else STILLS_FPS),
        is_seen=True,
    )


def _followed(rows: Columns) -> np.ndarray:
    """Which rows (N,) count: the first person of each photo or frame, of a video with tracks who has the longest."""
    chosen = rows["person"] == 0
    has_track = rows.has(TRACK) if TRACK in rows else np.zeros(rows.num_rows, bool)
    for source in np.unique(rows["source"][has_track]) if has_track.any() else ():
        own = rows["source"] == source
        longest = np.bincount(rows[TRACK][own & has_track]).argmax()
        chosen = np.where(own, has_track & (rows[TRACK] == longest), chosen)
    return chosen


def _of_npz(path: Path, fps: float | None) -> Motion:
    wanted = f"poses of {' or '.join(str(count) for count in _LAYOUTS)} finite numbers a frame"
    try:
        with np.load(path) as file:
            if "poses" not in file:
                raise ValueError(f"has no poses, but {', '.join(sorted(file)[:8]) or 'nothing'}")
            poses = np.asarray(file["poses"], np.float32)
            rate = next((float(file[name]) for name in _RATES if name in file), None)
    except DAMAGED as error:
        raise ValueError(f"motion {path}: expected {wanted}, as AMASS has them; the file {error}") from error
    if poses.ndim != 2 or not len(poses) or poses.shape[1] not in _LAYOUTS or not np.isfinite(poses).all():
        found = f"{poses.shape}" + ("" if np.isfinite(poses).all() else " with numbers that are not finite")
        raise ValueError(f"motion {path}: expected {wanted}, as AMASS has them, got {found}")
    layout = _LAYOUTS[poses.shape[1]]
    joints = rotvec_to_rotmat(torch.from_numpy(poses).unflatten(1, (-1, 3))).split(list(layout.values()), 1)
    found = {name: value if value.shape[1] > 1 else value[:, 0] for name, value in zip(layout, joints, strict=True)}
    # On the mean, people stand; of the two conventions that are in use one says so.
    up = 1 + int(found["global_orient"][:, :, 1].mean(0)[1:].argmax())
    found["global_orient"] = torch.tensor(_CAMERA_FROM_WORLD[up]) @ found["global_orient"]
    return _motion(
        dataclasses.replace(EhmParameters.neutral(len(poses)), **found),
        dict.fromkeys(layout, torch.ones(len(poses), dtype=torch.bool)),
        fps or rate or STILLS_FPS,
        is_seen=False,
    )


def _motion(parameters: EhmParameters, known: Mapping[str, Tensor], fps: float, *, is_seen: bool) -> Motion:
    """The motion, thinned out."""
    every = max(1, math.ceil(fps / MOST_FPS - 1e-3))
    thin = map_tensors({"parameters": parameters, "known": dict(known)}, lambda value: value[::every])
    return Motion(**thin, fps=fps / every, is_seen=is_seen)

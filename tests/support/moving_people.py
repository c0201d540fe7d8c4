"""Labels of people who move, seen by one camera or by a ring of them, and exact: the truth as label rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.clip_people import draw_motion
from benchmarks.rig_people import in_camera, ring
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.ehm_fields import BODY_GROUP_NAMES
from datasets_manifest.schema.labels import PART_NAMES, label_schema, make_sample_id
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.store import shard_path, write_shard
from fitting.result import parameters_of
from fitting.sparse_body import SparseBody
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

RATE = 30.0
WIDTH, HEIGHT, FOCAL_PX = 320, 240, 300.0


def moving_columns(
    body: SparseBody, *, group: str = "scene", people: int = 1, frames: int = 6, views: int = 1, seed: int = 0
) -> dict[str, Any]:
    """Label columns of a group: people side by side, frame by frame, in every view; the world is the first camera."""
    state, _ = draw_motion(body, people, frames, seed=seed, spacing=20)
    number, frame = np.repeat(np.arange(people), frames), np.tile(np.arange(frames), people)
    beside = torch.zeros(len(number), 3, dtype=body.dtype)
    beside[:, 0] = torch.from_numpy(number - 0.5 * (people - 1)).to(body.dtype)
    state = in_camera(body, state, torch.eye(3, dtype=body.dtype).expand(len(number), 3, 3), beside)
    middle = pinhole.position_to_transl(state.position).mean(0, keepdim=True)
    rotation, shift = ring(middle, views, 360.0, np.random.default_rng([seed, 9]))
    camera = Camera(
        focal_px=torch.full((len(number),), FOCAL_PX, dtype=body.dtype),
        principal_px=torch.tensor([WIDTH / 2, HEIGHT / 2], dtype=body.dtype).expand(len(number), 2),
    )
    parts = []
    for view in range(views):
        turn, away = rotation[0, view].to(body.dtype), shift[0, view].to(body.dtype)
        own = in_camera(body, state, turn.expand(len(number), 3, 3), away.expand(len(number), 3))
        points = pinhole.project(body.forward(own).points_cam, camera).double().numpy()
        name = f"cam{view}" if views > 1 else None
        images = [f"{group}/{name or 'cam'}.mp4::{k:06d}" for k in frame]
        columns = {name: list(values.numpy()) for name, values in parameters_of(body, own).columns().items()}
        parts.append(
            columns
            | {
                "sample_id": [make_sample_id("moving", "all", i, int(p)) for i, p in zip(images, number, strict=True)],
                "image": images,
                "person": number.tolist(),
                "track": number.tolist(),
                "frame": frame.tolist(),
                "time_s": (frame / RATE).tolist(),
                "camera": [name] * len(number),
                "world_to_camera": [np.column_stack([rotation[0, view].numpy(), shift[0, view].numpy()])] * len(number)
                if views > 1
                else [None] * len(number),
                "keypoints_2d": list(np.dstack([points, np.ones(points.shape[:2])])),
                "bbox_xyxy": list(np.concatenate([points.min(1), points.max(1)], 1)),
                "views_joined": [views > 1] * len(number),
                "group_detail": [None] * len(number),
                "error_code": [None] * len(number),
            }
        )
    columns = {name: [value for part in parts for value in part[name]] for name in parts[0]}
    count = len(columns["image"])
    same = {
        "dataset": "moving", "split": "all", "group": group, "image_width": WIDTH, "image_height": HEIGHT,
        "status": "ok", "bbox_source": "manifest", "focal_px": FOCAL_PX, "frames_joined": frames > 1,
        "reproj_rel": 0.001, "inlier_ratio": 1.0, "converged": True, "iterations": 5, "moved_rad": 0.0,
        "eyes_valid": True, "eyelids_valid": True, "quality": 0.9,
        **{f"{part}_valid": True for part in PART_NAMES}, **{f"{part}_quality": 0.9 for part in PART_NAMES},
        **{f"reproj_{part}_px": 0.3 for part in PART_NAMES},
    }  # fmt: skip
    vectors = {"principal_px": [WIDTH / 2, HEIGHT / 2], "hand_scale": np.ones(3), "joint_seen": np.ones(22, bool)}
    vectors["body_group_valid"] = np.ones(len(BODY_GROUP_NAMES), bool)
    return columns | {name: [value] * count for name, value in {**same, **vectors}.items()}


def as_photos(columns: dict[str, Any]) -> dict[str, Any]:
    """The same people in photos that stand alone, one a moment."""
    names = ("group", "camera", "frame", "time_s", "track", "world_to_camera", "views_joined", "frames_joined")
    return columns | {name: [None] * len(columns["image"]) for name in names}


def bridge(columns: dict[str, Any], rows: list[int]) -> None:
    """Makes nobody found in some rows."""
    for row in rows:
        columns["status"][row], columns["error_code"][row] = "partial", "bridged"
        columns["keypoints_2d"][row] = columns["reproj_rel"][row] = None
        for part in PART_NAMES:
            columns[f"{part}_valid"][row] = False


def write_moving(
    folder: Path,
    groups: list[dict[str, Any]],
    body_model: dict[str, Any],
    shard: int = 0,
    *,
    dataset: str = "moving",
    licence: str = "CC0-1.0",
) -> Path:
    """Writes a shard of some groups; returns its path."""
    schema = label_schema(in_groups=True)
    columns = {name: [v for own in groups for v in own[name]] for name in groups[0]}
    table = table_from_columns(columns | {"dataset": [dataset] * len(columns["image"])}, schema)
    footer = Footer(
        config={"step": "test"}, code_version="0", manifest={"id": dataset, "licence": licence},
        shard=f"{shard:05d}", body_model=body_model,
    )  # fmt: skip
    path = shard_path(folder, dataset, "all", shard)
    write_shard(path, table, footer)
    return path

"""Tracks to export: a scene of two people in four views, and a clip with a bridge and a gap."""

from pathlib import Path

import numpy as np
import pytest
from moving_people import bridge, moving_columns, write_moving

from datasets_manifest.shards.shard import Shard
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from tasks.export.motion import motions_of
from tasks.export.rows import label_rows
from tasks.posing import pose_bodies

BRIDGED, GAP = [3, 4], [8, 9, 10]
NUM_FRAMES = 14


def without(columns, rows):
    """The columns with people of some rows failed: they have no label."""
    for row in rows:
        columns["status"][row], columns["error_code"][row] = "failed", "keypoints_too_few"
    return columns


@pytest.fixture(scope="session")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="session")
def groups():
    """Label columns by group; the world of the scene is its first camera."""
    body = SparseBody.from_assets(load_open_body())
    scene = moving_columns(body, group="studio", people=2, frames=4, views=4, seed=5)
    clip = moving_columns(body, group="days/clip.mp4", frames=NUM_FRAMES, seed=4)
    rng = np.random.default_rng(3)
    for columns in (scene, clip):  # a face that talks and blinks
        count = len(columns["track"])
        columns["flame_expression"] = list(rng.normal(0, 0.7, (count, 10)).astype(np.float32))
        columns["eyelids"] = list(rng.uniform(0, 1, (count, 2)).astype(np.float32))
    for name in ("flame_expression", "eyelids"):  # the same in all views
        for row in range(8, 32):
            scene[name][row] = scene[name][row % 8]
    bridge(clip, BRIDGED)
    return {"studio": scene, "days/clip.mp4": without(clip, GAP)}


@pytest.fixture(scope="session")
def labels(groups, ehm, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("labels")
    for shard, columns in enumerate(groups.values()):
        write_moving(folder, [columns], ehm.assets.entry, shard)
    return folder


@pytest.fixture(scope="session")
def motions(labels):
    found = {}
    for path in sorted(labels.rglob("*.parquet")):
        with Shard(path) as shard:
            rows, body = label_rows(shard), shard.footer.body_model
        assert rows is not None
        found |= {tuple(own.name): own for own in motions_of(rows, body_model=body, licence="CC0-1.0")}
    return found


@pytest.fixture(scope="session")
def clip(motions):
    return motions["days/clip.mp4", 0]


@pytest.fixture(scope="session")
def labelled(groups, ehm):
    """The clip's frames with a label: their numbers, vertices and joints in the camera frame, as the labels say."""
    columns = groups["days/clip.mp4"]
    frames = [k for k in range(NUM_FRAMES) if k not in GAP]
    names = ("transl_m", "global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "flame_shape",
             "flame_expression", "jaw_pose", "eye_pose", "eyelids", "head_scale")  # fmt: skip
    posed = pose_bodies(ehm, {name: np.stack([columns[name][k] for k in frames]) for name in names})
    return np.array(frames), posed.vertices.double().numpy(), posed.joints.double().numpy()

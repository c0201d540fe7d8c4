"""Rows of tracks are smoothed in stretches of their own, and stay rows that agree with themselves."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.error_codes import ErrorCode, Status
from datasets_manifest.schema.predictions import prediction_id, rotations_schema
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.shards.store import write_shard
from model.regressor.joint_rotations import global_rotations
from model.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from tasks.predict.settings import SmoothingConfig
from tasks.predict.smoothed import smooth_files

SCHEMA = rotations_schema()
FPS = 30


def frame_rows(number, people, time_s=None):
    """Rows of a frame: of each person the track and the angle of the elbow, None without a prediction."""
    count = len(people)
    local = np.zeros((count, 55, 3), np.float32)
    local[:, 0, 0], local[:, 18, 1] = math.pi, [angle or 0.0 for _, angle in people]
    rotations = {
        "local_rotations": local,
        "global_rotations": np.zeros_like(local),
        "head_orient": np.zeros((count, 3), np.float32),
        "crop_camera": np.ones((count, 3), np.float32),
    }
    failed = [angle is None for _, angle in people]
    return table_from_columns(
        {
            "sample_id": [prediction_id("a.mp4", number, person) for person in range(count)],
            "source": ["a.mp4"] * count,
            "frame": [number] * count,
            "time_s": [number / FPS if time_s is None else time_s] * count,
            "person": range(count),
            "track": [track for track, _ in people],
            "status": [Status.FAILED if fails else Status.OK for fails in failed],
            "error_code": [ErrorCode.PREDICTION_NOT_FINITE if fails else None for fails in failed],
            "error_detail": ["not finite" if fails else None for fails in failed],
            **{n: [None if fails else own for own, fails in zip(v, failed, strict=True)] for n, v in rotations.items()},
        },
        SCHEMA,
    )


def smooth(folder: Path, frames, rows_per_file=10_000, **settings):
    """The rows, smooth, and how many files there were."""
    table = pa.concat_tables(frames)
    paths = [folder / f"{first:05d}.parquet" for first in range(0, table.num_rows, rows_per_file)]
    footer = Footer(config={"step": "predict"}, code_version="1", manifest={}, shard="0")
    for path, first in zip(paths, range(0, table.num_rows, rows_per_file), strict=True):
        write_shard(path, table.slice(first, rows_per_file), footer)
    moved = sum(smooth_files(paths, SCHEMA, SmoothingConfig(**settings), None))
    return pa.concat_tables([read_shard(path, SCHEMA) for path in paths]), moved


def bent(table, track):
    rows = Columns(table)
    own = (rows["track"] == track) & rows.has("track") & rows.has("local_rotations")
    return rows["local_rotations"][own, 18, 1]


@pytest.fixture
def shaky():
    """Angles of 40 frames."""
    return 0.6 + 0.1 * np.random.default_rng(0).standard_normal(40)


def test_a_track_is_smoothed_and_rows_agree_with_themselves(shaky, tmp_path):
    table, moved = smooth(tmp_path, [frame_rows(number, [(0, angle)]) for number, angle in enumerate(shaky)])
    assert np.diff(bent(table, 0), 2).std() < 0.1 * np.diff(shaky, 2).std()
    assert moved == 40
    local = rotvec_to_rotmat(torch.from_numpy(Columns(table)["local_rotations"].copy()))
    chained = rotmat_to_rotvec(global_rotations(local)).numpy()
    assert np.abs(Columns(table)["global_rotations"] - chained).max() < 1e-6
    assert read_footer(tmp_path / "00000.parquet").config["smoothing"] == {"reach_s": 0.4, "max_step_s": 0.2}


def test_nothing_crosses_from_a_track_to_another_nor_over_a_gap(tmp_path):
    """Of another height each: before the gap, after it, and after the cut."""
    levels = [0.2] * 12 + [0.9] * 12 + [1.5] * 12
    numbers = [*range(12), *range(20, 44)]
    tracks = [0] * 24 + [1] * 12
    frames = [frame_rows(n, [(t, level)]) for n, t, level in zip(numbers, tracks, levels, strict=True)]
    table, _ = smooth(tmp_path, frames)
    assert [*bent(table, 0), *bent(table, 1)] == pytest.approx(levels, abs=1e-5)


def test_two_people_in_the_same_frames_are_smoothed_apart(shaky, tmp_path):
    both = [frame_rows(number, [(0, angle), (1, 1.3)]) for number, angle in enumerate(shaky)]
    (tmp_path / "one").mkdir()
    alone, _ = smooth(tmp_path / "one", [frame_rows(number, [(0, angle)]) for number, angle in enumerate(shaky)])
    table, _ = smooth(tmp_path, both)
    assert np.array_equal(bent(table, 0), bent(alone, 0))
    assert bent(table, 1) == pytest.approx(1.3, abs=1e-5)


def test_files_hide_no_frame_from_another(shaky, tmp_path):
    frames = [frame_rows(number, [(0, angle), (1, -angle)]) for number, angle in enumerate(shaky)]
    (tmp_path / "whole").mkdir()
    whole, _ = smooth(tmp_path / "whole", frames)
    table, _ = smooth(tmp_path, frames, rows_per_file=27)
    assert np.array_equal(bent(table, 0), bent(whole, 0))
    assert table["sample_id"] == whole["sample_id"]


def test_rows_that_are_alone_stay_as_they_are(tmp_path):
    """One frame of a track, somebody without a track, and somebody without a prediction."""
    frames = [frame_rows(0, [(0, 0.3), (None, 0.4), (1, 0.5)]), frame_rows(1, [(1, None), (None, 0.6)])]
    table, moved = smooth(tmp_path, frames)
    assert table.to_pylist() == pa.concat_tables(frames).to_pylist()
    assert moved == 0


def test_times_count_where_the_rate_varies(tmp_path):
    """Even motion at uneven times."""
    times = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.1, 40))
    frames = [frame_rows(number, [(0, 0.2 + 0.3 * time_s)], time_s) for number, time_s in enumerate(times)]
    table, _ = smooth(tmp_path, frames)
    assert bent(table, 0) == pytest.approx(0.2 + 0.3 * times, abs=1e-3)

"""Frames in which somebody who passes was not found, and the rows that they get."""

from dataclasses import replace

import numpy as np
from table_rows import table_from_rows

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import Status
from datasets_manifest.schema.part_files import keypoints_schema
from fitting.clips.settings import ClipConfig
from tasks.annotate.groups.bridges import gaps_of
from tasks.annotate.groups.places import Places
from tasks.annotate.settings import GroupsConfig
from tasks.annotate.steps.gap_rows import with_gap_rows
from tasks.tracks.views import NOBODY


def places(frames, camera=0, rate=30.0):
    frame = np.array(frames)
    return Places(
        group=0 * frame,
        camera=0 * frame + camera,
        frame=frame,
        time_s=frame / rate,
        world_to_camera=np.full((len(frame), 3, 4), np.nan),
        plan_row=frame,
    )


def missing(seen, tracks=None, config=None, rate=30.0, everywhere=tuple(range(10))):
    tracks = np.zeros(len(seen), int) if tracks is None else np.array(tracks)
    config = config or GroupsConfig()
    found = gaps_of(places(everywhere, rate=rate), places(seen, rate=rate), tracks, np.arange(len(seen)), config)
    return [(gap.plan_row, gap.before) for gap in found]


def test_frames_between_two_that_show_somebody_are_gaps():
    assert missing([1, 2, 5, 6]) == [(3, 1), (4, 1)]
    assert missing([1, 2, 3]) == []


def test_each_track_has_gaps_of_its_own_and_nobody_has_none():
    assert missing([0, 1, 3, 3], [0, 1, 0, 1]) == [(1, 0), (2, 0), (2, 1)]
    assert missing([0, 3], [NOBODY, NOBODY]) == []


def test_long_gaps_and_those_over_a_pause_are_left_open():
    assert missing([0, 4], config=GroupsConfig(max_bridged=3)) == [(1, 0), (2, 0), (3, 0)]
    assert missing([0, 4], config=GroupsConfig(max_bridged=2)) == []
    assert missing([0, 4], config=replace(GroupsConfig(), clips=ClipConfig(max_step_s=0.01))) == []


def test_frames_that_were_not_looked_at_are_none():
    assert missing([0, 6], everywhere=(0, 2, 4, 6)) == [(1, 0), (2, 0)], "rows of the plan, which has frames 2 and 4"


def keypoints(*people):
    """Rows of (frame, person, status)."""
    rows = [
        {"sample_id": f"d/all/{frame}#{person}", "dataset": "d", "split": "all", "image": f"{frame}.jpg"}
        | {"person": person, "status": status, "image_width": 640, "image_height": 480}
        | {"error_code": "keypoints_too_few" if status == "failed" else None}
        for frame, person, status in people
    ]
    return Columns(table_from_rows(rows, keypoints_schema(in_groups=True)))


PLAN = keypoints(*((frame, 0, "ok") for frame in range(3)))


def test_a_gap_has_a_row_behind_those_of_its_photo_with_a_number_that_nobody_has():
    """Somebody else is in the frame between."""
    people = keypoints((0, 0, "ok"), (1, 0, "ok"), (2, 0, "ok"))
    within = np.array([0, 1, 0])
    found = gaps_of(places(range(3)), places([0, 1, 2]), within, np.arange(3), GroupsConfig())
    parts, rows, at = with_gap_rows({"keypoints": people}, found, PLAN, within)
    assert (rows.tolist(), at.tolist()) == ([3], [0.0, 1.0, 2.0, 1.5])
    assert parts["keypoints"]["sample_id"][3] == "d/all/1#1"
    assert parts["keypoints"]["status"][3] == Status.OK
    assert not parts["keypoints"]["part_valid"][3].any()
    assert parts["keypoints"]["image_width"][3] == 640


def test_somebody_whom_the_data_set_names_keeps_the_row_that_says_that_nothing_was_found():
    people = keypoints((0, 0, "ok"), (1, 0, "failed"), (2, 0, "ok"))
    within = np.zeros(3, int)
    found = gaps_of(places(range(3)), places([0, 1, 2]), within, np.array([0, 2]), GroupsConfig())
    parts, rows, at = with_gap_rows({"keypoints": people}, found, PLAN, within)
    assert (rows.tolist(), at.tolist()) == ([1], [0.0, 1.0, 2.0])
    assert parts["keypoints"].num_rows == 3

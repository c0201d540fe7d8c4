"""Files of poses are read as they mean it, or one sentence says what is wrong with them."""

import dataclasses
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.schema.predictions import SEEN_COLUMNS, prediction_schema, rotations_schema
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.store import write_shard
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.rotations import rotvec_to_rotmat
from tasks.predict.avatar.motion import STILLS_FPS, read_motion

BODY = {"name": "open", "sha256": "11"}
POSES = np.random.default_rng(0).normal(0, 0.3, (6, 165)).astype(np.float32)


def shard(path, schema, body=BODY, **columns):
    footer = Footer(config={}, code_version="0", manifest={}, shard="0", body_model=body)
    write_shard(path, table_from_columns(columns, schema), footer)
    return path


def labels(path, count=4, body=BODY, **changes):
    numbers = range(count)
    columns = {
        "sample_id": [f"demo/all/{n}#0" for n in numbers],
        "dataset": ["demo"] * count,
        "split": ["all"] * count,
        "image": [str(n) for n in numbers],
        "person": [0] * count,
        "status": ["ok"] * count,
        **{f"{part}_valid": [True] * count for part in PART_NAMES},
        "eyes_valid": [False] * count,
        "global_orient": 0.1 * np.arange(3 * count, dtype=np.float32).reshape(count, 3),
        "body_pose": POSES[:count, 3:66].reshape(count, 21, 3),
        "left_hand_pose": POSES[:count, 75:120].reshape(count, 15, 3),
    }
    return shard(path, LABEL_SCHEMA, body, **columns | changes)


def predictions(path, count=5, **changes):
    columns = {
        "sample_id": [f"walk.mp4@{n}#0" for n in range(count)],
        "source": ["walk.mp4"] * count,
        "frame": list(range(count)),
        "time_s": [n / 60 for n in range(count)],
        "person": [0] * count,
        "status": ["ok"] * count,
        "body_pose": POSES[:count, 3:66].reshape(count, 21, 3),
        "right_hand_pose": POSES[:count, 120:].reshape(count, 15, 3),
        **{name: [True] * count for name in SEEN_COLUMNS},
    }
    return shard(path, prediction_schema(), **columns | changes)


def npz(path, poses, **more):
    np.savez(path, poses=poses, **more)
    return path


def test_of_a_video_who_is_there_for_longest_is_followed_wherever_they_are_among_the_people(tmp_path):
    key = {"frame": [0, 0, 1, 1, 2], "person": [0, 1, 0, 1, 0], "time_s": [0, 0, 0.1, 0.1, 0.2]}
    ids = {"sample_id": [f"walk.mp4@{f}#{p}" for f, p in zip(key["frame"], key["person"], strict=True)]}
    path = predictions(tmp_path / "a.parquet", **key, **ids, track=[4, 7, 7, 4, 7])
    expected = rotvec_to_rotmat(torch.from_numpy(POSES[[1, 2, 4], 3:66]).reshape(3, 21, 3))
    assert torch.allclose(read_motion(path, BODY).parameters.body_pose, expected)
    untracked = predictions(tmp_path / "b.parquet", **key, **ids)
    expected = rotvec_to_rotmat(torch.from_numpy(POSES[[0, 2, 4], 3:66]).reshape(3, 21, 3))
    assert torch.allclose(read_motion(untracked, BODY).parameters.body_pose, expected)


def test_labels_are_poses_where_their_parts_are_valid(tmp_path):
    valid = [True, False, True, True]
    path = labels(tmp_path / "a.parquet", body_valid=valid, left_hand_valid=[True, True, False, True])
    motion = read_motion(path, BODY)
    kept = [0, 2, 3]
    assert torch.allclose(
        motion.parameters.body_pose, rotvec_to_rotmat(torch.from_numpy(POSES[kept, 3:66]).reshape(3, 21, 3))
    )
    assert motion.known["left_hand_pose"].tolist() == [True, False, True]
    assert not motion.known["eye_pose"].any()
    assert not motion.known["jaw_pose"].any()  # a valid face without numbers
    assert motion.known["global_orient"].all()
    assert (motion.fps, motion.is_seen) == (STILLS_FPS, True)


def test_a_portrait_in_motion_is_its_face(tmp_path):
    path = labels(tmp_path / "a.parquet", body_valid=[False] * 4, face_valid=[True, False, True, True],
                  jaw_pose=POSES[:4, 66:69],
                  left_hand_valid=[False] * 4, right_hand_valid=[False] * 4)  # fmt: skip
    motion = read_motion(path, BODY)
    assert len(motion) == 3
    assert motion.known["jaw_pose"].all()
    assert not motion.known["body_pose"].any()


def test_predictions_of_a_video_are_its_first_person_at_no_more_than_30_frames_a_second(tmp_path):
    path = predictions(tmp_path / "a.parquet", person=[0, 0, 1, 0, 0], right_hand_seen=[True, True, True, False, True])
    motion = read_motion(path, BODY)
    assert motion.fps == pytest.approx(30.0, rel=1e-3)
    chosen = torch.from_numpy(POSES[[0, 3], 3:66]).reshape(2, 21, 3)  # of 0, 1, 3, 4 every second
    assert torch.allclose(motion.parameters.body_pose, rotvec_to_rotmat(chosen))
    assert motion.known["right_hand_pose"].tolist() == [True, False]
    assert read_motion(path, BODY, fps=5.0).fps == 5.0


@pytest.mark.parametrize("axis", ["y", "z"])
def test_a_world_that_stands_along_either_axis_is_seen_upright_and_not_mirrored(tmp_path, axis):
    poses = POSES.copy()
    turn = {"y": np.zeros(3), "z": np.array([math.pi / 2, 0, 0])}[axis]  # the body at rest is upright along y
    poses[:, :3] = turn
    motion = read_motion(npz(tmp_path / "a.npz", poses, mocap_frame_rate=120.0), BODY)
    assert motion.fps == 30.0
    assert len(motion) == 2
    rest = EhmParameters.neutral(1)
    with torch.no_grad():
        joints = EHMs(load_open_body())(dataclasses.replace(rest, global_orient=motion.parameters.global_orient[:1]))
    pelvis, left_wrist, head = joints.joints[0, [0, 20, 15]]
    assert head[1] < pelvis[1] - 0.3  # y is down
    assert left_wrist[0] > pelvis[0] + 0.3  # who looks at the camera has the left hand on its right


def test_joints_of_an_npz_file_are_those_of_smplx(tmp_path):
    motion = read_motion(npz(tmp_path / "a.npz", POSES), BODY)
    found = motion.parameters.columns()
    for name, first, last in (("body_pose", 3, 66), ("jaw_pose", 66, 69), ("eye_pose", 69, 75),
                              ("left_hand_pose", 75, 120), ("right_hand_pose", 120, 165)):  # fmt: skip
        assert np.allclose(found[name], POSES[:, first:last], atol=1e-5), name
    smplh = read_motion(npz(tmp_path / "b.npz", np.delete(POSES, np.s_[66:75], 1)), BODY)
    assert torch.equal(smplh.parameters.right_hand_pose, motion.parameters.right_hand_pose)
    assert "jaw_pose" not in smplh.known


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone.npz", "is not a file"),
        ("a.txt", "expected a .parquet of labels or predictions, or an .npz of poses"),
        ("text.npz", "expected poses of 165 or 156 finite numbers a frame, as AMASS has them"),
        ("text.parquet", "cannot be read as Parquet"),
        ("other.npz", "has no poses, but betas, trans"),
        ("smpl.npz", r"as AMASS has them, got \(6, 72\)"),
        ("empty.npz", r"as AMASS has them, got \(0, 165\)"),
        ("nan.npz", "numbers that are not finite"),
        ("pickled.npz", "expected poses of 165 or 156 finite numbers"),
        ("body.parquet", r"is of the body model smplx \(22, fusion blended\), the avatars' is open \(11"),
        ("earlier.parquet", "holds joint rotations alone; predict it without --rotations-only"),
        ("rotations.parquet", "holds joint rotations alone; predict it without --rotations-only"),
        ("nobody.parquet", "has no person with a part that is valid"),
        ("failed.parquet", "has no person with a part that is seen"),
    ],
)
def test_a_file_that_is_no_motion_is_one_sentence(tmp_path, name, sentence):
    for text in ("a.txt", "text.npz", "text.parquet"):
        (tmp_path / text).write_text("no poses")
    np.savez(tmp_path / "other.npz", betas=np.zeros(10), trans=np.zeros((6, 3)))
    npz(tmp_path / "smpl.npz", POSES[:, :72])
    npz(tmp_path / "empty.npz", POSES[:0])
    npz(tmp_path / "nan.npz", np.where(POSES > 0.9, np.nan, POSES))
    npz(tmp_path / "pickled.npz", np.array([{"a": 1}], dtype=object))
    labels(tmp_path / "body.parquet", body={"name": "smplx", "sha256": "22"})
    labels(tmp_path / "nobody.parquet", **{f"{part}_valid": [False] * 4 for part in PART_NAMES})
    failed = {
        "status": ["failed"],
        "error_code": ["prediction_not_finite"],
        "body_pose": [None],
        "right_hand_pose": [None],
    }
    predictions(tmp_path / "failed.parquet", 1, **failed, **{name: [None] for name in SEEN_COLUMNS})
    key = {"sample_id": ["a#0"], "source": ["a"], "person": [0], "status": ["ok"]}
    shard(tmp_path / "rotations.parquet", rotations_schema(), **key)
    table = pq.read_table(tmp_path / "rotations.parquet")
    pq.write_table(table.drop_columns(["track"]), tmp_path / "earlier.parquet")
    with pytest.raises(ValueError, match=sentence) as raised:
        read_motion(tmp_path / name, BODY)
    assert "\n" not in str(raised.value)

"""Ego-Exo4D: GoPros whose place is known, the wearer in 3D, frames and sizes that fit."""

import csv
import json

import cv2
import numpy as np
import pytest
from inventories import inventory_of
from scenes import glasses_calibration, open_scenes
from video_files import write_video

from datasets_manifest.adapters.base import CalibratedLens
from datasets_manifest.adapters.captures.base import WORN_PARTS

EGOEXO = {
    "kind": "egoexo4d",
    "images": "takes/{scene}/frame_aligned_videos/{camera}.mp4",
    "cameras": "takes/{scene}/trajectory/gopro_calibs.csv",
    "people": ["annotations/ego_pose/train/body/annotation/{take_uid}.json"],
}


@pytest.fixture
def take(tmp_path):
    """A take of ten frames with one GoPro whose place is known; of frame 7 the wearer is known in 3D."""
    root = tmp_path / "egoexo"
    (root / "takes/cook/trajectory").mkdir(parents=True)
    (root / "takes/cook/frame_aligned_videos").mkdir()
    for name in ("cam01", "cam02", "aria01_214-1"):
        write_video(root / f"takes/cook/frame_aligned_videos/{name}.mp4", 10, "mp4v")
    columns = [
        *("cam_uid", " tx_world_cam", "ty_world_cam", "tz_world_cam"),
        *(f"q{axis}_world_cam" for axis in "xyzw"),
        *("image_width", "image_height", "intrinsics_type"),
        *(f"intrinsics_{i}" for i in range(8)),
        *("start_frame_idx", "end_frame_idx", "quality"),
    ]
    lens = [192, 128, "KANNALABRANDTK3", 100.0, 100.0, 95.5, 63.5, 0, 0, 0, 0]
    with (root / "takes/cook/trajectory/gopro_calibs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerow(["cam01", 0, 0, -2, 0, 0, 0, 1, *lens, 0, 9, 1])
        rows.writerow(["cam02", 0, 1, -2, 0, 0, 0, 1, *lens, 0, 9, 0])
    (root / "takes.json").write_text(json.dumps([{"take_name": "cook", "take_uid": "u1"}]))
    poses = root / "annotations/ego_pose/train/body/annotation"
    poses.mkdir(parents=True)
    joints = {
        name: {"x": 0.1 * i, "y": 0.05 * i, "z": 1.0, "num_views_for_3d": 2}
        for i, name in enumerate(("nose", "left-eye", "left-wrist", "right-hip"))
    }
    joints["left_thumb_4"] = {"x": 0.0, "y": 0.1, "z": 1.0, "num_views_for_3d": 3}
    (poses / "u1.json").write_text(json.dumps({"7": [{"annotation3D": joints, "annotation2D": {}}], "8": []}))
    return root


def test_the_wearer_is_seen_by_cameras_whose_place_is_known(take):
    inventory = inventory_of(open_scenes(take, **EGOEXO))
    (record,) = inventory.records
    assert (record.place.group, record.place.camera, record.place.frame) == ("cook", "cam01", 7)
    assert record.lens == CalibratedLens(model="fisheye", coefficients=(0.0,) * 4, focal_xy_px=(50.0, 50.0))
    assert record.principal_px == (48.0, 32.0)
    np.testing.assert_allclose(record.place.world_to_camera[:, 3], [0, 0, 2])
    (person,) = record.people
    known = np.flatnonzero(person.truth_3d.keypoints_m[:, 3])
    assert known.tolist() == [0, 1, 9, 12, 95]
    assert inventory.notes["frames with no or several people in 3D"] == 1
    assert inventory.notes["cameras without a calibration that counts left out"] == 2


def test_frames_beyond_the_videos_are_of_another_rate(take):
    path = take / "annotations/ego_pose/train/body/annotation/u1.json"
    path.write_text(path.read_text().replace('"7"', '"14"'))
    with pytest.raises(ValueError, match="has a frame 14, its videos have 10"):
        list(open_scenes(take, **EGOEXO).entries())


def test_a_video_of_other_proportions_is_refused(take):
    path = take / "takes/cook/trajectory/gopro_calibs.csv"
    path.write_text(path.read_text().replace("192,128", "128,192"))
    with pytest.raises(ValueError, match=r"cam01.*calibrated for 128 x 192 px and its video has 96 x 64"):
        list(open_scenes(take, **EGOEXO).entries())


EGO = {
    "ego": "takes/{scene}/frame_aligned_videos/{camera}_214-1.mp4",
    "ego_cameras": "annotations/ego_pose/train/camera_pose/{take_uid}.json",
}


def test_glasses_of_a_take_are_where_its_poses_say(take):
    for name in ("cam01", "aria01_214-1"):
        path = str(take / f"takes/cook/frame_aligned_videos/{name}.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 30, (96, 96))
        for _ in range(10):
            writer.write(np.zeros((96, 96, 3), np.uint8))
        writer.release()
    calibs = take / "takes/cook/trajectory/gopro_calibs.csv"
    calibs.write_text(calibs.read_text().replace("192,128", "192,192"))
    (calibs.parent / "online_calibration.jsonl").write_text(json.dumps(glasses_calibration()) + "\n")
    poses = take / "annotations/ego_pose/train/camera_pose"
    poses.mkdir(parents=True)
    sensor = np.linalg.inv([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.2]])
    said = {"metadata": {"take_uid": "u1"}, "cam01": {"camera_extrinsics": sensor.tolist()}}
    said["aria01"] = {"camera_intrinsics": np.eye(3).tolist(), "camera_extrinsics": {"7": sensor.tolist()}}
    (poses / "u1.json").write_text(json.dumps(said))
    inventory = inventory_of(open_scenes(take, **EGOEXO, **EGO))
    records = {record.place.camera: record for record in inventory.records}
    assert records.keys() == {"cam01", "aria01"}
    np.testing.assert_allclose(records["aria01"].place.world_to_camera, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.2]])
    (person,) = records["aria01"].people
    assert person.trusted == WORN_PARTS
    assert records["aria01"].path.startswith("takes/cook/frame_aligned_videos/aria01_214-1.mp4")

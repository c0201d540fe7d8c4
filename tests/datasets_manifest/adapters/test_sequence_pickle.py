"""Pickles of 3DPW and AGORA, written here as they are distributed."""

import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from inventories import inventory_of
from published_people import standing
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.sequences import agora, pw3d
from datasets_manifest.adapters.sequences.layout import SequencePickleLayout
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from model.body.skeleton import KEYPOINT_NAMES


def adapter_of(root, kind, *, boxes: Any = "manifest", keypoints: Any = "coco_wholebody", **layout):
    layout = {"kind": kind, "files": ["*.pkl"]} | layout
    return open_adapter(
        Manifest(
            id="pickles", version="1", licence="x", access="x", adapter="sequence_pickle", root=str(root), split="test",
            boxes=boxes, keypoints=keypoints, purpose="test", layout=layout,
        )
    )  # fmt: skip


# --- 3DPW -------------------------------------------------------------------------------------------------------------
POINTS = standing(KEYPOINT_SETS["openpose18"].points).T
TURN = Rotation.from_rotvec([np.pi / 2, 0, 0])


def sequence(**changes):
    """Three frames of one person, the camera of the third not valid, no point in the second, the camera turned by 90
    degrees about x."""
    cameras = np.tile(np.eye(4), (3, 1, 1))
    cameras[:, :3, :3], cameras[:, 2, 3] = TURN.as_matrix(), 4
    joints = np.tile(np.linspace(-0.5, 0.5, 72), (3, 1))
    content = {
        "sequence": "street_00",
        "poses": [np.zeros((3, 72))],
        "betas": [np.arange(300.0)],
        "trans": [np.zeros((3, 3))],
        "poses2d": [np.stack([POINTS, np.zeros((3, 18)), POINTS])],
        "jointPositions": [joints],
        "cam_poses": cameras,
        "cam_intrinsics": np.array([[1900.0, 0, 540], [0, 1900, 960], [0, 0, 1]]),
        "campose_valid": [np.array([1, 1, 0])],
        "genders": ["m"],
        "img_frame_ids": np.arange(3),
    }
    return content | changes


def test_a_sequence_of_3dpw_by_the_usual_convention(tmp_path):
    """Golden example 9."""
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(sequence(), protocol=2))
    inventory = inventory_of(adapter_of(tmp_path, "pw3d", images="imageFiles"))
    (record,) = inventory.records
    assert inventory.notes["people without a 2D point left out, who have no box"] == 1
    assert inventory.notes["people of frames whose camera is not valid left out"] == 1
    assert (record.image_id, record.path) == ("street_00/00000", "imageFiles/street_00/image_00000.jpg")
    assert (record.focal_px, record.principal_px, record.place.group) == (1900, (540, 960), "street_00")
    (person,) = record.people
    np.testing.assert_allclose(person.truth_3d.parameters["global_orient"], [np.pi / 2, 0, 0], atol=1e-6)
    assert (person.truth_3d.gender, person.truth_3d.num_betas, person.track) == ("male", 10, 0)
    joints = np.linspace(-0.5, 0.5, 72).reshape(24, 3)
    np.testing.assert_allclose(
        person.truth_3d.keypoints_m[16, :3], TURN.apply(joints[8]) + np.array([0, 0, 4]), atol=1e-6
    )
    hip = TURN.apply(joints[2]) + np.array([0, 0, 4])
    np.testing.assert_allclose(person.truth_3d.keypoints_m[12, :3], hip, atol=1e-6)
    assert (person.truth_3d.points_are, person.truth_3d.root_relative) == ("joints", False)
    np.testing.assert_allclose(person.keypoints[2], POINTS[:, 14], rtol=1e-6)  # OpenPose has the right eye first.
    low, high = POINTS[:2, POINTS[2] > 0].min(1), POINTS[:2, POINTS[2] > 0].max(1)
    square = (low + high) / 2 + np.array([[-0.5], [0.5]]) * (high - low).max()
    np.testing.assert_allclose(person.bbox_xyxy, square.ravel(), rtol=1e-5)  # As HMR2's file has it, without its 1.2.


def test_the_arrays_of_a_sequence_stay_as_they_are():
    content = sequence()
    before = pickle.dumps(content)
    list(pw3d.entries(content, "a.pkl", SequencePickleLayout(kind="pw3d", files=("*",))))
    assert pickle.dumps(content) == before


def test_the_official_convention_counts_frames_without_points_apart(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(sequence()))
    inventory = inventory_of(adapter_of(tmp_path, "pw3d", frames="campose_and_points"))
    assert len(inventory.records) == 1
    assert inventory.notes["people of frames without 2D points left out"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"poses": [np.zeros((2, 72))]}, "poses must be 3 x 72 numbers, got 2 x 72"),
        ({"cam_poses": None}, "cam_poses must be"),
        ({"genders": None}, "genders must be a list"),
        ({"genders": ["x"]}, "the gender is 'x'"),
    ],
)
def test_a_file_that_is_no_sequence_is_told(tmp_path, changes, words):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(sequence(**changes)))
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(sequence(sequence="other")))
    inventory = inventory_of(adapter_of(tmp_path, "pw3d"))
    assert len(inventory.records) == 1
    assert words in inventory.missing[0].detail


class _Shell:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_that_would_run_something_is_told_and_others_are_read(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(_Shell(f"touch {tmp_path / 'ran'}")))
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(sequence()))
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(sequence())[:-100])
    first, second, *_ = adapter_of(tmp_path, "pw3d").entries()
    assert [(m.path, m.code) for m in (first, second)] == [
        ("a.pkl", ErrorCode.LISTING_INCOMPLETE), ("c.pkl", ErrorCode.LISTING_INCOMPLETE),
    ]  # fmt: skip
    assert not (tmp_path / "ran").exists()


# --- AGORA ------------------------------------------------------------------------------------------------------------
NAMES = ["pelvis" if k is None else KEYPOINT_NAMES[k] for k in KEYPOINT_SETS["humandata"].wholebody[:127]]
PLACES_M = np.column_stack([(standing(NAMES)[:, :2] - [100, 130]) / 100, 5 + np.linspace(0, 0.3, 127)])
JOINTS_PX = PLACES_M[:, :2] / PLACES_M[:, 2:] * 2986.7 + [1920, 1080]


def photo(**changes):
    """A photo of two people, the second not valid, as a row of the DataFrame has it."""
    row = {
        "imgPath": "ag_validationset_renderpeople_bfh_archviz_5_10_cam02_00001.png",
        "isValid": [True, False],
        "gt_joints_2d": [JOINTS_PX.copy(), JOINTS_PX + 300],
        "gt_joints_3d": [PLACES_M.copy(), PLACES_M.copy()],
        "gender": ["female", "male"],
        "kid": [False, False],
        "gt_verts": [np.zeros((5, 3)), np.zeros((5, 3))],
    }
    return row | changes


def agora_of(root, *rows, **options):
    (root / "validation_0_withjv.pkl").write_bytes(pickle.dumps(list(rows)))
    return adapter_of(root, "agora", files=["*_withjv.pkl"], **options)


def test_joints_of_agora_are_those_of_the_small_picture(tmp_path):
    """Golden example 16."""
    inventory = inventory_of(agora_of(tmp_path, photo(), small_pictures=True, images="images"))
    (record,) = inventory.records
    assert record.path == "images/ag_validationset_renderpeople_bfh_archviz_5_10_cam02_00001_1280x720.png"
    assert (record.width, record.height, record.focal_px) == (1280, 720, 640)
    assert inventory.notes["people who are not valid left out"] == 1
    (person,) = record.people
    np.testing.assert_allclose(person.keypoints[0, :2], JOINTS_PX[55] / 3, rtol=1e-6)
    np.testing.assert_allclose(person.truth_3d.keypoints_m[0, :3], PLACES_M[55], rtol=1e-6)
    assert [region.shape for region in record.ignore_regions] == [(4, 2)]


def test_the_rows_of_agora_stay_as_they_are():
    rows = [photo()]
    before = pickle.dumps(rows)
    list(agora.entries(rows, "a", SequencePickleLayout(kind="agora", files=("*",), small_pictures=True)))
    assert pickle.dumps(rows) == before


def test_joints_that_no_camera_sees_fail_the_person(tmp_path):
    upright = PLACES_M * [1, -1, 1]
    (record,) = inventory_of(agora_of(tmp_path, photo(gt_joints_3d=[upright, upright]))).records
    assert "in another frame" in record.people[0].error_detail
    assert record.path == "ag_validationset_renderpeople_bfh_archviz_5_10_cam02_00001.png"


def test_a_dataframe_is_refused_with_the_command_that_writes_it_anew(tmp_path):
    path = tmp_path / "validation_0_withjv.pkl"
    pd.DataFrame([photo()]).to_pickle(path)
    adapter = adapter_of(tmp_path, "agora", files=["*_withjv.pkl"])
    with pytest.raises(ValueError, match="is a pickle of pandas") as caught:
        inventory_of(adapter)
    command = str(caught.value).partition('python -c "')[2].removesuffix('"')
    subprocess.run([sys.executable, "-c", command], check=True)
    assert len(inventory_of(adapter).records[0].people) == 1


def test_a_pickle_of_torch_is_refused_with_a_command(tmp_path):
    torch = pytest.importorskip("torch")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"root_pose": torch.zeros(3)}))
    with pytest.raises(ValueError, match="is a pickle of torch"):
        inventory_of(adapter_of(tmp_path, "agora"))

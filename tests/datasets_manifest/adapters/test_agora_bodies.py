"""Bodies of AGORA's pickles, turned as its own program turns their meshes."""

import pickle

import cv2
import numpy as np
import pytest
from inventories import inventory_of

from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.sequences.agora_bodies import smplx_parameters
from datasets_manifest.manifest import Manifest, open_adapter

REST = np.array([[0.0, 0, 0], [0.06, -0.09, 0], [-0.06, -0.09, 0], [0, 0.12, -0.02], [0.3, 0.5, 0.2]])
"""Pelvis, left hip, right hip, spine, and a point somewhere."""
CAMERAS = [
    ("ag_hdri_50.png", 0, 0),
    ("ag_a_cam00_1.png", 135, 30),
    ("ag_a_cam01_1.png", -135, 30),
    ("ag_a_cam02_1.png", -45, 30),
    ("ag_a_cam03_1.png", 45, 30),
    ("ag_trainset_ag2_1.png", 0, 15),
    ("ag_other_1.png", 62.5, 0),
]


def content(**changes):
    """A pickle of a person, as they are distributed but for torch."""
    rng = np.random.default_rng(1)
    sizes = {
        "body_pose": 63,
        "left_hand_pose": 45,
        "right_hand_pose": 45,
        "jaw_pose": 3,
        "leye_pose": 3,
        "reye_pose": 3,
    }
    body = {name: rng.normal(0, 0.2, (1, size)).astype(np.float32) for name, size in sizes.items()}
    body |= {"global_orient": np.array([[0.2, -0.4, 0.1]], np.float32), "betas": np.arange(11.0)[None]}
    return body | {"transl": np.zeros((1, 3)), "expression": np.ones((1, 10))} | changes


def seen(points_m, global_orient, scan_yaw, camera_yaw, pitch):
    """Points of a body in its camera: the arithmetic of agora_evaluation, written down."""
    points = points_m @ cv2.Rodrigues(np.asarray(global_orient, float))[0].T * [1, -1, -1]
    points = points @ cv2.Rodrigues(np.array([0, np.deg2rad(scan_yaw - 90), 0]))[0].T + [0.4, 0.1, 6.0]
    points = points @ cv2.Rodrigues(np.array([0, np.deg2rad(-camera_yaw), 0]))[0].T
    return points @ cv2.Rodrigues(np.array([np.deg2rad(pitch), 0, 0.0]))[0].T


def row_of(name, camera_yaw, pitch, **changes):
    joints = seen(REST, content()["global_orient"][0], 33.0, camera_yaw, pitch)
    row = {"imgPath": name, "camYaw": camera_yaw, "Yaw": 33.0, "kid": False, "gt_joints_3d": joints}
    return row | {"gt_path_smplx": "smplx_gt/validation/a_0.obj"} | changes


def read(files):
    def content_of(name):
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    return content_of


FILES = {"bodies/smplx_gt/validation/a_0.pkl": content()}


@pytest.mark.parametrize(("name", "camera_yaw", "pitch"), CAMERAS)
def test_the_pelvis_is_turned_as_the_program_turns_the_mesh(name, camera_yaw, pitch):
    row = row_of(name, camera_yaw, pitch)
    found = smplx_parameters(row, read(FILES), "bodies/")
    turn = cv2.Rodrigues(found["global_orient"])[0]
    joints = row["gt_joints_3d"]
    np.testing.assert_allclose(REST @ turn.T, joints - joints[0], atol=1e-6)
    np.testing.assert_allclose(found["left_hand_pose"], content()["left_hand_pose"][0])
    np.testing.assert_allclose(found["betas"], np.arange(10.0))


@pytest.mark.parametrize(
    ("changes", "files", "words"),
    [
        ({"Yaw": 123.0}, FILES, "is not turned as gt_joints_3d"),
        ({"gt_path_smplx": None}, FILES, "gt_path_smplx is no name"),
        ({"gt_path_smplx": "../../secret.obj"}, FILES, "is not a plain path"),
        ({"gt_path_smplx": "gt\\a_0.obj"}, FILES, "is not a plain path"),
        ({"Yaw": None}, FILES, "Yaw must be"),
        ({}, {}, "cannot be read"),
        ({}, {name: [] for name in FILES}, "is no dict of arrays"),
        ({}, {name: content(body_pose=np.zeros((1, 60))) for name in FILES}, "body_pose must be"),
        ({}, {name: content(jaw_pose=np.full((1, 3), np.nan)) for name in FILES}, "jaw_pose holds a value"),
    ],
)
def test_a_body_that_cannot_be_is_told(changes, files, words):
    with pytest.raises(RowError, match=words):
        smplx_parameters(row_of(*CAMERAS[3], **changes), read(files), "bodies")


def test_children_have_no_betas_and_old_files_other_names():
    body = content()
    body["root_pose"] = body.pop("global_orient")
    row = row_of(*CAMERAS[0], kid=True)
    found = smplx_parameters(row, read(dict.fromkeys(FILES, body)), "bodies")
    assert "betas" not in found
    assert {"global_orient", "left_hand_pose", "expression"} <= found.keys()


def photo(name, camera_yaw, pitch):
    """A row of two people, the second not valid, whose first joints are those of the body and of whose others each is
    somewhere about them."""
    others = np.random.default_rng(2).uniform(-0.8, 0.8, (123, 3))
    joints = seen(np.concatenate([REST[:4], others]), content()["global_orient"][0], 33.0, camera_yaw, pitch)
    shown = joints[:, :2] / joints[:, 2:] * 2000 + [1920, 1080]
    return {
        "imgPath": name,
        "isValid": [True, False],
        "gt_joints_2d": [shown, shown],
        "gt_joints_3d": [joints, joints],
        "gender": ["female", "male"],
        "kid": [False, False],
        "Yaw": [33.0, 0.0],
        "gt_path_smplx": ["gt/a_0.obj", "gt/gone.obj"],
    }


def listed(root):
    layout = {"kind": "agora", "files": ["*_withjv.pkl"], "bodies": "bodies"}
    manifest = Manifest(
        id="agora", version="1", licence="x", access="x", adapter="sequence_pickle", root=str(root), split="val",
        boxes="manifest", keypoints="coco_wholebody", purpose="test", layout=layout,
    )  # fmt: skip
    return inventory_of(open_adapter(manifest))


def test_bodies_of_a_data_set_stand_beside_its_joints(tmp_path):
    (tmp_path / "bodies/gt").mkdir(parents=True)
    (tmp_path / "bodies/gt/a_0.pkl").write_bytes(pickle.dumps(content()))
    (tmp_path / "validation_0_withjv.pkl").write_bytes(pickle.dumps([photo("ag_hdri_50.png", 0, 0)]))
    inventory = listed(tmp_path)
    (person,) = inventory.records[0].people
    truth = person.truth_3d
    assert (truth.model, truth.gender, truth.hands_from, truth.frame) == ("smplx", "female", "relaxed", "camera")
    assert not truth.root_relative
    assert truth.keypoints_m[:, 3].any()
    assert "gone" not in inventory.reasons, "nobody asks for those who are not valid"
    elsewhere = photo("ag_hdri_50.png", 0, 0) | {"gt_path_smplx": ["../../elsewhere", None]}
    (tmp_path / "validation_0_withjv.pkl").write_bytes(pickle.dumps([elsewhere]))
    (person,) = listed(tmp_path).records[0].people
    assert "is not a plain path" in person.error_detail
    (tmp_path / "validation_0_withjv.pkl").write_bytes(pickle.dumps([photo("ag_hdri_50.png", 0, 0)]))
    (tmp_path / "bodies/gt/a_0.pkl").unlink()
    (person,) = listed(tmp_path).records[0].people
    assert "its body bodies/gt/a_0.pkl cannot be read" in person.error_detail

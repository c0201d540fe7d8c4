"""People in the records of published methods, as their files hold them, for adapters to read."""

import io
import pickle

import numpy as np

PLACES_PX = np.stack([np.linspace(60, 140, 44), np.linspace(30, 230, 44), np.ones(44)], axis=1)
"""(44, 3) whose extent has its middle at (100, 130) and a longer side of 200 px."""
CENTER_PX = np.array([100.0, 130.0])
SIDE_PX = 240.0


def hmr2_person(**changes):
    """A person of HMR2's ``data.pyd``; ``...`` takes a key away."""
    loss = np.array({"reprojection_loss": 12.5}, dtype=object)
    record = {
        "keypoints_2d": PLACES_PX.astype(np.float32),
        "keypoints_3d": np.zeros((44, 4), np.float32),
        "center": CENTER_PX,
        "scale": np.full(2, SIDE_PX / 200),
        "body_pose": np.arange(72, dtype=np.float32) / 100,
        "betas": np.full(10, 0.5, np.float32),
        "has_body_pose": np.array(True),
        "has_betas": np.array(True),
        "extra_info": {"detection_npz_idx": 0, "fitting_loss": loss},
    }
    return {key: value for key, value in (record | changes).items() if value is not ...}


def sam3d_person(**changes):
    """A person of SAM-3D-Body's ``annotation.pyd``, whose 70 points are over the box."""
    points = np.stack([np.linspace(60, 140, 70), np.linspace(30, 230, 70), np.ones(70)], axis=1)
    record = {
        "person_id": 3,
        "keypoints_2d": points,
        "keypoints_3d": np.concatenate([points[:, :2] / 100, np.full((70, 1), 4.0), np.ones((70, 1))], axis=1),
        "mhr_valid": True,
        "bbox": np.array([50.0, 20, 150, 240]),
        "bbox_format": "xyxy",
        "center": CENTER_PX,
        "scale": np.full(2, SIDE_PX),
        "metadata": {"cam_int": np.array([[900.0, 0, 320], [0, 900, 240], [0, 0, 1]])},
    }
    return {key: value for key, value in (record | changes).items() if value is not ...}


def pear_person(**changes):
    """A person of PEAR's ``annotation.pyd``, upright before the camera."""
    body = {"global_pose": np.zeros((1, 3)), "body_pose": np.zeros((21, 3)), "camera_RT_params": np.eye(3, 4)}
    body |= {"left_hand_pose": np.zeros((15, 3)), "right_hand_pose": np.zeros((15, 3))}
    record = {
        "smplx_params": body,
        "flame_params": {},
        "id_params": {"smplx_shape": np.zeros((1, 200))},
        "smpl_keypoints_2d": PLACES_PX,
        "center": CENTER_PX,
        "scale": np.full(2, SIDE_PX),
        "head_valid": 1,
        "hand_valid": 0,
        "pose_valid": 1,
    }
    return {key: value for key, value in (record | changes).items() if value is not ...}


def pyd(records, protocol=4):
    """Bytes of a member that holds people."""
    return pickle.dumps(records, protocol=protocol)


def detection_npz(people):
    """Bytes of HMR2's masks."""
    file = io.BytesIO()
    np.savez(file, masks=np.ones((people, 4, 4), bool))
    return file.getvalue()

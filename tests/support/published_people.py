"""People in the records of published methods, as their files hold them, for adapters to read."""

import io
import pickle

import numpy as np

from datasets_manifest.schema.keypoint_sets import HMR2_44, KEYPOINT_SETS

_ON_THE_LEFT = {
    "eye": (103, 42), "ear": (107, 44), "shoulder": (118, 70), "elbow": (124, 100), "wrist": (126, 128),
    "hip": (110, 130), "knee": (112, 175), "ankle": (114, 215), "heel": (114, 230), "big_toe": (128, 228),
    "small_toe": (140, 226), "hand": (127, 136), "olecranon": (124, 101), "cubital_fossa": (124, 99),
    "acromion": (117, 66),
}  # fmt: skip
_IN_THE_MIDDLE = {"nose": 45, "neck": 62, "head_top": 30, "thorax": 72, "spine": 100, "jaw": 52, "head": 40}


def standing(names):
    """(N, 3) px and 1 of points by their names, of a person who looks at us: 80 px wide, 200 px high, about (100, 130).

    What was detected, ``openpose_*``, lies 1 px beside what is annotated.
    """

    def place(name):
        side, _, rest = name.removeprefix("openpose_").partition("_")
        if side in ("left", "right"):
            x, y = _ON_THE_LEFT[rest if rest in _ON_THE_LEFT else "hand"]
            x, y = (x if side == "left" else 200 - x), y
        else:
            x, y = 100, _IN_THE_MIDDLE.get(name.removeprefix("openpose_"), 130)
        is_limb = rest in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        return x, y - (name.startswith("openpose_") and is_limb), 1

    return np.array([place(name) for name in names], dtype=np.float64)


PLACES_PX = standing(HMR2_44.points)
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
    points = standing(KEYPOINT_SETS["mhr70"].points)
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

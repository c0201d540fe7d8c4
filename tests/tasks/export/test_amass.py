"""An NPZ in AMASS's form, read again: the body model gives the labels' bodies, SMPL-X's own formula their joints."""

import io
import json

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from model.body import skeleton
from tasks.export.amass import encode_smplh, encode_smplx
from tasks.posing import pose_bodies
from tasks.predict.avatar.motion import read_motion


def loaded(data):
    with np.load(io.BytesIO(data)) as file:
        return dict(file)


@pytest.fixture(scope="module")
def smplx(clip, ehm):
    return loaded(encode_smplx(clip, ehm))


def in_camera(points, file):
    """Points of the file's axes in the axes of its reference."""
    return points @ file["pear_axes_from_reference"]


def test_the_keys_are_those_of_the_released_files(smplx, clip, ehm):
    plain = {name for name in smplx if not name.startswith("pear_")}
    assert plain == {
        "trans", "poses", "betas", "num_betas", "gender", "surface_model_type", "mocap_frame_rate", "mocap_time_length",
        "root_orient", "pose_body", "pose_hand", "pose_jaw", "pose_eye",
    }  # fmt: skip
    assert smplx["poses"].shape == (14, 165)
    assert smplx["trans"].shape == (14, 3)
    assert smplx["betas"].shape == (16,)
    assert (str(smplx["gender"]), str(smplx["surface_model_type"])) == ("neutral", "smplx")
    assert smplx["mocap_frame_rate"] == pytest.approx(30)
    order = ("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand")
    np.testing.assert_array_equal(smplx["poses"], np.concatenate([smplx[name] for name in order], 1))
    smplh = loaded(encode_smplh(clip, ehm))
    assert smplh["poses"].shape == (14, 156)
    np.testing.assert_array_equal(smplh["poses"], np.delete(smplx["poses"], np.s_[66:75], 1))
    assert not smplh["betas"].any()
    assert smplh["mocap_framerate"] == pytest.approx(30)


def test_the_body_model_gives_the_labels_bodies(smplx, ehm, labelled):
    frames, vertices, joints = labelled
    columns = {
        "transl_m": smplx["pear_pelvis_m"], "global_orient": smplx["root_orient"], "body_pose": smplx["pose_body"],
        "jaw_pose": smplx["pose_jaw"], "eye_pose": smplx["pose_eye"],
        "left_hand_pose": smplx["pose_hand"][:, :45], "right_hand_pose": smplx["pose_hand"][:, 45:],
        "flame_expression": smplx["pear_flame_expression"], "eyelids": smplx["pear_eyelids"],
        **{name: np.tile(smplx[f"pear_{name}"], (14, 1)) for name in ("betas", "flame_shape", "head_scale")},
    }  # fmt: skip
    posed = pose_bodies(ehm, {name: values[frames] for name, values in columns.items()})
    np.testing.assert_allclose(in_camera(posed.vertices.numpy(), smplx), vertices, atol=1e-4)
    np.testing.assert_allclose(in_camera(posed.joints.numpy(), smplx), joints, atol=1e-4)


def test_readers_of_amass_get_the_labels_joints(smplx, ehm, labelled):
    """As the package smplx poses: joints of the shaped template, chained, and `trans` added to all."""
    frames, _, joints = labelled
    assets = ehm.assets.smplx
    shaped = assets.v_template + assets.shapedirs[..., :16].astype(float) @ smplx["betas"]
    rest = assets.joint_regressor.astype(float) @ shaped
    turns = Rotation.from_rotvec(smplx["poses"].reshape(-1, 3)).as_matrix().reshape(14, 55, 3, 3)
    world, place = turns.copy(), np.tile(rest, (14, 1, 1))
    for joint, parent in enumerate(assets.parents[1:].tolist(), 1):
        world[:, joint] = world[:, parent] @ turns[:, joint]
        place[:, joint] = place[:, parent] + world[:, parent] @ (rest[joint] - rest[parent])
    place += smplx["trans"][:, None]
    face = range(skeleton.JAW, skeleton.RIGHT_EYE + 1)  # of the scaled FLAME head, which SMPL-X does not have
    others = [k for k in range(55) if k not in face]
    np.testing.assert_allclose(in_camera(place[frames], smplx)[:, others], joints[:, others], atol=1e-4)


@pytest.mark.parametrize(("encode", "names"), [(encode_smplx, ("jaw_pose",)), (encode_smplh, ())])
def test_predicted_avatars_can_wear_it(clip, ehm, tmp_path, encode, names):
    path = tmp_path / "motion.npz"
    path.write_bytes(encode(clip, ehm))
    read = read_motion(path, ehm.assets.entry)
    assert read.fps == pytest.approx(30)
    for name in ("body_pose", "left_hand_pose", "right_hand_pose", *names):
        torch.testing.assert_close(getattr(read.parameters, name), getattr(clip.parameters, name), atol=1e-5, rtol=0)


def test_what_is_no_label_and_what_it_is_of_is_stated(smplx, ehm):
    names = smplx["pear_state_names"]
    assert [str(names[k]) for k in smplx["pear_state"][[0, 3, 9]]] == ["found", "bridged", "filled"]
    assert smplx["pear_gaps"].tolist() == [[8, 10]]
    assert smplx["pear_frame"].tolist() == list(range(14))
    assert json.loads(str(smplx["pear_body_model"])) == ehm.assets.entry
    assert str(smplx["pear_licence"]) == "CC0-1.0"
    assert "z up" in str(smplx["pear_axes"])

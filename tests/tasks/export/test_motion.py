"""A track as a motion: in one frame of reference with z up, whichever camera saw it; what no label says is marked."""

import numpy as np
import pytest
import torch
from moving_people import bridge, moving_columns, write_moving
from scipy.spatial.transform import Rotation, Slerp

from datasets_manifest.shards.shard import Shard
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from tasks.export.filling import Filler
from tasks.export.motion import FrameState, motions_of
from tasks.export.rows import label_rows
from tasks.posing import JointBody


def motions_in(folder, columns):
    with Shard(write_moving(folder, [columns], load_open_body().entry)) as shard:
        rows = label_rows(shard)
    assert rows is not None
    return {own.name.track: own for own in motions_of(rows, body_model={}, licence="")}


@pytest.fixture(scope="module")
def body():
    return SparseBody.from_assets(load_open_body())


def joints_of(ehm: EHMs, motion):
    with torch.inference_mode():
        return ehm(motion.parameters).joints.double().numpy()


@pytest.mark.parametrize("track", [0, 1])
def test_every_view_of_a_scene_gives_the_motion(ehm, motions, groups, track):
    columns, motion = groups["studio"], motions["studio", track]
    assert (motion.reference, motion.camera, len(motion)) == ("world", None, 4)
    found = joints_of(ehm, motion)[:, :22]
    for view in range(4):
        own = [k for k in range(32) if columns["track"][k] == track and columns["camera"][k] == f"cam{view}"]
        names = ("transl_m", "global_orient", "body_pose", "betas", "flame_shape", "head_scale")
        seen = JointBody(ehm).joints({name: np.stack([columns[name][k] for k in own]) for name in names})[:, :22]
        extrinsics = np.stack([columns["world_to_camera"][k] for k in own])
        world = (seen - extrinsics[:, None, :, 3]) @ extrinsics[:, :, :3]
        np.testing.assert_allclose(world @ motion.axes_from_reference.T, found, atol=1e-4)


def test_z_is_up_and_axes_are_only_turned(motions, ehm):
    for motion in motions.values():
        np.testing.assert_allclose(motion.axes_from_reference @ motion.axes_from_reference.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(motion.axes_from_reference) == pytest.approx(1)
        joints = joints_of(ehm, motion)
        up = (joints[:, 15] - joints[:, 0]).mean(0)
        assert up.argmax() == 2


def test_without_extrinsics_the_camera_is_the_origin(clip, groups):
    assert (clip.reference, clip.camera) == ("camera", None)
    x, y, z = np.asarray(groups["days/clip.mp4"]["transl_m"][0])
    np.testing.assert_allclose(clip.parameters.known("transl_m")[0].numpy(), [x, z, -y], atol=1e-6)
    assert "x right, y forward, z up" in clip.axes


def test_every_frame_says_where_its_pose_comes_from(clip):
    assert clip.frame.tolist() == list(range(14))
    assert clip.frames_of(FrameState.BRIDGED) == [[3, 4]]
    assert clip.frames_of(FrameState.FILLED) == [[8, 10]]
    assert (clip.state == FrameState.FOUND).sum() == 9
    assert clip.part_valid[0].all()
    assert not clip.part_valid[[3, 4, 8, 9, 10]].any()
    assert clip.rate_hz == pytest.approx(30)
    assert not clip.varies


def test_gaps_are_filled_on_the_straight_way(clip):
    place = clip.parameters.known("transl_m").numpy()
    np.testing.assert_allclose(place[9], (place[7] + place[11]) / 2, atol=1e-6)
    elbow = clip.parameters.body_pose[:, 17].double().numpy()
    expected = Slerp([7, 11], Rotation.from_matrix(elbow[[7, 11]]))([8, 9, 10]).as_matrix()
    np.testing.assert_allclose(elbow[[8, 9, 10]], expected, atol=1e-5)


def test_what_is_known_stays_and_ends_are_held():
    values = torch.arange(5.0)[:, None]
    filled = Filler.of(np.array([False, True, False, True, False]), np.array([0.0, 1, 1.5, 3, 4]))(values, False)
    assert filled[:, 0].tolist() == [1, 1, 1.5, 3, 3]


def test_of_several_views_one_that_found_the_person_is_taken(tmp_path, body):
    columns = moving_columns(body, people=1, frames=3, views=2, seed=1)
    bridge(columns, [1])  # the first camera's, in the second frame
    columns["transl_m"][1] = columns["transl_m"][1] + 1
    (motion,) = motions_in(tmp_path, columns).values()
    assert (motion.state == FrameState.FOUND).all()
    step = np.linalg.norm(np.diff(motion.parameters.known("transl_m").numpy(), axis=0), axis=1)
    assert step.max() < 0.3


def test_where_a_camera_is_not_placed_one_camera_is_the_reference(tmp_path, body):
    columns = moving_columns(body, people=1, frames=3, views=2, seed=1)
    columns["world_to_camera"] = [None] * 3 + columns["world_to_camera"][3:]
    columns["status"][1], columns["error_code"][1] = "failed", "keypoints_too_few"
    (motion,) = motions_in(tmp_path, columns).values()
    assert (motion.reference, motion.camera) == ("camera", "cam1")
    x, y, z = np.asarray(columns["transl_m"][3])
    np.testing.assert_allclose(motion.parameters.known("transl_m")[0].numpy(), [x, z, -y], atol=1e-6)


def test_a_motion_has_one_shape_and_says_whose_differs(tmp_path, body):
    columns = moving_columns(body, frames=4, seed=2)
    columns["betas"] = [betas + (k == 3) for k, betas in enumerate(columns["betas"])]
    (motion,) = motions_in(tmp_path, columns).values()
    assert motion.reshaped == 4
    np.testing.assert_allclose(
        motion.parameters.betas.numpy(), np.tile(np.mean(columns["betas"], 0), (4, 1)), atol=1e-5
    )


def test_uneven_times_are_told(tmp_path, body):
    columns = moving_columns(body, frames=5, seed=2)
    columns["time_s"][4] += 0.02
    (motion,) = motions_in(tmp_path, columns).values()
    assert motion.varies
    assert motion.rate_hz == pytest.approx(30)

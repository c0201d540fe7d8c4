"""People who move before one camera or several: one world for all views, the same but for what moves, and it shows."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.adapters.synthetic import SyntheticAdapter, SyntheticLayout
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.opening import open_images
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.skeleton import LEFT_HAND
from model.renderer.raster import project
from tasks.posing import pose_bodies
from tasks.synthetic.groups import GroupConfig
from tasks.synthetic.paths import RATE_HZ
from tasks.synthetic.pose import SHAPE
from tasks.synthetic.render import synthesise

SMALL = GroupConfig(image_width=64, image_height=64, supersample=1, image_format="png", seed=2)
CLIP = dataclasses.replace(SMALL, count=2, frames=12, people=2)
RIG = dataclasses.replace(SMALL, frames=4, cameras=3)


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def folders(tmp_path_factory, ehm):
    found = {}
    for name, config in (("clip", CLIP), ("rig", RIG)):
        found[name] = tmp_path_factory.mktemp(name)
        synthesise(found[name], config, ehm)
    return found


@pytest.fixture(scope="module")
def clip(folders):
    return Columns(read_shard(folders["clip"] / "truth.parquet", label_schema(in_groups=True)))


@pytest.fixture(scope="module")
def rig(folders):
    return Columns(read_shard(folders["rig"] / "truth.parquet", label_schema(in_groups=True)))


def posed(truth, ehm):
    return pose_bodies(ehm, {name: truth[name] for name in LABEL_PARAMETERS})


def in_world(points_cam, truth):
    """Points (N, J, 3) of rows as the world has them."""
    camera = truth["world_to_camera"].astype(np.float64)
    return np.einsum("nji,nkj->nki", camera[:, :, :3], points_cam.astype(np.float64) - camera[:, None, :, 3])


@pytest.mark.long
def test_all_views_of_a_moment_are_of_one_world(rig, ehm):
    world = in_world(posed(rig, ehm).joints.numpy(), rig)
    for frame in range(RIG.frames):
        views = world[rig["frame"] == frame]
        assert len(views) == RIG.cameras
        np.testing.assert_allclose(views, np.broadcast_to(views[:1], views.shape), atol=1e-5)
    positions = world[np.unique(rig["frame"], return_index=True)[1], 0]
    assert np.ptp(positions, axis=0).max() > 0.01


@pytest.mark.long
def test_truth_is_what_each_camera_sees(clip, rig, ehm):
    for truth in (clip, rig):
        keypoints = posed(truth, ehm).keypoints.numpy()
        for row in range(truth.num_rows):
            pixels = project(keypoints[row], float(truth["focal_px"][row]), truth["principal_px"][row])
            np.testing.assert_allclose(pixels, truth["keypoints_2d"][row, :, :2], atol=0.02)


@pytest.mark.long
def test_the_same_person_before_cameras_that_stand_still(clip, rig):
    for truth in (clip, rig):
        people = pd.DataFrame({"group": truth["group"], "track": truth["track"]})
        for _, rows in people.groupby(["group", "track"]).groups.items():
            for name in SHAPE:
                assert (truth[name][rows] == truth[name][rows[0]]).all()
    placed = pd.DataFrame(
        {"camera": rig["camera"], "place": [tuple(place.ravel()) for place in rig["world_to_camera"]]}
    )
    assert placed.groupby("camera").place.nunique().tolist() == [1] * RIG.cameras
    assert placed.place.nunique() == RIG.cameras


def test_cameras_stand_on_a_ring(rig):
    rotation = rig["world_to_camera"][: RIG.cameras, :, :3].astype(np.float64)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-6)
    turns = [np.degrees(Rotation.from_matrix(own @ rotation[0].T).magnitude()) for own in rotation[1:]]
    assert all(100 < turn < 140 for turn in turns)


def test_people_move_smoothly_body_hands_and_face(clip, ehm):
    for group, track in (("group_000", 0), ("group_001", 0), ("group_001", 1)):
        own = clip.take((clip["group"] == group) & (clip["track"] == track))
        assert own["frame"].tolist() == list(range(CLIP.frames))
        np.testing.assert_allclose(own["time_s"], np.arange(CLIP.frames) / RATE_HZ)
        joints = in_world(posed(own, ehm).joints.numpy(), own)
        velocity, change = np.diff(joints, axis=0), np.diff(joints, 2, axis=0)
        assert np.linalg.norm(velocity, axis=-1).max() * RATE_HZ < 8.0
        assert np.linalg.norm(change, axis=-1).max() < 0.15 * np.linalg.norm(velocity, axis=-1).max()
        for name in ("body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose", "eye_pose", "flame_expression"):
            assert np.ptp(own[name], axis=0).max() > 0.005, name


def test_a_camera_sees_the_same_background_but_for_noise(folders, rig):
    first = rig.take(rig["camera"] == "camera_1")
    pictures = [decode_image((folders["rig"] / name).read_bytes(), name=name) for name in first["image"]]
    empty = np.ones(pictures[0].shape[:2], bool)
    for left, top, right, bottom in first["bbox_xyxy"].astype(int):
        empty[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = False
    one, other = (picture[empty].astype(float).mean(-1) for picture in (pictures[0], pictures[-1]))
    assert len(one) > 200
    assert 0.5 < (one - other).std() < 8.0


def test_something_passes_in_front_of_the_hand_of_one_who_is_alone(folders, clip):
    scenes = pd.read_csv(folders["clip"] / "scenes.csv")
    hidden = scenes.image[scenes.has_occluder].tolist()
    assert hidden == [f"images/group_000/{frame:06d}.png" for frame in range(3, 9)]
    own = clip.take(clip["group"] == "group_000")
    seen = own["keypoints_2d"][:, LEFT_HAND, 2].mean(1) > 0
    assert not seen[4:8].any()
    assert seen[[0, 1, 2, 9, 10, 11]].all()


def test_the_nearer_of_two_who_cross_covers_the_other(clip):
    two = clip.take(clip["group"] == "group_001")
    near, far = (two.take(two["track"] == track) for track in (0, 1))
    assert (near["transl_m"][:, 2] < far["transl_m"][:, 2]).all()
    side = np.sign(near["bbox_xyxy"][:, [0, 2]].mean(1) - far["bbox_xyxy"][:, [0, 2]].mean(1))
    assert side[0] == -1
    assert side[-1] == 1
    assert (far["keypoints_2d"][:, :17, 2].sum(1) < 17).any()
    assert (near["keypoints_2d"][:, 5:17, 2] == 1).all()


def test_a_lost_picture_is_rendered_again_byte_for_byte(folders, tmp_path, ehm):
    config = dataclasses.replace(CLIP, frames=2)
    synthesise(tmp_path, config, ehm)
    files = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.p*"))}
    assert len(files) == 5
    (tmp_path / "images/group_001/000001.png").unlink()
    synthesise(tmp_path, config, ehm)
    assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.p*"))} == files


def test_the_adapter_lists_groups_with_their_places(folders, rig):
    layout = SyntheticLayout(count=1, frames=RIG.frames, cameras=RIG.cameras)
    adapter = SyntheticAdapter(open_images(folders["rig"]), layout, boxes="manifest", keypoints="none")
    entries = list(adapter.entries())
    records = [entry for entry in entries if isinstance(entry, ImageRecord)]
    assert len(records) == len(entries) == layout.num_images
    places = [record.place for record in records if record.place is not None]
    assert len(places) == len(records)
    assert {place.group for place in places} == {"group_000"}
    last, place = records[-1], places[-1]
    assert (place.camera, place.frame) == ("camera_2", 3)
    assert place.time_s == pytest.approx(3 / RATE_HZ)
    row = np.flatnonzero(rig["image"] == last.path)[0]
    np.testing.assert_array_equal(place.world_to_camera, rig["world_to_camera"][row])
    assert [person.track for person in last.people] == [0]


@pytest.mark.parametrize("bad", [{"frames": 0}, {"cameras": -1}, {"people": 0}, {"image_width": 8}])
def test_impossible_groups_are_refused(bad):
    with pytest.raises(ValueError, match="expected at least"):
        GroupConfig(**bad)

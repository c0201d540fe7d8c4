"""The synthetic data set: same settings, same bytes; the truth is true; the pictures show what it says."""

import dataclasses
import logging
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from datasets_manifest.files import alone_in
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.masks import PERSON, UNKNOWN, read_mask
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.joint_limits import JOINT_LIMITS_RAD
from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from model.renderer.people import RestShape
from model.renderer.raster import project
from tasks.posing import pose_bodies
from tasks.synthetic import render as module
from tasks.synthetic.person import SyntheticConfig, render_person
from tasks.synthetic.pose import CROPS, finger_axes, limb_overlap_m, posed_joints, sample_person
from tasks.synthetic.render import synthesise

SMALL = SyntheticConfig(count=6, image_width=96, image_height=128, supersample=1, occluder_share=0.5)


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def rest(ehm):
    return RestShape.from_assets(ehm.assets)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, ehm):
    folder = tmp_path_factory.mktemp("synthetic")
    synthesise(folder, SMALL, ehm)
    return folder


@pytest.fixture(scope="module")
def truth(rendered):
    return read_shard(rendered / "truth.parquet", LABEL_SCHEMA).to_pylist()


def stack(rows, name, shape):
    return np.stack([np.asarray(row[name], np.float32).reshape(shape) for row in rows])


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_settings_give_the_same_bytes(rendered, tmp_path, ehm):
    synthesise(tmp_path, SMALL, ehm)
    assert contents(tmp_path) == contents(rendered)


def test_a_smaller_set_is_the_beginning_of_a_larger_one(rendered, truth, tmp_path, ehm):
    synthesise(tmp_path, dataclasses.replace(SMALL, count=2), ehm)
    rows = read_shard(tmp_path / "truth.parquet", LABEL_SCHEMA).to_pylist()
    assert rows == truth[:2]
    for row in rows:
        assert (tmp_path / row["image"]).read_bytes() == (rendered / row["image"]).read_bytes()


def test_usual_crop_shares_need_not_be_stated(rendered, truth):
    assert "crop_shares" not in read_footer(rendered / "truth.parquet").config["settings"]
    scenes = pd.read_csv(rendered / "scenes.csv")
    assert scenes.image.tolist() == [row["image"] for row in truth]
    assert scenes.crop.tolist() == [
        str(np.random.default_rng([SMALL.seed, k]).choice(CROPS[:3], p=[0.65, 0.22, 0.13])) for k in range(SMALL.count)
    ]


def test_crop_shares_decide_how_much_is_framed(rest):
    shares = (0.0, 0.25, 0.75, 0.0, 0.0, 0.0)
    people = [sample_person(np.random.default_rng([2, k]), rest.joints_m, shares) for k in range(60)]
    crops = [person.crop for person in people]
    assert set(crops) == {"upper", "head"}
    assert 33 <= crops.count("head") <= 57


def test_crop_shares_are_part_of_the_settings(tmp_path, ehm):
    config = dataclasses.replace(SMALL, count=1, crop_shares=(0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    synthesise(tmp_path, config, ehm)
    assert read_footer(tmp_path / "truth.parquet").config["settings"]["crop_shares"] == [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert pd.read_csv(tmp_path / "scenes.csv").crop.tolist() == ["head"]


@pytest.mark.parametrize(("crop", "hand"), [("left_hand", LEFT_HAND), ("right_hand", RIGHT_HAND)])
def test_a_close_up_shows_that_hand(crop, hand, ehm, rest):
    config = dataclasses.replace(SMALL, crop_shares=tuple(float(name == crop) for name in CROPS))
    close, seen = 0, 0
    for index in range(16):
        truth = render_person(index, config, ehm, rest).truth
        points = truth["keypoints_2d"][hand]
        span = np.ptp(points[:, :2], axis=0).max() / max(SMALL.image_height, SMALL.image_width)
        close += 0.25 < span < 1.2
        seen += points[:, 2].mean() > 0.5
    assert close >= 14
    assert seen >= 11


@pytest.mark.long
def test_a_face_fills_its_picture_and_looks_into_it(ehm, rest):
    """From the side at most, so that there is something to learn from it; larger than where the head is framed."""
    spans, seen = {}, 0
    for crop in ("head", "face"):
        config = dataclasses.replace(SMALL, crop_shares=tuple(float(name == crop) for name in CROPS))
        people = [render_person(index, config, ehm, rest).truth["keypoints_2d"][FACE] for index in range(16)]
        spans[crop] = np.median([np.ptp(points[:, 1]) / SMALL.image_height for points in people])
        seen = sum(points[:, 2].mean() > 0.5 for points in people)
    assert 0.3 < spans["face"] < 0.8
    assert spans["face"] > 1.3 * spans["head"]
    assert seen >= 13


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same_bytes(rendered, tmp_path, ehm, monkeypatch):
    monkeypatch.setattr(module, "PEOPLE_A_PROCESS", 1)
    for jobs in (2, 3):
        synthesise(tmp_path / str(jobs), SMALL, ehm, jobs=jobs)
        assert contents(tmp_path / str(jobs)) == contents(rendered)


def test_no_process_is_refused(tmp_path, ehm):
    with pytest.raises(ValueError, match="jobs: expected at least 1 process, got 0"):
        synthesise(tmp_path, SMALL, ehm, jobs=0)


def test_another_seed_gives_other_people(truth, ehm, rest):
    other = render_person(0, dataclasses.replace(SMALL, seed=1), ehm, rest)
    assert not np.allclose(other.truth["body_pose"].ravel(), truth[0]["body_pose"], atol=1e-3)


def test_a_complete_folder_is_left_alone(rendered, ehm, monkeypatch):
    def refuse(*_):
        raise AssertionError("rendered again")

    monkeypatch.setattr(module, "render_person", refuse)
    synthesise(rendered, SMALL, ehm)


def test_of_two_processes_one_renders_and_one_waits(tmp_path, ehm):
    config = dataclasses.replace(SMALL, count=1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with alone_in(tmp_path):
            os.write(writer, b"1")
            time.sleep(0.5)
            (tmp_path / "freed").touch()
        os._exit(0)
    os.read(reader, 1)
    synthesise(tmp_path, config, ehm)
    assert (tmp_path / "freed").exists()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_lost_image_is_rendered_again(rendered, ehm, tmp_path):
    config = dataclasses.replace(SMALL, count=2)
    synthesise(tmp_path, config, ehm)
    (tmp_path / "images" / "000001.jpg").unlink()
    synthesise(tmp_path, config, ehm)
    assert (tmp_path / "images" / "000001.jpg").read_bytes() == (rendered / "images" / "000001.jpg").read_bytes()


class Stopped(Exception):
    pass


def stopped_after(monkeypatch, pictures):
    """Lets so many people be rendered; returns who was, and what goes on without a stop."""
    rendered, render = [], module.render_person

    def render_some(index, *rest):
        if len(rendered) == pictures:
            raise Stopped
        rendered.append(index)
        return render(index, *rest)

    monkeypatch.setattr(module, "render_person", render_some)
    return rendered


def test_a_rendering_that_was_stopped_goes_on_and_gives_the_same_bytes(rendered, tmp_path, ehm, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    with monkeypatch.context() as patch:
        stopped_after(patch, 5)
        with pytest.raises(Stopped):
            synthesise(tmp_path, SMALL, ehm)
    (tmp_path / "images" / "000001.jpg").unlink()
    again = stopped_after(monkeypatch, 99)
    synthesise(tmp_path, SMALL, ehm)
    assert again == [0, 1, 4, 5]
    assert contents(tmp_path) == contents(rendered)


def test_pictures_that_other_settings_began_to_replace_are_rendered_again(rendered, tmp_path, ehm, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
    for seed in (SMALL.seed, SMALL.seed + 1):
        with monkeypatch.context() as patch:
            stopped_after(patch, 3)
            with pytest.raises(Stopped):
                synthesise(tmp_path, dataclasses.replace(SMALL, seed=seed), ehm)
    synthesise(tmp_path, SMALL, ehm)
    assert contents(tmp_path) == contents(rendered)


def test_it_says_at_once_how_many_are_rendered_and_shows_each(tmp_path, ehm, caplog):
    shown = []

    class Shown:
        def show(self, *told):
            shown.append(told)

    caplog.set_level(logging.INFO)
    synthesise(tmp_path, dataclasses.replace(SMALL, count=3), ehm, display=Shown())
    assert caplog.messages[0] == f"Rendering 3 people, one a photo, into {tmp_path}."
    assert [told[:3] for told in shown] == [("people rendered", done, 3) for done in (1, 2, 3)]
    assert [told[4] is None for told in shown] == [True, False, False]
    assert shown[2][4] == 0


def test_other_settings_replace_the_folder_and_leave_no_stale_image(tmp_path, ehm):
    synthesise(tmp_path, dataclasses.replace(SMALL, count=3), ehm)
    synthesise(tmp_path, dataclasses.replace(SMALL, count=1, image_format="png"), ehm)
    assert sorted(contents(tmp_path)) == ["images/000000.png", "scenes.csv", "truth.parquet"]


def test_images_have_the_stated_size(rendered, truth):
    for row in truth:
        image = decode_image((rendered / row["image"]).read_bytes(), name=row["image"])
        assert image.shape == (row["image_height"], row["image_width"], 3)
        assert image.std() > 5


def test_the_truth_poses_the_body_again(truth, ehm):
    names = LABEL_PARAMETERS
    columns = {name: np.stack([np.asarray(row[name], np.float32) for row in truth]) for name in names}
    body = pose_bodies(ehm, columns)
    np.testing.assert_allclose(body.joints[:, 0].numpy(), stack(truth, "transl_m", (3,)), atol=2e-5)
    for k, row in enumerate(truth):
        pixels = project(body.keypoints[k].numpy(), row["focal_px"], np.asarray(row["principal_px"]))
        np.testing.assert_allclose(pixels, np.reshape(row["keypoints_2d"], (133, 3))[:, :2], atol=0.02)


def test_the_person_lies_inside_its_box(ehm, rest):
    for index in range(6):
        person = render_person(index, SMALL, ehm, rest)
        rows, columns = np.nonzero(person.mask)
        left, top, right, bottom = person.truth["bbox_xyxy"]
        assert columns.min() == left
        assert columns.max() + 1 == right
        assert rows.min() == top
        assert rows.max() + 1 == bottom
        assert person.mask.sum() > 100
        assert set(np.unique(person.truth["keypoints_2d"][:, 2])) <= {0.0, 1.0}


def test_a_visible_keypoint_is_inside_the_image(truth):
    for row in truth:
        keypoints = np.reshape(row["keypoints_2d"], (133, 3))
        x, y = keypoints[keypoints[:, 2] > 0, :2].T
        assert x.size > 0
        assert x.min() >= 0
        assert y.min() >= 0
        assert x.max() < row["image_width"]
        assert y.max() < row["image_height"]


def test_faces_are_marked_from_the_front_and_not_from_behind(ehm, rest):
    front, back = [], []
    for index in range(40):
        person = sample_person(np.random.default_rng([0, index]), rest.joints_m)
        towards = pose_bodies(ehm, {name: person.parameters[name][None] for name in ("global_orient", "body_pose")})
        nose, head = towards.keypoints[0, 0, 2], towards.joints[0, 15, 2]
        if abs(nose - head) > 0.07 and len(front if nose < head else back) < 3:
            truth = render_person(index, SMALL, ehm, rest).truth
            (front if nose < head else back).append(truth["keypoints_2d"][FACE, 2].mean())
    assert front
    assert back
    assert min(front) > 0.5
    assert max(back) == 0.0


@pytest.mark.long
def test_people_are_varied(rest):
    people = [sample_person(np.random.default_rng([7, k]), rest.joints_m) for k in range(120)]
    assert {person.crop for person in people} == {"full", "upper", "head"}
    assert 3 <= sum(person.is_child for person in people) <= 40
    scales = np.stack([person.parameters["head_scale"] for person in people])
    assert scales.min() >= 0.8
    assert scales.max() <= 1.3
    assert np.ptp(scales.mean(1)) > 0.25
    poses = np.stack([person.parameters["body_pose"] for person in people])
    assert (poses >= JOINT_LIMITS_RAD[..., 0] - 1e-6).all()
    assert (poses <= JOINT_LIMITS_RAD[..., 1] + 1e-6).all()
    overlap = np.array([limb_overlap_m(pose, rest.joints_m) for pose in poses])
    assert (overlap == 0).mean() > 0.8


def test_forward_kinematics_agrees_with_the_body_model(ehm, rest):
    pose = sample_person(np.random.default_rng(5), rest.joints_m).parameters["body_pose"]
    joints = posed_joints(pose, rest.joints_m)
    expected = pose_bodies(ehm, {"body_pose": pose[None]}).joints[0].numpy()
    np.testing.assert_allclose(np.stack(list(joints.values()))[:22], expected[:22], atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_bending_brings_the_fingertips_to_the_palm(ehm, rest, side):
    bend, _ = finger_axes(rest.joints_m, side)
    zero = np.zeros((1, 15, 3))
    straight = pose_bodies(ehm, {f"{side}_hand_pose": zero}).keypoints[0].numpy()
    fist = pose_bodies(ehm, {f"{side}_hand_pose": (bend * 1.2)[None]}).keypoints[0].numpy()
    start = 91 if side == "left" else 112
    for finger in range(1, 5):
        tip = start + 4 + 4 * finger
        assert fist[tip, 1] < straight[tip, 1] - 0.01  # the palm faces down
        assert np.linalg.norm(fist[tip] - fist[start]) < 0.75 * np.linalg.norm(straight[tip] - straight[start])


@pytest.mark.parametrize(
    "bad",
    [
        {"count": 0},
        {"seed": -1},
        {"image_width": 8},
        {"image_format": "gif"},
        {"occluder_share": 2.0},
        {"crop_shares": (0.5, 0.3, 0.2)},
        {"crop_shares": (0.5, 0.6, 0.1, 0.0, 0.0, 0.0)},
        {"crop_shares": (1.2, -0.2, 0.0, 0.0, 0.0, 0.0)},
        {"crop_shares": (float("nan"), 0.5, 0.5, 0.0, 0.0, 0.0)},
    ],
)
def test_impossible_settings_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        SyntheticConfig(**bad)


def test_truth_can_be_read_without_our_code(rendered):
    frame = pq.ParquetFile(rendered / "truth.parquet").read().to_pandas()
    assert np.stack(frame["body_pose"]).shape == (SMALL.count, 63)


@pytest.mark.parametrize("index", [2968, 9899])
def test_a_hand_close_to_the_camera_leaves_the_person_in_the_image(index, ehm, rest):
    """Straight steps to the goal overshoot ever further for these two; they were outside of their own image."""
    config = SyntheticConfig(count=1, seed=100, image_width=256, image_height=256, supersample=1)
    person = render_person(index, config, ehm, rest)
    assert person.mask.mean() > 0.2
    assert person.truth["keypoints_2d"][:, 2].sum() > 40


def test_masks_are_exact_and_change_nothing_else(tmp_path, ehm, rest):
    config = dataclasses.replace(SMALL, count=3, masks=True, occluder_share=1.0)
    labels = synthesise(tmp_path / "masked", config, ehm)
    synthesise(tmp_path / "plain", dataclasses.replace(config, masks=False), ehm)
    size = (SMALL.image_width, SMALL.image_height)
    for index in range(config.count):
        person, image = render_person(index, config, ehm, rest), f"images/{index:06d}.jpg"
        mask = read_mask(Path(labels.masks), image, 0, size)
        assert np.array_equal(mask == PERSON, person.mask & ~person.covered)
        assert np.array_equal(mask == UNKNOWN, person.covered)
        assert (mask == UNKNOWN).any()
        assert (tmp_path / "masked" / image).read_bytes() == (tmp_path / "plain" / image).read_bytes()
    lost = tmp_path / "masked/masks/images/000002.jpg.png"
    lost.unlink()
    synthesise(tmp_path / "masked", config, ehm)
    assert lost.is_file()
    synthesise(tmp_path / "masked", dataclasses.replace(config, masks=False), ehm)
    assert not list(tmp_path.glob("masked/masks/images/*"))

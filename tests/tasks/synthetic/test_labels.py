"""Truth as labels: the body that the labels pose is the rendered one, and flags say what the camera sees."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.selection import select_labels
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.shards.snapshot import check_snapshot
from datasets_manifest.sources.image_sources import check_images, open_images
from datasets_manifest.sources.images import decode_image
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from model.renderer.raster import project
from tasks.posing import pose_bodies
from tasks.synthetic.labels import label_truth, synthetic_people
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import TRUTH_SCHEMA

SMALL = SyntheticConfig(count=12, image_width=96, image_height=128, supersample=1, occluder_share=0.5, seed=3)
SHARES = (0.4, 0.3, 0.3, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def people(tmp_path_factory, ehm):
    folder = tmp_path_factory.mktemp("people")
    config = dataclasses.replace(SMALL, crop_shares=SHARES)
    return folder, synthetic_people(folder, config, ehm, dataset="made_up", split="train")


@pytest.fixture(scope="module")
def labels(people):
    folder, _ = people
    return read_shard(folder / "labels/made_up/train/00000.parquet", LABEL_SCHEMA).to_pylist()


@pytest.fixture(scope="module")
def truth(people):
    return read_shard(people[0] / "truth.parquet", TRUTH_SCHEMA).to_pylist()


def test_labels_pose_the_rendered_body_where_the_keypoints_are(labels, ehm):
    rows = [row for row in labels if row["status"] != Status.FAILED]
    columns = {name: np.stack([np.asarray(row[name], np.float32) for row in rows]) for name in LABEL_PARAMETERS}
    keypoints = pose_bodies(ehm, columns).keypoints.numpy()
    for k, row in enumerate(rows):
        pixels = project(keypoints[k], row["focal_px"], np.asarray(row["principal_px"]))
        np.testing.assert_allclose(pixels, np.reshape(row["keypoints_2d"], (133, 3))[:, :2], atol=0.02)


def test_every_person_has_one_row(labels, truth):
    assert [row["image"] for row in labels] == [row["image"] for row in truth]
    assert len({row["sample_id"] for row in labels}) == SMALL.count
    assert labels[0]["sample_id"] == "made_up/train/images/000000#0"


def test_flags_are_what_the_camera_sees(labels):
    parts = {"left_hand": LEFT_HAND, "right_hand": RIGHT_HAND, "face": FACE, "body": slice(5, 13)}
    for row in labels:
        seen = np.reshape(row["keypoints_2d"], (133, 3))[:, 2] > 0
        for part, rows in parts.items():
            assert row[f"{part}_valid"] == (2 * seen[rows].sum() >= seen[rows].size)
        valid = [row[f"{part}_valid"] for part in PART_NAMES]
        assert row["status"] == ("ok" if all(valid) else "partial" if any(valid) else "failed")
        if any(valid):
            assert row["joint_seen"][20] == seen[92:112].any()  # the left wrist is shown by the left hand
            assert row["joint_seen"][4] == seen[15]  # the left knee by the left ankle
            assert (row["quality"], row["hand_scale"]) == (1.0, [1.0] * 3)


def test_a_head_close_up_supervises_no_body(labels, truth):
    by_crop = {crop: [] for crop in ("full", "upper", "head")}
    for row, person in zip(labels, truth, strict=True):
        by_crop[person["crop"]].append(row["body_valid"])
    assert np.mean(by_crop["full"]) > 0.7
    assert np.mean(by_crop["head"]) < 0.5


def test_the_footer_says_what_was_done(people):
    shard = people[0] / "labels/made_up/train/00000.parquet"
    footer, rendered = read_footer(shard), read_footer(people[0] / "truth.parquet")
    assert (footer.config["step"], footer.estimators) == ("truth", ())
    assert footer.config["reads"] == {"truth": rendered.config_hash}
    assert footer.body_model["sha256"] == load_open_body().sha256
    assert footer.manifest["id"] == "made_up"
    assert check_snapshot(people[0] / "labels").num_rows == SMALL.count


def test_a_training_can_read_them(people):
    _, label_set = people
    selection = select_labels(label_set.path, max_dropped_share=0.3, body_model={"sha256": load_open_body().sha256})
    images = open_images(label_set.images)
    check_images(selection.table["image"].unique().to_pylist(), images, labels=selection.path)
    for k, name in enumerate(selection.table["image"].to_pylist()):
        height, width = decode_image(images.read(name), name=name).shape[:2]
        assert (selection.array("image_width")[k], selection.array("image_height")[k]) == (width, height)


def test_labels_that_are_there_stay_and_those_of_other_people_are_replaced(people, ehm, tmp_path):
    config = dataclasses.replace(SMALL, count=2)
    shard = tmp_path / "labels/synthetic/all/00000.parquet"
    synthetic_people(tmp_path, config, ehm)
    before = shard.stat().st_ino
    assert label_truth(tmp_path, tmp_path / "labels") == shard
    assert shard.stat().st_ino == before
    synthetic_people(tmp_path, dataclasses.replace(config, seed=4), ehm)
    assert shard.stat().st_ino != before
    assert pq.read_table(shard)["image"].to_pylist() == ["images/000000.jpg", "images/000001.jpg"]


def test_without_truth_there_are_no_labels(tmp_path):
    with pytest.raises(ValueError, match=r"There is no .*truth\.parquet; render"):
        label_truth(tmp_path, tmp_path / "labels")

"""Truth as labels: the body that the labels pose is the rendered one, and flags say what the camera sees."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.selection import select_labels
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.shards.snapshot import check_snapshot
from datasets_manifest.sources.image_source import check_images
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.opening import open_images
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from tasks.synthetic.labels import label_table
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import synthesise

SMALL = SyntheticConfig(count=12, image_width=96, image_height=128, supersample=1, occluder_share=0.5, seed=3)
SHARES = (0.4, 0.3, 0.3, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def people(tmp_path_factory, ehm):
    folder = tmp_path_factory.mktemp("people")
    config = dataclasses.replace(SMALL, crop_shares=SHARES)
    return folder, synthesise(folder, config, ehm, dataset="made_up", split="train")


@pytest.fixture(scope="module")
def labels(people):
    folder, _ = people
    return read_shard(folder / "truth.parquet", LABEL_SCHEMA).to_pylist()


def test_every_person_has_one_row(labels):
    assert [row["image"] for row in labels] == [f"images/{k:06d}.jpg" for k in range(SMALL.count)]
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
            assert (row["quality"], row["face_quality"], row["hand_scale"]) == (1.0, 1.0, [1.0] * 3)
            left_arm = row["body_valid"] and 2 * seen[[7, 9]].sum() >= 2
            assert row["body_group_valid"][2] == left_arm
            assert ("left_arm" in (row["body_group_detail"] or "")) == (row["body_valid"] and not left_arm)
            assert row["eyes_valid"] == row["eyelids_valid"] == row["face_valid"]


def test_a_head_close_up_supervises_no_body(labels, people):
    by_crop = {crop: [] for crop in ("full", "upper", "head")}
    for row, crop in zip(labels, pd.read_csv(people[0] / "scenes.csv").crop, strict=True):
        by_crop[crop].append(row["body_valid"])
    assert np.mean(by_crop["full"]) > 0.7
    assert np.mean(by_crop["head"]) < 0.5


def test_the_footer_says_what_was_done(people):
    footer = read_footer(people[0] / "truth.parquet")
    assert (footer.config["step"], footer.estimators) == ("synthesise", ())
    assert footer.body_model["sha256"] == load_open_body().sha256
    assert footer.manifest["id"] == "made_up"
    assert check_snapshot(people[0]).count.rows == SMALL.count


def test_who_is_not_seen_is_a_failed_row_with_all_that_is_known():
    person = {"image": "images/000000.jpg", "person": 0, "image_width": 64, "image_height": 64}
    person |= {"keypoints_2d": np.zeros((133, 3)), "global_orient": np.ones(3)}
    (row,) = label_table([person], "made_up", "all").to_pylist()
    assert (row["status"], row["quality"], row["reproj_body_px"]) == ("failed", 0.0, None)
    assert row["global_orient"] == [1.0] * 3


def test_a_training_can_read_them(people):
    _, label_set = people
    selection = select_labels(label_set.path, max_dropped_share=0.3, body_model={"sha256": load_open_body().sha256})
    images = open_images(label_set.images)
    check_images(selection.table["image"].unique().to_pylist(), images, labels=selection.path)
    for k, name in enumerate(selection.table["image"].to_pylist()):
        height, width = decode_image(images.read(name), name=name).shape[:2]
        assert (selection.array("image_width")[k], selection.array("image_height")[k]) == (width, height)


def test_another_name_or_split_makes_other_labels(ehm, tmp_path):
    config = dataclasses.replace(SMALL, count=1)
    for split in ("train", "val"):
        synthesise(tmp_path, config, ehm, split=split)
        assert pq.read_table(tmp_path / "truth.parquet")["sample_id"].to_pylist() == [
            f"synthetic/{split}/images/000000#0"
        ]

"""HumanData, read as SMPLest-X reads it: boxes, points, parameters, and who and what may not supervise."""

import zipfile

import cv2
import numpy as np
import pytest
from pickling import arrays_of_npz

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import load_manifest, open_adapter
from datasets_manifest.restricted_pickle import unpickle
from datasets_manifest.schema.keypoint_sets import SMPLX_144
from model.body.published_hands import flat_hands
from tasks.posing import pose_bodies

MANIFEST = """
id: again
version: "1"
licence: CC0
access: here
adapter: npz_people
root: {root}
split: train
layout: {{family: humandata, file: photos_all.npz}}
boxes: manifest
keypoints: coco_wholebody
purpose: test
"""


@pytest.fixture(scope="module")
def path(exported):
    return exported("humandata").folder / "photos_all.npz"


@pytest.fixture(scope="module")
def content(path):
    """As its readers open it: objects are dicts of arrays and lists."""
    return {name: own.item() if own.shape == () else own for name, own in arrays_of_npz(path).items()}


def test_it_says_what_readers_ask_first(content):
    assert content["__key_strict__"] is False
    assert content["__keypoints_compressed__"] is False
    assert content["__data_len__"] == 6
    assert content["keypoints2d_smplx"].shape == (6, 190, 3)
    assert content["keypoints3d_smplx"].shape == (6, 190, 4)
    assert content["keypoints2d_smplx_mask"].sum() == 144
    meta = content["meta"]
    assert (meta["height"], meta["width"]) == ([240] * 6, [320] * 6)
    assert np.shape(meta["focal_length"]) == np.shape(meta["principal_point"]) == (6, 2)
    shapes = {name: value.shape for name, value in content["smplx"].items()}
    assert shapes == {
        "global_orient": (6, 3), "body_pose": (6, 21, 3), "betas": (6, 10), "transl": (6, 3), "jaw_pose": (6, 3),
        "leye_pose": (6, 3), "reye_pose": (6, 3), "left_hand_pose": (6, 15, 3), "right_hand_pose": (6, 15, 3),
    }  # fmt: skip


def test_boxes_become_tight_by_the_factor_of_the_reader(content, columns):
    """SMPLest-X multiplies by 0.833, for stored boxes are 1.2 times as large."""
    x, y, width, height, score = content["bbox_xywh"].T
    tight = np.stack([x + width / 2 - 0.833 * width / 2, y + height / 2 - 0.833 * height / 2,
                      x + width / 2 + 0.833 * width / 2, y + height / 2 + 0.833 * height / 2], 1)  # fmt: skip
    np.testing.assert_allclose(tight, np.stack(columns["bbox_xyxy"]), atol=0.2)
    assert (score == 1).all()
    assert content["misc"]["bbox_body_scale"] == 1.2


def test_points_are_those_of_the_label_and_of_its_body(content, columns, ehm):
    posed = pose_bodies(ehm, {name: np.stack(columns[name]) for name in (
        "transl_m", "global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "flame_shape",
        "flame_expression", "jaw_pose", "eye_pose", "eyelids", "head_scale")})  # fmt: skip
    points = content["keypoints3d_smplx"]
    np.testing.assert_allclose(points[:, :55, :3], posed.joints, atol=1e-4)
    np.testing.assert_allclose(points[:, list(SMPLX_144), :3], posed.keypoints, atol=1e-4)
    seen = content["keypoints2d_original"]
    np.testing.assert_allclose(seen[3, list(SMPLX_144)][9:], np.stack(columns["keypoints_2d"])[3][9:], atol=1e-4)
    projected = 300 * points[:, :144, :2] / points[:, :144, 2:3] + [160, 120]
    np.testing.assert_allclose(content["keypoints2d_smplx"][:, :144, :2], projected, atol=1e-3)


def test_what_may_not_supervise_is_said_as_readers_understand_it(content, rows_of):
    hands = [not (pose == 0).all() for pose in content["smplx"]["left_hand_pose"]]
    assert hands == [k != rows_of[0] for k in range(6)]
    assert (content["lhand_bbox_xywh"][:, 4] > 0).tolist() == hands
    assert content["meta"]["annot_valid"] == [k != rows_of[2] for k in range(6)]
    assert "expression" not in content["smplx"], "zeros would be learnt"
    trusted = content["keypoints2d_smplx"][rows_of[1], :, 2]
    assert trusted[[1, 4, 7, 10]].tolist() == [0, 0, 0, 0]
    assert trusted[[0, 2, 5]].tolist() == [1, 1, 1]


def test_its_objects_are_read_by_the_one_reader_of_pickles(path, content):
    """And by numpy of before 2, whose modules have other names."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read("smplx.npy")
    start = data.index(b"\n", 10) + 1  # behind the header of the file
    assert b"numpy._core" not in data
    np.testing.assert_array_equal(unpickle(data[start:], "smplx").item()["betas"], content["smplx"]["betas"])


def test_the_adapter_reads_the_labels_back(path, columns, rows_of, ehm):
    """Of a body that may not supervise no points, of a hand no pose."""
    (path.parent / "again.yaml").write_text(MANIFEST.format(root=path.parent))
    for image in columns["image"]:
        (path.parent / image).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path.parent / image), np.zeros((240, 320, 3), np.uint8))
    entries = open_adapter(load_manifest(path.parent / "again.yaml")).entries()
    records = {entry.path: entry for entry in entries if isinstance(entry, ImageRecord)}
    for row, (image, number) in enumerate(zip(columns["image"], columns["person"], strict=True)):
        person = records[image].people[number]
        np.testing.assert_allclose(person.bbox_xyxy, columns["bbox_xyxy"][row], atol=1e-3)
        wanted = np.array(columns["keypoints_2d"][row], np.float32)
        if row == rows_of[0]:
            wanted[92:112] = 0  # its root is the body's wrist
        if row == rows_of[1]:
            wanted[[13, 15, 17, 18, 19]] = 0
        if row == rows_of[2]:
            wanted[[*range(23), 91, 112]] = 0
        np.testing.assert_allclose(person.keypoints, wanted, atol=1e-4)
        known = person.truth_3d.parameters
        for name in ("global_orient", "body_pose", "betas", "jaw_pose"):
            np.testing.assert_allclose(known[name], columns[name][row], atol=1e-4)
        hand = np.asarray(columns["left_hand_pose"][row]) - ehm.assets.smplx.hands_mean[0]
        np.testing.assert_allclose(known["left_hand_pose"], np.zeros(45) if row == rows_of[0] else hand, atol=1e-4)
        again = flat_hands(person.truth_3d, ehm.assets.smplx)["right_hand_pose"]
        np.testing.assert_allclose(again, columns["right_hand_pose"][row], atol=1e-4)

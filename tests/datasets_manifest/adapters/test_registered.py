"""Photos with registered meshes, written here as EHF is distributed; and the vertices of PLY files."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from inventories import inventory_of
from ply_files import write_ply

from datasets_manifest.manifest import load_manifest, open_adapter
from datasets_manifest.sources.ply import ply_vertices

POINTS = [[100.0, 50.0, 0.9], [300.0, 450.0, 0.2], [0.0, 0.0, 0.0]]


@pytest.fixture
def root(tmp_path):
    """Photos 01 and 02; of the first there is a copy of another form."""
    for name in ("01_img.png", "01_img.jpg", "02_img.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    for number in ("01", "02"):
        write_points(tmp_path / f"{number}_2Djnt.json", [POINTS])
        write_ply(tmp_path / f"{number}_align.ply", np.eye(3))
    return tmp_path


def write_points(path, people):
    rows = [{"pose_keypoints_2d": np.ravel(own).tolist(), "face_keypoints_2d": []} for own in people]
    path.write_text(json.dumps({"version": 1.1, "people": rows}))


def records_of(root, **changes):
    return inventory_of(open_adapter(dataclasses.replace(load_manifest("ehf"), root=str(root), **changes)))


def test_the_box_is_the_extent_of_openpose_s_points_widened(root):
    inventory = records_of(root)
    assert [record.image_id for record in inventory.records] == ["01_img.jpg", "02_img.png"]
    record = inventory.records[0]
    (person,) = record.people
    np.testing.assert_allclose(person.bbox_xyxy, [80, 10, 320, 490])
    assert person.mesh == "01_align.ply"
    assert (record.focal_px, record.principal_px) == (1498.22426237, (790.263706, 578.90334))
    assert inventory.notes["photos of a number that another file has left out"] == 1


def test_people_may_be_detected(root):
    assert [record.people for record in records_of(root, boxes="detector").records] == [(), ()]


@pytest.mark.parametrize(
    ("people", "detail"),
    [
        ([], "expected OpenPose's points of one person"),
        ([POINTS, POINTS], "expected OpenPose's points of one person"),
        ([POINTS[2:]], "no point is seen"),
        ([[1.0, 2.0]], "expected x, y and score of each point"),
    ],
)
def test_points_that_are_of_nobody_are_a_failed_person(root, people, detail):
    write_points(root / "02_2Djnt.json", people)
    (person,) = records_of(root).records[1].people
    assert person.error_detail.startswith("02_2Djnt.json: ")
    assert detail in person.error_detail


def test_points_that_are_not_there_are_told(root):
    (root / "02_2Djnt.json").unlink()
    assert "cannot be read" in records_of(root).records[1].people[0].error_detail


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_vertices_of_every_form_are_read(tmp_path, form):
    vertices = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    write_ply(tmp_path / "a.ply", vertices, form)
    np.testing.assert_allclose(ply_vertices((tmp_path / "a.ply").read_bytes(), "a.ply"), vertices, rtol=1e-7)


def test_files_that_are_cut_off_or_none_are_refused(tmp_path):
    write_ply(tmp_path / "a.ply", np.eye(3))
    data = (tmp_path / "a.ply").read_bytes()
    for broken, why in (
        (data[: data.index(b"end_header") + 20], "cut off"),
        (b"solid" + data, "no PLY file"),
        (data.replace(b"element vertex 3", b"element vertices 3"), "expected vertices"),
        (data.replace(b"property float z", b"property float w"), "expected x, y and z"),
    ):
        with pytest.raises(ValueError, match=f"a.ply.*{why}"):
            ply_vertices(broken, "a.ply")

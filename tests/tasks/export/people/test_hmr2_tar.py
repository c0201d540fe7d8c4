"""HMR2's tars, read back through the adapter of their form: photos, boxes, points and SMPL poses."""

import logging
import tarfile

import cv2
import numpy as np
import pytest
import torch
from pickling import unpickled
from PIL import Image

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import load_manifest, open_adapter
from datasets_manifest.sources.opening import open_images
from fitting.delta_theta import DeltaTheta
from model.rotations import rotvec_to_rotmat
from tasks.display import Lines
from tasks.export.run import ExportRequest, export_labels

UNSEEN = Lines(logging.getLogger("tests"))
MANIFEST = """
id: again
version: "1"
licence: CC0
access: here
adapter: tar_people
root: {root}
split: train
layout: {{records: hmr2}}
boxes: manifest
keypoints: coco_wholebody
purpose: test
"""


@pytest.fixture(scope="module")
def transfer():
    """A way between two rest poses that differ everywhere."""
    rng = np.random.default_rng(3)
    turns = rotvec_to_rotmat(torch.from_numpy(rng.normal(0, 0.2, (22, 3)))).numpy()
    turns[0] = np.eye(3)
    return DeltaTheta(
        key="", smpl_sha256="", smplx_sha256="", surface_sha256="", alignment=turns, dtheta_rad=np.zeros((21, 3)),
        betas_offset=np.zeros(10), betas_matrix=np.eye(10), smpl_pelvis_m=np.zeros((3, 11)),
        smplx_pelvis_m=np.zeros((3, 11)), pelvis_offset_m=np.zeros(3), copied_error_m=0.0, aligned_error_m=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def photos(columns, tmp_path_factory):
    """The labels' photos as files: one JPEG, one PNG that lies on its side by its EXIF block, and one that is gone."""
    folder = tmp_path_factory.mktemp("source")
    names = list(dict.fromkeys(columns["image"]))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    grey = np.full((240, 320, 3), 128, np.uint8)
    (folder / names[0]).write_bytes(cv2.imencode(".jpg", grey)[1].tobytes())
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (240, 320), "grey").save(folder / names[1], format="PNG", exif=exif)
    return open_images(folder)


@pytest.fixture(scope="module")
def written(photo_labels, ehm, photos, transfer, tmp_path_factory):
    request = ExportRequest(
        form="hmr2-tar", out=tmp_path_factory.mktemp("tars"), photos=lambda *_: photos, transfer=lambda: transfer
    )
    (found,) = export_labels(photo_labels, ehm, request, UNSEEN)
    return found


@pytest.fixture(scope="module")
def records(written):
    """By the number of the photo."""
    (written.folder / "again.yaml").write_text(MANIFEST.format(root=written.folder))
    entries = open_adapter(load_manifest(written.folder / "again.yaml")).entries()
    return [entry for entry in entries if isinstance(entry, ImageRecord)]


def test_who_is_written_and_who_is_not_is_told(written):
    lines = list(written.lines())
    assert lines[0] == f"{written.folder}: 4 people"
    assert lines[1].startswith("  2 left out, whose photos cannot be read: ")
    assert lines[2] == "  1 photos turned upright or made JPEG of another format"


def test_the_adapter_reads_the_labels_back(records, columns, rows_of):
    assert [len(record.people) for record in records] == [2, 2]
    for row in range(4):
        person = records[row // 2].people[row % 2]
        np.testing.assert_allclose(person.bbox_xyxy, columns["bbox_xyxy"][row], atol=1e-3)
        wanted = np.array(columns["keypoints_2d"][row], np.float32)
        wanted[23:] = 0
        if row == rows_of[1]:
            wanted[[13, 15, 17, 18, 19]] = 0
        np.testing.assert_allclose(person.keypoints, wanted, atol=1e-4)


def test_poses_are_carried_back_to_smpl_where_all_limbs_may_supervise(records, columns, rows_of, transfer):
    for row in range(4):
        truth = records[row // 2].people[row % 2].truth_3d
        if row == rows_of[1]:
            assert truth is None, "a limb may not supervise"
            continue
        pose = torch.from_numpy(truth.parameters["body_pose"].reshape(1, 23, 3)).double()
        again = transfer.apply(rotvec_to_rotmat(pose))
        wanted = rotvec_to_rotmat(torch.from_numpy(np.asarray(columns["body_pose"][row]).reshape(1, 21, 3)).double())
        assert torch.allclose(again, wanted, atol=1e-5)
        assert "betas" not in truth.parameters, "those of the open body mean nothing to SMPL"


def test_a_body_without_smpl_has_no_poses(photo_labels, ehm, photos, tmp_path):
    request = ExportRequest(form="hmr2-tar", out=tmp_path, photos=lambda *_: photos)
    (found,) = export_labels(photo_labels, ehm, request, UNSEEN)
    assert "poses left out (has_body_pose 0)" in list(found.lines())[-1]


def test_files_are_as_old_readers_and_webdataset_expect_them(written, tmp_path):
    with tarfile.open(written.folder / "photos_all-000000.tar") as tar:
        names = tar.getnames()
        tar.extractall(tmp_path, filter="data")
    data = [(tmp_path / name).read_bytes() for name in names if name.endswith(".pyd")]
    pictures = [cv2.imread(str(tmp_path / name)) for name in names if not name.endswith(".pyd")]
    assert names[0].rpartition(".")[0] + ".data.pyd" == names[1]
    assert b"numpy._core" not in b"".join(data)
    (first, _) = unpickled(data[0])
    assert (first["keypoints_2d"].shape, first["keypoints_3d"].shape) == ((44, 3), (44, 4))
    assert first["extra_info"]["fitting_loss"].item() == {}
    assert [np.shape(np.array(own)) for own in pictures] == [(240, 320, 3)] * 2

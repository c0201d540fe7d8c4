"""Meshes in EHF's layout, read again as its own are; the open body stands in for SMPL-X."""

import logging

import numpy as np
import pytest
import trimesh
from moving_people import write_moving
from scipy.spatial.transform import Rotation

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.sources.ply import ply_vertices
from tasks.display import Lines
from tasks.export.people import smplx_mesh
from tasks.export.people.ehf import CAMERA_ROTVEC, CAMERA_TRANSL_M
from tasks.export.run import ExportRequest, export_labels
from tasks.posing import pose_bodies


def export(folder, columns, ehm, images):
    """Writes the first people as labels of photos and exports them; gives the folder of the files."""
    own = {name: values[: len(images)] for name, values in columns.items()} | {"image": images}
    write_moving(folder / "labels", [own], ehm.assets.entry, dataset="ehf")
    (written,) = export_labels(
        folder / "labels", ehm, ExportRequest(form="ehf", out=folder), Lines(logging.getLogger("tests"))
    )
    return written


@pytest.fixture
def as_smplx(monkeypatch, ehm):
    """The open body is let through."""
    monkeypatch.setattr(smplx_mesh, "NUM_VERTICES", ehm.assets.smplx.num_vertices)


@pytest.mark.usefixtures("as_smplx")
def test_its_camera_sees_the_meshes_where_labels_have_them(columns, ehm, tmp_path):
    written = export(tmp_path, columns, ehm, ["01_img.png", "EHF/100_img.jpg"])
    assert list(written.files) == ["01_align.ply", "100_align.ply"]
    posed = pose_bodies(ehm, {name: np.stack(columns[name])[:2] for name in LABEL_PARAMETERS}).vertices.numpy()
    for name, wanted in zip(written.files, posed, strict=True):
        path = written.folder / name
        world = ply_vertices(path.read_bytes(), name)
        seen = Rotation.from_rotvec(CAMERA_ROTVEC).apply(world) + CAMERA_TRANSL_M
        np.testing.assert_allclose(seen, wanted, atol=2e-5)
        np.testing.assert_array_equal(trimesh.load(path, process=False).faces, ehm.assets.smplx.faces)


@pytest.mark.usefixtures("as_smplx")
def test_other_photos_and_two_people_are_refused(columns, ehm, tmp_path):
    with pytest.raises(ValueError, match=r"a\.jpg: expected a photo of EHF, <number>_img"):
        export(tmp_path / "a", columns, ehm, ["a.jpg"])
    with pytest.raises(ValueError, match=r"01_img\.png shows two people, those of EHF one"):
        export(tmp_path / "b", columns, ehm, ["01_img.png"] * 2)


def test_a_body_that_is_not_smplx_is_refused(columns, ehm, tmp_path):
    with pytest.raises(ValueError, match=r"ehf: its evaluation compares the 10475 vertices of SMPL-X"):
        export(tmp_path, columns, ehm, ["01_img.png"])

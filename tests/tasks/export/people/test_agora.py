"""Predictions for AGORA's evaluation, read again by the restricted reader; the open body stands in for SMPL-X."""

import logging

import numpy as np
import pytest
from moving_people import write_moving

from datasets_manifest.restricted_pickle import unpickle
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from tasks.display import Lines
from tasks.export.people import smplx_mesh
from tasks.export.run import ExportRequest, export_labels
from tasks.posing import pose_bodies

SIZES = {"large": (3840, 2160, ""), "small": (1280, 720, "_1280x720")}


def export(folder, columns, ehm, **changes):
    """Writes labels of photos and exports them; gives the folder of the files."""
    write_moving(folder / "labels", [columns | changes], ehm.assets.entry, dataset="agora")
    request = ExportRequest(form="agora", out=folder)
    (written,) = export_labels(folder / "labels", ehm, request, Lines(logging.getLogger("tests")))
    return written


def sized(columns, width, height, ending, scale):
    """The same people in photos of another size."""
    count = len(columns["image"])
    changed = {"image_width": [width] * count, "image_height": [height] * count}
    changed["image"] = [f"test/{name.split('/')[1].removesuffix('.jpg')}{ending}.png" for name in columns["image"]]
    changed["focal_px"] = [1000.0 * scale] * count
    changed["principal_px"] = [np.float32([width / 2, height / 2])] * count
    return columns | changed


@pytest.fixture
def as_smplx(monkeypatch, ehm):
    """The open body is let through."""
    monkeypatch.setattr(smplx_mesh, "NUM_VERTICES", ehm.assets.smplx.num_vertices)


@pytest.mark.usefixtures("as_smplx")
@pytest.mark.parametrize("size", SIZES)
def test_a_person_is_a_file_with_the_mesh_and_joints_of_the_large_picture(size, columns, ehm, tmp_path):
    width, height, ending = SIZES[size]
    written = export(tmp_path, sized(columns, width, height, ending, width / 3840), ehm)
    names = [f"predictions/{k}_personId_{person}.pkl" for k in range(3) for person in range(2)]
    assert sorted(written.files) == names
    assert next(written.lines()).endswith("6 people")
    for row, name in enumerate(names):
        data = (written.folder / name).read_bytes()
        found = unpickle(data, name)
        assert b"numpy._core" not in data  # which numpy of before 2 does not have
        assert {key: (own.shape, own.dtype) for key, own in found.items()} == {
            "joints": ((24, 2), np.float32),
            "verts": ((ehm.assets.smplx.num_vertices, 3), np.float32),
            "allSmplJoints3d": ((127, 3), np.float32),
        }
        person = {own: np.stack(columns[own])[[row]] for own in LABEL_PARAMETERS}
        posed = pose_bodies(ehm, person)
        np.testing.assert_allclose(found["verts"], posed.vertices[0], atol=1e-5)
        np.testing.assert_allclose(found["allSmplJoints3d"][:55], posed.joints[0], atol=1e-5)
        joints = posed.joints[0, :24].numpy()
        np.testing.assert_allclose(found["joints"], 1000 * joints[:, :2] / joints[:, 2:] + [1920, 1080], atol=0.05)


def test_a_body_that_is_not_smplx_is_refused(columns, ehm, tmp_path):
    with pytest.raises(ValueError, match=r"10475 vertices of SMPL-X, open_body\w* has 12932; label or predict"):
        export(tmp_path, sized(columns, 3840, 2160, "", 1), ehm)


@pytest.mark.usefixtures("as_smplx")
def test_photos_of_another_size_or_of_one_name_are_refused(columns, ehm, tmp_path):
    with pytest.raises(ValueError, match=r"has 1920 x 1080 px, expected AGORA's 3840 x 2160 or 1280 x 720"):
        export(tmp_path, sized(columns, 1920, 1080, "", 0.5), ehm)
    large = sized(columns, 3840, 2160, "", 1)
    twice = [f"{k % 2}/a.png" for k in range(6)]
    with pytest.raises(ValueError, match="agora names predictions by the photo's name alone"):
        export(tmp_path / "b", large, ehm, image=twice)

"""People of photos in the formats of motion: meshes that stand still, skeletons in a pose; terms and their flags."""

import dataclasses
import io
import json
import logging

import numpy as np
import pytest
import trimesh
from bvh_reader import posed, read
from glb_reader import parts_of
from moving_people import as_photos, moving_columns, write_moving

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from fitting.sparse_body import SparseBody
from model.body import skeleton
from model.body.assets import load_open_body
from tasks.display import Lines
from tasks.export.run import ExportRequest, export_labels
from tasks.export.terms import Terms, check_mesh
from tasks.posing import pose_bodies

UNSEEN = Lines(logging.getLogger("tests"))
Y_UP_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def columns():
    """Two people in one photo."""
    return as_photos(moving_columns(SparseBody.from_assets(load_open_body()), people=2, frames=1, seed=2))


@pytest.fixture(scope="module")
def photo_labels(columns, ehm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stills")
    write_moving(folder, [columns], ehm.assets.entry)
    return folder


@pytest.fixture(scope="module")
def truth(columns, ehm):
    return pose_bodies(ehm, {name: np.stack(columns[name]) for name in LABEL_PARAMETERS})


def test_a_photo_is_one_glb_of_its_people_as_labels_have_them(photo_labels, truth, ehm, tmp_path):
    (written,) = export_labels(photo_labels, ehm, ExportRequest(form="glb", out=tmp_path), UNSEEN)
    assert next(iter(written.lines())) == f"{written.folder}: 2 people of photos, 1 file"
    data = (written.folder / "scene/cam.mp4@000000.glb").read_bytes()
    meshes = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False).geometry
    for number in range(2):
        shown = np.asarray(meshes[f"person {number}"].vertices)
        np.testing.assert_allclose(shown, truth.vertices[number] @ Y_UP_FROM_CAMERA.T, atol=1e-5)
    assert parts_of(data)[0]["asset"]["copyright"] == "labels: CC0-1.0; body model: CC0-1.0"


def test_a_person_is_one_pose_of_a_skeleton(photo_labels, truth, ehm, tmp_path):
    (written,) = export_labels(photo_labels, ehm, ExportRequest(form="bvh", out=tmp_path), UNSEEN)
    for number in range(2):
        text = (written.folder / f"scene/cam.mp4@000000.person{number}.bvh").read_text()
        names, parents, offsets, channels, _, values, _ = read(text)
        order = [skeleton.SMPLX_JOINT_NAMES.index(name) for name in names]
        found = posed(names, parents, offsets, channels, values) / 100
        wanted = truth.joints[number].double().numpy()[order] @ Y_UP_FROM_CAMERA.T
        assert np.linalg.norm(found[0] - wanted, axis=1).max() < 1e-3


def test_photos_are_no_motion(photo_labels, ehm, tmp_path):
    with pytest.raises(ValueError, match="bvh, glb and the formats of people take photos too"):
        export_labels(photo_labels, ehm, ExportRequest(form="amass", out=tmp_path), UNSEEN)


def test_data_sets_of_differing_terms_are_one_file_only_where_that_is_said(columns, ehm, tmp_path):
    for name, licence in (("one", "free"), ("two", "for research")):
        write_moving(tmp_path / "labels", [columns], ehm.assets.entry, dataset=name, licence=licence)
    request = ExportRequest(form="coco-wholebody", out=tmp_path / "out", together=True)
    with pytest.raises(ValueError, match=r"one and two have differing terms \('free' and 'for research'\)"):
        export_labels(tmp_path / "labels", ehm, request, UNSEEN)
    (written,) = export_labels(tmp_path / "labels", ehm, dataclasses.replace(request, mixed_terms=True), UNSEEN)
    content = json.loads((tmp_path / "out/coco-wholebody/together/together.json").read_text())
    names = [image["file_name"] for image in content["images"]]
    assert names == ["one/scene/cam.mp4::000000", "two/scene/cam.mp4::000000"]
    text = "labels of one: free; labels of two: for research; body model: CC0-1.0"
    assert content["licenses"][0]["name"] == text
    assert "labels of two: for research" in (written.folder / "LICENCE.txt").read_text()
    apart = export_labels(tmp_path / "labels", ehm, dataclasses.replace(request, together=False), UNSEEN)
    assert [own.folder.parent.name for own in apart] == ["one", "two"]
    with pytest.raises(ValueError, match="bvh is one file a track"):
        dataclasses.replace(request, form="bvh")


def test_meshes_of_a_licensed_body_are_written_only_where_that_is_said():
    entry = {"name": "SMPLX_NEUTRAL", "licence": "registration-gated, non-commercial; see the publisher's terms"}
    with pytest.raises(ValueError, match=r"glb holds the mesh of SMPLX_NEUTRAL.*say --licensed-mesh"):
        check_mesh("glb", entry, allowed=False)
    check_mesh("glb", entry, allowed=True)
    check_mesh("glb", {"licence": "CC0-1.0"}, allowed=False)
    page = Terms(data={"a": "free"}, body_model=entry).page
    assert "may not be passed on" in page
    assert "may not be passed on" not in Terms(data={"a": "free"}, body_model={"licence": "CC0-1.0"}).page

"""A GLB file, posed from its bytes alone, shows the labels' bodies, and between two frames what is between them."""

import dataclasses
import io

import numpy as np
import pytest
import trimesh
from glb_reader import Glb

from model.body.ehms import EHMs
from tasks.export.glb import encode

Y_UP_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def data(clip, ehm):
    return encode(clip, ehm)


def test_skin_and_animation_show_the_labels_bodies(data, labelled):
    glb = Glb(data)
    np.testing.assert_allclose(glb.times_s, np.arange(14) / 30, atol=1e-6)
    for frame, vertices, joints in list(zip(*labelled, strict=True))[::3]:
        shown, placed = glb.at(frame / 30)
        np.testing.assert_allclose(shown, vertices @ Y_UP_FROM_CAMERA.T, atol=1e-4)
        np.testing.assert_allclose(placed, joints @ Y_UP_FROM_CAMERA.T, atol=1e-4)


def test_between_two_frames_the_body_is_between_them(data):
    glb = Glb(data)
    before, between, after = (glb.at(time)[0] for time in (0.0, 0.5 / 30, 1 / 30))
    moved = np.linalg.norm(after - before, axis=1).max()
    assert np.linalg.norm(between - (before + after) / 2, axis=1).max() < 0.1 * moved


def test_tracks_of_a_group_keep_step(motions, ehm):
    later = dataclasses.replace(motions["studio", 1], start_s=-2.0)
    assert Glb(encode(later, ehm)).times_s[0] == pytest.approx(2)


def test_a_library_reads_it(data, ehm):
    scene = trimesh.load(io.BytesIO(data), file_type="glb", process=False)
    assert isinstance(scene, trimesh.Scene)
    (mesh,) = scene.geometry.values()
    np.testing.assert_array_equal(mesh.faces, np.asarray(ehm.assets.smplx.faces))
    assert {"pelvis", "left_wrist", "jaw"} <= set(scene.graph.nodes)


def test_what_is_no_label_and_whose_it_is_is_stated(data):
    document = Glb(data).document
    assert document["asset"]["copyright"] == "CC0-1.0"
    extras = document["extras"]
    assert (extras["bridged"], extras["gaps"]) == ([[3, 4]], [[8, 10]])
    assert extras["pose_correctives"] == "none"
    names = document["meshes"][0]["extras"]["targetNames"]
    assert len(names) == 12
    assert names[-2:] == ["left_eyelid", "right_eyelid"]


def test_a_still_face_has_no_morphs(clip, ehm):
    still = {name: getattr(clip.parameters, name) * 0 for name in ("flame_expression", "eyelids")}
    motion = dataclasses.replace(clip, parameters=dataclasses.replace(clip.parameters, **still))
    document = Glb(encode(motion, ehm)).document
    assert "targets" not in document["meshes"][0]["primitives"][0]


def test_the_head_of_the_paper_is_refused(clip, ehm):
    with pytest.raises(ValueError, match="fusion paper is not"):
        encode(clip, EHMs(dataclasses.replace(ehm.assets, fusion="paper")))

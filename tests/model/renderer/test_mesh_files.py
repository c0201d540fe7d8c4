"""Mesh files: read back by trimesh they are the same people, upright, not mirrored, with their outside outside."""

import io
import json

import numpy as np
import pytest
import trimesh

from model.body.assets import load_open_body
from model.body.skeleton import SMPLX_JOINT_NAMES
from model.renderer.mesh_files import encode_meshes, y_up

FACING = np.diag([1.0, -1.0, -1.0])
"""A body at rest (y up, facing z) that stands upright before the camera and faces it."""


@pytest.fixture(scope="module")
def body():
    return load_open_body().smplx


@pytest.fixture(scope="module")
def people(body):
    """Two people before the camera, (2, V, 3): the second 2 m farther, to the photo's right."""
    places = np.array([[0, 0, 3.0], [0.5, 0, 5.0]])
    return (body.v_template @ FACING.T + places[:, None]).astype(np.float32)


@pytest.fixture(scope="module", params=["gltf", "obj"])
def read_back(request, people, body):
    """Meshes by name, as another program sees them."""
    data = encode_meshes(people, body.faces, ["first", "second"], form=request.param)
    if request.param == "gltf":
        scene = trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False)
        placed = [scene.graph[node] for node in scene.graph.nodes_geometry]
        return {name: scene.geometry[name].copy().apply_transform(transform) for transform, name in placed}
    # trimesh reads the objects of an OBJ into one mesh: it is cut at the vertices that were written.
    whole = trimesh.load_mesh(io.BytesIO(data), file_type="obj", process=False)
    names = [line[2:] for line in data.decode().splitlines() if line.startswith("o ")]
    num = len(body.v_template)
    meshes = {}
    for k, name in enumerate(names):
        faces = whole.faces[(whole.faces // num == k).all(1)] - k * num
        meshes[name] = trimesh.Trimesh(whole.vertices[k * num : (k + 1) * num], faces, process=False)
    return meshes


def test_every_person_is_an_object_with_its_name(read_back):
    assert set(read_back) == {"first", "second"}


def test_vertices_keep_their_numbers(read_back, people):
    for k, name in enumerate(("first", "second")):
        assert np.abs(read_back[name].vertices - y_up(people[k])).max() < 2e-6


def test_people_stand_upright_in_front_of_a_camera_that_looks_along_minus_z(read_back, body):
    joints = {n: body.joint_regressor[k] @ read_back["first"].vertices for k, n in enumerate(SMPLX_JOINT_NAMES)}
    assert joints["head"][1] > joints["pelvis"][1] + 0.3 > joints["left_ankle"][1] + 0.8
    assert read_back["first"].vertices[:, 2].max() < 0
    assert read_back["second"].vertices[:, 2].mean() == pytest.approx(read_back["first"].vertices[:, 2].mean() - 2)
    # Someone who faces the camera has the left hand on the right side of the picture.
    assert joints["left_wrist"][0] > joints["right_wrist"][0] + 0.5
    assert read_back["second"].centroid[0] > read_back["first"].centroid[0]


def test_meshes_are_not_mirrored(read_back, body):
    """Four joints that span a volume keep its sign."""
    names = ("pelvis", "left_hip", "head", "left_foot")
    rest = np.stack([body.joint_regressor[SMPLX_JOINT_NAMES.index(n)] for n in names])
    signs = []
    for vertices in (body.v_template, read_back["first"].vertices):
        corners = rest @ vertices
        signs.append(np.sign(np.linalg.det(corners[1:] - corners[0])))
    assert signs[0] == signs[1] != 0


def test_faces_look_outward(read_back, people):
    for mesh in read_back.values():
        assert mesh.volume > 0.03
    # A ray from the camera to the chest meets a face whose normal comes towards the camera.
    mesh = read_back["first"]
    facing = mesh.triangles_center[:, 2] > np.quantile(mesh.triangles_center[:, 2], 0.98)
    assert mesh.face_normals[facing, 2].mean() > 0.3


def test_gltf_carries_colours_and_normals(people, body):
    colours = np.tile([10.0, 300.0, 99.6], (len(body.v_template), 1))
    data = encode_meshes(people[:1], body.faces, ["one"], colours=colours)
    assert data[:4] == b"glTF"
    header = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert {"POSITION", "NORMAL", "COLOR_0"} <= set(header["meshes"][0]["primitives"][0]["attributes"])
    mesh = next(iter(trimesh.load_scene(io.BytesIO(data), file_type="glb", process=False).geometry.values()))
    assert mesh.visual.vertex_attributes["color"][0].tolist() == [10, 255, 100, 255]
    assert np.einsum("vc,vc->v", mesh.vertex_normals, y_up(people[0]) - mesh.centroid).mean() > 0


@pytest.mark.parametrize("coloured", [False, True])
def test_gltf_is_matte(people, body, coloured):
    """The format's default is metal, which viewers without surroundings draw black."""
    colours = np.full((len(body.v_template), 3), 200.0) if coloured else None
    data = encode_meshes(people, body.faces, ["one", "two"], colours=colours)
    document = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    primitives = [primitive for mesh in document["meshes"] for primitive in mesh["primitives"]]
    assert len(primitives) == 2
    for primitive in primitives:
        shading = document["materials"][primitive["material"]]["pbrMetallicRoughness"]
        assert shading["metallicFactor"] == 0
        assert shading["baseColorFactor"] == ([1, 1, 1, 1] if coloured else [0.8, 0.8, 0.8, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "stl"}, "expected one of gltf, obj, got 'stl'"),
        ({"names": ["same", "same"]}, "expected 2 different names"),
        ({"names": ["one"]}, "expected 2 different names"),
        ({"vertices_cam": np.zeros((0, 4, 3))}, "one person or more"),
        ({"vertices_cam": np.full((2, 4, 3), np.nan)}, "expected finite vertices"),
    ],
)
def test_bad_input_is_refused(people, body, change, message):
    arguments = {"vertices_cam": people, "faces": body.faces, "names": ["a", "b"], **change}
    with pytest.raises(ValueError, match=message):
        encode_meshes(**arguments)

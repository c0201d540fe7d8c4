"""Pictures of people: of the right place, with the right hand, and what there is when something is missing."""

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
import trimesh
from glb_reader import parts_of

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from model.body.skeleton import KEYPOINT_NAMES, LEFT_HAND, RIGHT_HAND
from model.renderer.mesh_files import y_up
from tasks.annotate.settings import Origin
from tasks.view import pictures
from tasks.view.drawings import LARGE_PX, SMALL_PX, keypoints_of, region_view, shown_row
from tasks.view.picture_names import CROPS, LAYERS, MESH, WHATS
from tasks.view.state import Opened, View
from tasks.view.words import commands, figure_lines, part_figures, state_lines


def opened(rendered, folder, **changes):
    origin = Origin.of(rendered)
    labels = rendered.parent / "labels"
    known = Opened(labels=labels, config=origin.config(), origin=origin, reviews=folder / "reviews", reviewer="anna")
    view = View(replace(known, **changes))
    view.refresh()
    assert view.index is not None, view.fault
    return view


@pytest.fixture(scope="module")
def view(rendered, tmp_path_factory):
    return opened(rendered, tmp_path_factory.mktemp("view"))


@pytest.fixture(scope="module")
def number(view):
    """Somebody of whom everything is seen."""
    whole = {"body", *CROPS}
    return next(n for n in range(len(view.index)) if pictures.look(view, view.index.label(n).row)[1] == whole)


@pytest.fixture(scope="module")
def row(view, number):
    return shown_row(view.index.label(number).row)


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("what", sorted(WHATS - {MESH}))
def test_every_picture_has_its_size(view, number, what):
    data, kind = pictures.media(view, view.index, number, what)
    name, shape = what.removesuffix(".jpg"), decoded(data).shape
    assert kind == "image/jpeg"
    if name != "whole":
        assert shape == ((SMALL_PX, 2 * SMALL_PX, 3) if name in CROPS else (LARGE_PX, LARGE_PX, 3))


def test_layers_differ_where_the_person_is(view):
    photo, keypoints, overlay = (
        decoded(pictures.media(view, view.index, 0, f"{name}.jpg")[0]).astype(int)
        for name in ("photo", "keypoints", "overlay")
    )
    assert LAYERS[0] == "overlay"
    for drawn in (keypoints, overlay):
        changed = np.abs(drawn - photo).sum(-1) > 60
        assert changed.any()
        assert not changed[:20, :20].any()


def test_without_a_body_there_are_photos_and_keypoints_and_a_sentence(rendered, tmp_path):
    config = opened(rendered, tmp_path).opened.config
    body = replace(config.body_model, path=str(tmp_path / "nowhere"))
    view = opened(rendered, tmp_path, config=replace(config, body_model=body))
    pictures.warm(view)
    assert pictures.is_ready(view)
    assert "nowhere" in pictures.fault(view)
    for name in ("photo", "keypoints", "whole"):
        assert pictures.media(view, view.index, 0, f"{name}.jpg")
    for what in ("overlay.jpg", MESH):
        with pytest.raises(ValueError, match="nowhere"):
            pictures.media(view, view.index, 0, what)


@pytest.mark.parametrize(("part", "points"), [("left_hand", LEFT_HAND), ("right_hand", RIGHT_HAND)])
def test_a_crop_is_of_its_own_hand(row, part, points):
    assert KEYPOINT_NAMES[points.start].startswith(part)
    keypoints = keypoints_of(row)
    places = region_view(row, part, SMALL_PX).apply(keypoints[points][keypoints[points, 2] > 0, :2])
    assert ((places > 0) & (places < SMALL_PX)).all()
    np.testing.assert_allclose((places.min(0) + places.max(0)) / 2, SMALL_PX / 2, atol=1e-3)


def test_a_hand_that_was_not_seen_has_no_picture(view, row):
    unseen = np.array(row["keypoints_2d"], float).reshape(-1, 3)
    unseen[LEFT_HAND] = 0
    changed = {**row, "keypoints_2d": unseen.ravel().tolist()}
    drawings = pictures.drawings(view)
    assert drawings.picture(changed, "left_hand.jpg", {}) is None
    assert drawings.picture(changed, "right_hand.jpg", {}) is not None
    assert pictures.look(view, changed)[1] == {"body", "right_hand", "face"}


def test_the_mesh_stands_upright_about_the_origin_in_a_matte_material(view, number, row):
    data, kind = pictures.media(view, view.index, number, MESH)
    assert kind == "model/gltf-binary"
    document, _ = parts_of(data)
    (primitive,) = document["meshes"][0]["primitives"]
    mesh = trimesh.load(io.BytesIO(data), file_type="glb", force="mesh", process=False)
    points = np.asarray(mesh.vertices)
    np.testing.assert_allclose(points.max(0) + points.min(0), 0, atol=1e-5)
    assert document["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0
    vertices = pictures.drawings(view)._vertices(row, {})
    middle = (vertices.max(0) + vertices.min(0)) / 2
    np.testing.assert_allclose(points, y_up(vertices - middle), atol=1e-5)  # turned, never mirrored


def test_without_photos_the_mesh_and_the_words_are_there(rendered, tmp_path):
    (tmp_path / "empty").mkdir()
    view = opened(rendered, tmp_path, roots={"few": tmp_path / "empty"})
    with pytest.raises(ValueError, match="image_missing"):
        pictures.media(view, view.index, 0, "photo.jpg")
    assert pictures.media(view, view.index, 0, MESH) is not None
    row = view.index.label(0).row
    problem, seen = pictures.look(view, row)
    assert problem.startswith("The photo cannot be shown: ")
    assert "body" in seen
    assert any("reproj" in line for line in figure_lines(row))


def test_nobody_knows_where_photos_are(rendered, tmp_path):
    config = Origin.of(rendered, {"output.work": str(tmp_path / "nothing")}).config()
    view = opened(rendered, tmp_path, config=config)
    with pytest.raises(ValueError, match="or say --root few=FOLDER"):
        pictures.media(view, view.index, 0, "photo.jpg")


def test_a_mesh_of_another_body_is_refused(view, row):
    with pytest.raises(ValueError, match=r"people are of the body other \(ab, .*the settings have open_body"):
        pictures.drawings(view).picture(row, MESH, {"name": "other", "sha256": "ab"})


def test_predictions_are_shown_as_far_as_they_go(view, row):
    points = np.asarray(row["keypoints_2d"]).reshape(-1, 3)[:, :2].ravel().tolist()
    predicted = {
        name: row[name] for name in (*LABEL_PARAMETERS, "focal_px", "principal_px", "bbox_xyxy", "image_width")
    } | {"source": "a.jpg", "frame": None, "keypoints_2d": points, "body_seen": True, "left_hand_seen": False}
    shown = shown_row(predicted)
    assert (shown["body_valid"], shown["left_hand_valid"]) == (True, False)
    assert keypoints_of(shown).shape == (133, 3)
    assert pictures.drawings(view).picture(shown, MESH, {}) is not None
    assert part_figures(predicted, "left_hand") == "not seen"
    rotations = shown_row({"source": "a.jpg", "bbox_xyxy": [0, 0, 4, 4], "image_width": 4, "image_height": 4})
    assert pictures.drawings(view).picture(rotations, MESH, {}) is None


def test_kept_pictures_are_bounded(view, monkeypatch):
    monkeypatch.setattr("tasks.view.drawings._KEPT_BYTES", 60_000)
    drawings = pictures.drawings(view)
    for number in range(len(view.index)):
        for layer in LAYERS:
            pictures.media(view, view.index, number, f"{layer}.jpg")
    assert drawings._num_bytes <= 60_000
    assert drawings._num_bytes == sum(len(data or b"") for data in drawings._kept.values())


def test_commands_are_told_of_labels_that_the_settings_name(view, rendered, tmp_path):
    label = view.index.label(0)
    inspect, retry = commands(view.opened, label)
    assert inspect.startswith(f"pear inspect '{label.row['sample_id']}' --out sample.png --params ")
    assert retry.startswith("pear retry few/all/00000 --params ")
    assert commands(replace(view.opened, origin=None), label) == []
    elsewhere = Origin.of(rendered, {"output.labels": str(tmp_path)})
    assert commands(replace(view.opened, origin=elsewhere, config=elsewhere.config()), label) == []
    assert "failed" in list(state_lines({"status": "failed", "error_code": "fit_not_finite", "error_detail": "why"}))

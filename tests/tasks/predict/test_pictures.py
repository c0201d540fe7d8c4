"""Pictures and meshes of people whose truth is known lie over them: not mirrored, not upside down, not shifted."""

import dataclasses
import io

import cv2
import numpy as np
import pytest
import trimesh
from known_people import TINY, rendered_row, truthful

from datasets_manifest.sources.images import decode_image
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.keypoint_body import KeypointBody
from model.regressor.photo_people import PhotoPeople
from model.regressor.predict import Predictor
from model.renderer.people import RestShape
from model.renderer.raster import rasterise
from model.renderer.track_colours import track_rgb
from tasks.predict import pictures as module
from tasks.predict.pictures import Painter
from tasks.synthetic.person import SyntheticConfig, render_person

CONFIG = SyntheticConfig(image_width=160, image_height=120, supersample=1, occluder_share=0.0, seed=5)
PEOPLE = (2, 3)
"""Of the synthetic set: one in a corner of the photo, one whose legs are cut off."""


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def rendered(ehm):
    rest = RestShape.from_assets(ehm.assets)
    return [render_person(k, CONFIG, ehm, rest) for k in PEOPLE]


@pytest.fixture(scope="module")
def predicted(rendered, ehm):
    """Painter, and for each person the prediction and the posed body."""
    body = KeypointBody(ehm.assets)
    rows, photos = [rendered_row(person.truth) for person in rendered], [person.rgb for person in rendered]
    network, _ = truthful(TINY, rows, photos, body)
    asked = [
        PhotoPeople(rgb=rgb, boxes_xyxy=row.box_xyxy[None], focal_px=row.focal_px, principal_px=row.principal_px)
        for row, rgb in zip(rows, photos, strict=True)
    ]
    painter = Painter(ehm)
    return painter, [(one, painter.pose(one, [0])) for one in Predictor(network, body=body).predict_photos(asked)]


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_the_overlay_covers_the_person(rendered, predicted):
    painter, people = predicted
    for person, (prediction, posed) in zip(rendered, people, strict=True):
        clear = np.full_like(person.rgb, 255)
        drawn = decode_image(painter.overlay(clear, prediction, posed), name="overlay")
        covered = np.any(drawn < 235, -1)
        assert overlap(covered, person.mask) > 0.75
        assert overlap(covered[:, ::-1], person.mask) < 0.5


def test_the_mesh_file_seen_from_the_origin_along_minus_z_covers_the_person(rendered, predicted):
    painter, people = predicted
    for person, (prediction, posed) in zip(rendered, people, strict=True):
        scene = trimesh.load_scene(io.BytesIO(painter.meshes(posed, "gltf")), file_type="glb", process=False)
        (mesh,) = scene.geometry.values()
        x, y, z = np.asarray(mesh.vertices).T
        seen = np.column_stack([x, -y, -z])
        raster = rasterise(seen, mesh.faces, prediction.focal_px, prediction.principal_px, person.mask.shape)
        assert overlap(raster.mask, person.mask) > 0.75


def test_the_left_side_is_blue(rendered, predicted):
    painter, people = predicted
    person, (prediction, posed) = rendered[0], people[0]
    drawn = decode_image(painter.overlay(np.full_like(person.rgb, 255), prediction, posed), name="overlay").astype(int)
    blue = np.argwhere(drawn[..., 2] - drawn[..., 0] > 60)[:, ::-1].mean(0)
    orange = np.argwhere(drawn[..., 0] - drawn[..., 2] > 60)[:, ::-1].mean(0)
    left, right = prediction.keypoints_px[0][[5, 6]]
    assert (orange - blue) @ (right - left) > 0


def test_what_was_not_seen_is_only_hatched(rendered, predicted):
    """Of one person twice, once with the body unseen: the photo shows through it, and the head is as before."""
    painter, people = predicted
    prediction, _ = people[0]
    clear = np.full_like(rendered[0].rgb, 255)

    def drawn(*seen):
        told = dataclasses.replace(prediction, seen=np.array([seen]))
        return decode_image(painter.overlay(clear, told, painter.pose(told, [0])), name="overlay").astype(int)

    whole, headless, bodiless = (
        drawn(True, True, True, True),
        drawn(True, True, True, False),
        drawn(False, True, True, True),
    )
    size = (whole < 235).any(-1).sum()
    assert (bodiless < 235).any(-1).sum() < 0.75 * size
    assert 0.6 * size < (headless < 235).any(-1).sum() < size
    assert np.abs(bodiless - headless).max() > 60


def test_people_of_one_photo_hide_each_other_by_distance(rendered, predicted, ehm):
    painter, people = predicted
    prediction, posed = people[1]
    vertices = np.concatenate([posed.vertices_cam * 2, posed.vertices_cam])
    both = dataclasses.replace(
        posed, vertices_cam=vertices, persons=(0, 1), unseen=np.concatenate([posed.unseen, posed.unseen])
    )
    clear = np.full_like(rendered[1].rgb, 255)
    alone = decode_image(painter.overlay(clear, prediction, posed), name="alone")
    with_far_one = decode_image(painter.overlay(clear, prediction, both), name="with_far_one")
    # Twice as far and twice as large is the same picture: the far one is hidden to the last pixel.
    assert np.abs(alone.astype(int) - with_far_one).mean() < 1.0


def test_a_large_photo_gives_the_same_picture_smaller(rendered, predicted, monkeypatch):
    painter, people = predicted
    whole = decode_image(painter.overlay(rendered[0].rgb, *people[0]), name="overlay")
    monkeypatch.setattr(module, "MAX_OVERLAY_PX", 80)
    small = decode_image(painter.overlay(rendered[0].rgb, *people[0]), name="overlay")
    assert small.shape == (60, 80, 3)
    shrunk = cv2.resize(whole, (80, 60), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - shrunk).mean() < 5


def test_an_empty_photo_is_given_back(rendered, predicted):
    painter, people = predicted
    nobody = type(people[0][1])(vertices_cam=np.zeros((0, 1, 3)), persons=(), unseen=np.zeros((0, 1), bool))
    assert painter.meshes(nobody, "gltf") is None
    data = painter.overlay(rendered[0].rgb, people[0][0], nobody)
    assert np.abs(decode_image(data, name="overlay").astype(int) - rendered[0].rgb).mean() < 6


def test_a_film_shows_everybody_in_the_colour_of_their_track_and_nobody_as_it_is(rendered, predicted):
    painter, people = predicted
    person, (prediction, posed) = rendered[0], people[0]
    grey = np.full_like(person.rgb, 128)
    for track, persons in ((0, (0,)), (1, (0,)), (1, (2,))):
        shown = dataclasses.replace(posed, persons=persons, unseen=np.zeros_like(posed.unseen))
        drawn = painter.film_frame(grey, prediction, shown, [None, None, track] if persons == (2,) else [track])
        own = drawn[(drawn != 128).any(-1)].astype(float).mean(0) - 128 * 0.25
        likeness = [np.corrcoef(own, track_rgb(other))[0, 1] for other in range(4)]
        assert np.argmax(likeness) == track
        assert drawn.shape == person.rgb.shape
    nobody = dataclasses.replace(posed, vertices_cam=posed.vertices_cam[:0], persons=(), unseen=posed.unseen[:0])
    assert np.array_equal(painter.film_frame(grey, prediction, nobody, []), grey)

"""Which parts a photo shows of a predicted person, by people whose truth is known."""

import dataclasses

import numpy as np
import pytest
import torch
from regressor_batches import random_parameters

from datasets_manifest.schema.ehm_fields import PART_NAMES
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.skeleton import FACE, LEFT_HAND
from model.imaging.crop import crop_square
from model.regressor.seen import seen_parts
from model.renderer.raster import project
from model.rotations import rotvec_to_rotmat

SIZE = (960, 720)
FOCAL = 1152.0
CENTRE = np.array(SIZE) / 2


@pytest.fixture(scope="module")
def body():
    return KeypointBody(load_open_body())


def standing(turned_deg=0.0, place=(0.0, 0.1, 6.0)):
    """One person at rest, turned about the vertical axis from the camera, in the middle of the photo."""
    rest = random_parameters(1, 0)
    facing = rotvec_to_rotmat(torch.tensor([0.0, np.radians(turned_deg), 0.0])) @ torch.diag(
        torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    )
    none = {name: torch.eye(3).expand(getattr(rest, name).shape) for name in ("body_pose", "jaw_pose", "eye_pose")}
    return dataclasses.replace(
        rest, **none, global_orient=facing.float()[None], transl_m=torch.tensor([place], dtype=torch.float32)
    )


def parts_of(people, body, framed=slice(0, 133), size=SIZE):
    """Names of the parts that are seen where the crop frames some of the keypoints."""
    points = body(people)
    pixels = project(points.keypoints.numpy(), FOCAL, CENTRE)
    framed = pixels[0, framed]
    square = crop_square(np.concatenate([framed.min(0), framed.max(0)]))
    (seen,) = seen_parts(people, points.joints, pixels, (square,), size)
    return {name for name, is_seen in zip(PART_NAMES, seen.tolist(), strict=True) if is_seen}


def test_a_person_in_the_middle_is_seen(body):
    assert parts_of(standing(), body) == set(PART_NAMES)


def test_a_crop_of_one_part_shows_no_other(body):
    assert parts_of(standing(), body, FACE) == {"face"}
    assert parts_of(standing(), body, LEFT_HAND) == {"left_hand"}


@pytest.mark.parametrize(("turned_deg", "is_seen"), [(0, True), (60, True), (95, True), (120, False), (180, False)])
def test_a_face_that_looks_away_is_not_seen(body, turned_deg, is_seen):
    for sign in (1, -1):
        assert ("face" in parts_of(standing(sign * turned_deg), body)) is is_seen
        assert "body" in parts_of(standing(sign * turned_deg), body)


def test_where_the_camera_stands_decides_what_looks_away(body):
    """On the right of the photo a profile that looks to the left looks towards the camera, and to the right away."""
    left, right = (parts_of(standing(turn, (2.0, 0.1, 4.0)), body, size=(2000, 2000)) for turn in (90, -90))
    assert "face" in left
    assert "face" not in right


def test_what_lies_beside_the_photo_is_not_seen(body):
    """At the left edge, only the left arm is inside."""
    person = standing(place=(-2.75, 0.1, 6.0))
    assert parts_of(person, body) == {"left_hand"}
    assert parts_of(person, body, size=(1, 1)) == set()


def test_of_nobody_nothing_is_seen(body):
    nobody = random_parameters(0)
    assert seen_parts(nobody, torch.zeros(0, 55, 3), np.zeros((0, 133, 2)), (), SIZE).shape == (0, 4)


def test_numbers_that_are_none_show_nothing(body):
    person = standing()
    points = body(person)
    pixels = np.full((1, 133, 2), np.nan)
    square = crop_square(np.array([0.0, 0.0, 100.0, 100.0]))
    assert not seen_parts(person, points.joints, pixels, (square,), SIZE).any()

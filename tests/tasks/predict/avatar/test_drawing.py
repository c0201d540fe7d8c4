"""Avatars wear what the photo shows, where it shows it."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from grey_renderer import grey_renderer

from datasets_manifest.sources.masks import PERSON
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera
from model.renderer.overlay import BACKDROP_RGB
from tasks.predict.avatar.drawing import Avatars, PhotoWithPeople, Worn
from tasks.predict.avatar.poses import Motion, turntable
from tasks.predict.settings import AvatarConfig

FACING = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # upright, looking at the camera
SIDE_PX = 128
RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture(scope="module")
def assets():
    return load_open_body()


@pytest.fixture(scope="module")
def avatars(assets):
    return Avatars(grey_renderer(assets), EHMs(assets), AvatarConfig(views=4, size_px=SIDE_PX))


def photo(*places_m, side_px=160):
    """Of people who face the camera at some places, red in its left half and blue in its right."""
    rgb = np.full((side_px, side_px, 3), RED, np.uint8)
    rgb[:, side_px // 2 :] = BLUE
    count = len(places_m)
    return PhotoWithPeople(
        name="a.png",
        rgb=rgb,
        people=EhmParameters.neutral(count, global_orient=FACING.repeat(count, 1, 1), transl_m=torch.tensor(places_m)),
        numbers=list(range(count)),
        masks=[None] * count,
        camera=Camera(focal_px=torch.tensor([160.0]), principal_px=torch.full((1, 2), side_px / 2)),
    )


def drawn(avatars, picture):
    """File name without suffix -> pictures (views, side, side, 3) of its strip."""
    files = dict(avatars.draw(picture))
    assert {name.rpartition(".")[2] for name in files} <= {"png", "mp4"}
    strips = {name[:-4]: cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1] for name, data in files.items()
              if name.endswith(".png")}  # fmt: skip
    return {name: np.stack(np.split(strip, strip.shape[1] // SIDE_PX, 1)) for name, strip in strips.items()}


def covered(picture):
    return np.abs(picture.astype(int) - BACKDROP_RGB).max(-1) > 30


def reddish(picture):
    """Red minus blue of what is not backdrop, mean over the left half and the right half."""
    excess = picture[..., 0].astype(int) - picture[..., 2]
    halves = (slice(None, SIDE_PX // 2), slice(SIDE_PX // 2, None))
    return [float(excess[:, half][covered(picture)[:, half]].mean()) for half in halves]


def test_seen_from_the_front_the_photo_s_colours_are_where_they_were_and_the_back_has_none(avatars):
    ((_, (front, _, back, _)),) = drawn(avatars, photo((0.0, 0.0, 3.0))).items()
    left, right = reddish(front)
    assert left > 100
    assert right < -100
    assert np.abs(reddish(back)).max() < 30
    assert (covered(back) == covered(back)[:, ::-1]).mean() > 0.97  # the neutral person is the same on both sides


def test_the_picture_holds_all_that_the_photo_shows_and_not_much_more(avatars):
    for place in ((0.0, 0.0, 3.0), (0.6, 0.2, 5.0)):
        ((_, views),) = drawn(avatars, photo(place)).items()
        everything = np.logical_or.reduce([covered(view) for view in views])
        rows, columns = np.nonzero(everything)
        assert min(rows.min(), columns.min()) > 0
        assert max(rows.max(), columns.max()) < SIDE_PX - 1
        assert max(np.ptp(rows), np.ptp(columns)) > 0.85 * SIDE_PX


def test_what_a_nearer_person_hides_is_not_worn(avatars):
    views = drawn(avatars, photo((0.0, 0.0, 4.0), (0.0, 0.0, 3.5)))
    hidden, shown = (reddish(views[f"person{k}-turntable"][0]) for k in (0, 1))
    assert np.abs(hidden).max() < 0.2 * np.abs(shown).min()


def test_what_lies_outside_of_the_mask_is_not_worn(avatars):
    picture = photo((0.0, 0.0, 3.0))
    mask = np.zeros(picture.rgb.shape[:2], np.uint8)
    mask[:, mask.shape[1] // 2 :] = PERSON
    ((_, (front, *_)),) = drawn(avatars, dataclasses.replace(picture, masks=[mask])).items()
    left, right = reddish(front)
    assert left < 0  # of what is seen, the blue side, the rest gets its looks
    assert right < -100


def test_the_light_stays_where_it_is_while_the_person_turns(avatars):
    picture = photo((0.0, 0.0, 3.0))
    from_the_left = torch.tensor([[0.6, -0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    worn = Worn(torch.full((1, len(avatars.renderer.sites), 3), 0.8), from_the_left)
    shown = torch.ones(avatars.renderer.num_vertices, dtype=torch.bool)
    with torch.inference_mode():
        for view in avatars.frames(turntable(picture.people, 3), worn, picture.camera, shown):
            rows, columns = np.nonzero(covered(view))
            left, right = (view[rows[side], columns[side]].mean() for side in np.array_split(np.argsort(columns), 2))
            assert left > right + 10


def test_of_whom_the_photo_shows_nothing_there_is_no_avatar(avatars, caplog):
    views = drawn(avatars, photo((9.0, 0.0, 3.0), (0.0, 0.0, 3.0), (0.0, 0.0, -3.0)))
    assert list(views) == ["person1-turntable"]
    assert [record.message for record in caplog.records] == [
        f"a.png: no avatar of person {k}, of whom the photo shows nothing" for k in (0, 2)
    ]


def test_a_motion_is_a_film_of_its_own_and_the_display_hears_of_every_picture(avatars, assets):
    people = EhmParameters.neutral(3, global_orient=FACING.repeat(3, 1, 1))
    known = {"body_pose": torch.ones(3, dtype=torch.bool)}
    motion = Motion(parameters=people, known=known, fps=5.0, is_seen=True)
    moving = Avatars(avatars.renderer, avatars.body, dataclasses.replace(avatars.config, views=0), motion)
    told = []

    class Remembered:
        def show(self, what, done, total, note, left_s):
            told.append((done, total, note))

    names = [name for name, _ in moving.draw(photo((0.0, 0.0, 3.0)), Remembered())]
    assert names == ["person0-motion.mp4", "person0-motion.png"]
    assert told == [(k, 3, "a.png") for k in (1, 2, 3)]

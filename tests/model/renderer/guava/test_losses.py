"""The loss: each term by hand."""

import dataclasses

import pytest
import torch
from guava_scene import DEPTH_M, TINY, camera_of, sheet

from model.renderer.guava.gaussians import Appearance, Attributes
from model.renderer.guava.losses import CloseUp, GuavaLossConfig, guava_loss, part_boxes
from model.renderer.guava.renderer import Picture
from model.renderer.part_windows import PARTS
from model.renderer.perceptual.term import build_perceptual

SIDE = 64
NOTHING = GuavaLossConfig(
    l1=0, perceptual=0, perceptual_later=0, head=0, hand=0, offset=0, scale=0, masked_steps=0, crop_px=32
)


def people(offset=0.0, scale=0.1, count=5):
    attributes = Attributes(
        colours=torch.zeros(2, count, 6),
        opacities=torch.zeros(2, count),
        scales=torch.full((2, count, 3), scale),
        rotations_wxyz=torch.zeros(2, count, 4),
    )
    return Appearance(vertices=attributes, texels=attributes, offsets=torch.full((2, count, 3), offset))


def loss(
    config, *, refined=0.0, raw=0.0, target=0.0, mask=1.0, boxes=(8, 8, 40, 40), parts=None, step=5000, appearance=None
):
    size = (2, 3, SIDE, SIDE)
    drawn = Picture(torch.full(size, refined), torch.full(size, raw), torch.ones(2, SIDE, SIDE))
    found = {part: torch.tensor([boxes, boxes]) for part in PARTS} if parts is None else parts
    return guava_loss(
        drawn, appearance or people(), torch.full(size, target), torch.full((2, 1, SIDE, SIDE), mask), found, step,
        config, build_perceptual(config.term),
    )  # fmt: skip


def test_both_pictures_are_charged_for_what_they_differ():
    total, terms = loss(dataclasses.replace(NOTHING, l1=2.0), refined=0.5, raw=0.1, target=0.2)
    assert float(total) == pytest.approx(2 * 0.3 + 2 * 0.1, rel=1e-5)
    assert float(terms["refined"]) == pytest.approx(0.6, rel=1e-5)
    assert float(terms["raw"]) == pytest.approx(0.2, rel=1e-5)


def test_head_and_hands_are_charged_once_more():
    parts = dataclasses.replace(NOTHING, l1=1.0, head=0.25, hand=0.1)
    total, terms = loss(parts, refined=0.5, raw=0.0)
    assert float(terms["head"]) == pytest.approx(0.25 * 0.5, rel=1e-5)
    assert float(terms["hand"]) == pytest.approx(2 * 0.1 * 0.5, rel=1e-5)
    assert float(total) == pytest.approx(0.5 * (1 + 0.25 + 0.2), rel=1e-5)


def test_a_part_that_nobody_shows_costs_nothing():
    parts = dataclasses.replace(NOTHING, l1=1.0, head=0.25, hand=0.1)
    total, terms = loss(parts, refined=0.5, boxes=(64, 64, 64, 64))
    assert float(total) == pytest.approx(0.5, rel=1e-5)
    assert float(terms["head"]) == float(terms["hand"]) == 0


def test_close_ups_are_charged_as_crops_are_and_of_whom_there_is_none_costs_nothing():
    size = (1, 3, SIDE, SIDE)
    drawn = Picture(torch.full(size, 0.5), torch.full(size, 0.3), torch.ones(1, SIDE, SIDE))
    head = CloseUp(drawn=drawn, target=torch.full(size, 0.1), mask=torch.zeros(1, 1, SIDE, SIDE))
    config = dataclasses.replace(NOTHING, l1=1.0, head=0.25, hand=0.1)
    _, terms = loss(config, parts={"head": head})
    assert float(terms["head"]) == pytest.approx(0.25 * (0.4 + 0.2), rel=1e-5)
    assert float(terms["hand"]) == 0
    _, at_first = loss(dataclasses.replace(config, masked_steps=1000), parts={"head": head}, step=0)
    assert float(at_first["head"]) == pytest.approx(0.25 * (0.1 + 0.2), rel=1e-5)  # what is drawn in its mask: nothing


def test_at_first_what_the_refiner_draws_beside_the_person_costs_nothing():
    config = dataclasses.replace(NOTHING, l1=1.0, masked_steps=1000)
    for step, expected in ((998, 0.0), (999, 0.5)):
        assert float(loss(config, refined=0.5, mask=0.0, step=step)[0]) == pytest.approx(expected)


def test_the_perceptual_term_weighs_more_later():
    config = dataclasses.replace(NOTHING, perceptual=0.025, perceptual_later=0.05, later_from=100)
    first, later = (float(loss(config, refined=0.9, target=0.1, step=step)[0]) for step in (99, 100))
    assert first > 0
    assert later == pytest.approx(2 * first)


def test_gaussians_are_charged_beyond_what_is_free():
    config = dataclasses.replace(NOTHING, offset=0.01, scale=1.0)
    far = loss(config, appearance=people(offset=3.0))[1]
    assert float(far["offset"]) == pytest.approx(0.01 * (3.0 * 3**0.5 - 3.0), rel=1e-5)
    assert float(far["scale"]) == 0
    large = loss(config, appearance=people(scale=0.8))[1]
    assert float(large["scale"]) == pytest.approx(0.2 * 3**0.5, rel=1e-4)
    assert float(large["offset"]) == 0


def test_boxes_hold_the_parts_and_end_at_the_picture():
    vertices, _ = sheet()
    ids = {"head": torch.arange(5), "left_hand": torch.tensor([34])}
    boxes = part_boxes(vertices, camera_of(), ids, TINY.image_px)
    # The first row of the sheet: x from -0.6 to 0.6 m at 22 m, y at -0.7 m.
    pixel = TINY.focal_px / DEPTH_M
    left, top, right, bottom = boxes["head"][0].tolist()
    assert left <= 16 - 0.6 * pixel * 0.98
    assert right >= 16 + 0.6 * pixel * 0.98
    assert (top, bottom) == (3, 4)
    away = part_boxes(vertices + torch.tensor([9.0, 0, 0]), camera_of(), ids, TINY.image_px)["head"][0]
    assert away[0] == away[2] == TINY.image_px


def test_weights_are_told():
    with pytest.raises(ValueError, match="hand: expected a weight of 0 or more, got -1"):
        GuavaLossConfig(hand=-1)
    with pytest.raises(ValueError, match="close_ups is one of crops, cameras; got 'boxes'"):
        GuavaLossConfig(close_ups="boxes")
    with pytest.raises(ValueError, match="crop_px"):
        GuavaLossConfig(crop_px=8)

"""Squares: around which box or keypoints, and how their roll turns them."""

import math

import numpy as np

from model.imaging.squares import (
    PORTRAIT,
    Square,
    apply_affine,
    crop_affine,
    invert_affine,
    keypoint_box,
    square_of_box,
)


def test_roll_turns_the_square_clockwise():
    """The crop's x axis is the photo's x axis turned by the roll, and y points down."""
    affine = crop_affine(Square(centre_px=(0.0, 0.0), side_px=10.0, roll_rad=math.radians(30)), 10)
    axis_px = apply_affine(invert_affine(affine), np.array([6.0, 5.0]))
    assert np.allclose(axis_px, [math.cos(math.radians(30)), math.sin(math.radians(30))])


def test_square_grows_boxes_to_the_shape():
    wide, tall = np.array([0.0, 0, 90, 30]), np.array([0.0, 0, 30, 200])
    assert square_of_box(wide, 1.0).side_px == 90
    assert square_of_box(wide, 1.0, PORTRAIT).side_px == 120
    assert square_of_box(tall, 1.2, PORTRAIT).side_px == 240
    assert square_of_box(tall, 1.0).centre_px == (15.0, 100.0)


def test_box_takes_only_seen_points():
    points = np.array([[10, 20, 0.9], [30, 60, 0.5], [0, 0, 0.3], [-999, 5, 0], [np.nan, 1, 0.9]])
    assert keypoint_box(points, 0.3, 2).tolist() == [10, 20, 30, 60]
    assert keypoint_box(points, 0.3, 3) == "2 keypoints score more than 0.3, needed 3"
    assert keypoint_box(np.array([[1, 1, 1], [2, 2, 1]]), 0.3, 2) == "keypoints 1.0 px wide, needed 4"

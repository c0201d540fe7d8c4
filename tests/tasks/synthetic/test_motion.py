"""Paths go through what is drawn; whoever walks has the feet on the floor."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.people import RestShape
from tasks.posing import pose_bodies
from tasks.synthetic.motion import KEY_EVERY, Walk, draw_motion
from tasks.synthetic.paths import path_through


def test_a_path_goes_through_what_is_drawn():
    drawn = np.random.default_rng(0).normal(size=(2, 4, 3))
    path = path_through(drawn, 5, 16, axis=1)
    assert path.shape == (2, 16, 3)
    np.testing.assert_allclose(path[:, ::5], drawn, atol=1e-12)
    everywhere = CubicSpline(5 * np.arange(4), drawn, axis=1, bc_type="natural")(np.arange(16))
    np.testing.assert_allclose(path, everywhere, atol=1e-12)
    straight = path_through(np.arange(4.0), 5, 16)
    np.testing.assert_allclose(straight, np.arange(16) / 5, atol=1e-12)


def test_somebody_walks_on_the_floor_where_they_are_to_go():
    ehm = EHMs(load_open_body())
    walk = Walk(start_xz_m=(-0.4, 0.1), end_xz_m=(0.5, 0.2), yaw_rad=0.5)
    frames = KEY_EVERY + 1
    motion = draw_motion(np.random.default_rng(3), frames, walk, ehm, RestShape.from_assets(ehm.assets))
    body = pose_bodies(ehm, motion.parameters)
    np.testing.assert_allclose(body.joints[[0, -1], 0][:, [0, 2]], [[-0.4, 0.1], [0.5, 0.2]], atol=1e-5)
    lowest = body.vertices[..., 1].numpy().max(1)
    assert lowest[[0, KEY_EVERY]] == pytest.approx(0.0, abs=1e-4)
    assert np.abs(lowest).max() < 0.08
    nose = body.keypoints[:, 0].numpy() - body.joints[:, 15].numpy()
    assert (nose[:, 2] < 0).all()
    assert nose[:, 0].mean() > 0

"""Smooth frames: even motion is left alone at any times, noise is not, and turns are averaged as turns."""

import math

import pytest
import roma
import torch

from fitting.clips.smoothing import Smoother
from model.body.parameters import EhmParameters
from model.rotations import rotvec_to_rotmat

REACH_S = 0.4
EVEN = torch.arange(30, dtype=torch.float64) / 30
VARYING = torch.cumsum(torch.rand(30, generator=torch.Generator().manual_seed(1)).double() * 0.08 + 0.005, 0)


@pytest.mark.parametrize("time_s", [EVEN, VARYING, EVEN[:4], EVEN[::5]])
def test_a_parabola_is_left_as_it_is_from_the_first_frame_to_the_last(time_s):
    values = torch.stack([1 + 3 * time_s - 2 * time_s**2, time_s], 1)
    assert (Smoother.over(time_s, REACH_S).values(values) - values).abs().max() < 1e-9


@pytest.mark.parametrize("time_s", [[0.0], [0.0, 0.1], [0.0, 0.1, 0.2], [0.0, 0.3, 0.6, 0.9, 1.3]])
def test_frames_that_have_no_three_others_in_reach_stay(time_s):
    smoother = Smoother.over(torch.tensor(time_s), REACH_S)
    values = torch.randn(len(time_s), 4, generator=torch.Generator().manual_seed(2))
    assert (smoother.values(values) - values).abs().max() < 1e-5
    assert not smoother.moves.any()


def test_noise_shakes_a_tenth_of_what_it_did_and_the_motion_does_not_lag():
    time_s = torch.arange(200, dtype=torch.float64) / 30
    motion = torch.sin(2 * math.pi * 0.5 * time_s)
    noise = 0.05 * torch.randn(200, generator=torch.Generator().manual_seed(3)).double()
    smooth = Smoother.over(time_s, REACH_S).values((motion + noise)[:, None])[:, 0]

    def shaking(values):
        return values.diff(n=2).square().mean().sqrt()

    assert shaking(smooth - motion) < 0.1 * shaking(noise)
    assert (smooth - motion).square().mean().sqrt() < 0.5 * noise.square().mean().sqrt()
    lag = [((smooth - motion.roll(shift)) ** 2)[20:-20].mean() for shift in (-1, 0, 1)]
    assert min(lag) == lag[1]


def test_a_turn_through_pi_goes_the_short_way():
    """As axis-angle numbers the frames jump from pi to -pi."""
    angle = 0.9 * math.pi + 0.5 * EVEN
    turns = rotvec_to_rotmat(torch.stack([torch.zeros(30), angle, torch.zeros(30)], 1))
    smooth = Smoother.over(EVEN, REACH_S).rotations(turns)
    assert torch.rad2deg(roma.rotmat_geodesic_distance(smooth, turns)).max() < 0.01
    assert smooth.det() == pytest.approx(1.0)


def test_people_keep_their_shape_and_blink_and_are_seen_along_the_same_rays():
    """Noise of the depth moves nobody across the picture."""
    generator = torch.Generator().manual_seed(4)
    depth = 4 * torch.exp(0.1 * torch.randn(30, generator=generator))
    place = torch.stack([0.3 * depth, -0.1 * depth, depth], 1)
    given = {
        "transl_m": place,
        "betas": torch.randn(30, 10, generator=generator),
        "eyelids": torch.rand(30, 2, generator=generator),
        "flame_expression": torch.randn(30, 10, generator=generator),
    }
    people = EhmParameters.neutral(30, **given)
    smooth = Smoother.over(EVEN, REACH_S).people(people)
    assert torch.equal(smooth.betas, people.betas)
    assert torch.equal(smooth.eyelids, people.eyelids)
    assert smooth.flame_expression.std() < 0.6 * people.flame_expression.std()
    moved = smooth.known("transl_m")
    assert (moved[:, :2] / moved[:, 2:] - torch.tensor([0.3, -0.1])).abs().max() < 1e-5
    assert moved[:, 2].log().std() < 0.6 * depth.log().std()

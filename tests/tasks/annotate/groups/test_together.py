"""Rows of one person are fitted together, in whatever order they come, and no others are."""

import dataclasses

import numpy as np
import pytest
import torch
from grouped_people import FRAMES, VIEWS, one_clip, one_rig, side_by_side

from fitting.refine import refine
from fitting.rigs.settings import RigConfig
from fitting.settings import RefineConfig
from model.batches import cat_rows, take_rows, tensors_of
from tasks.annotate.groups.together import fit_groups, seen_by_several
from tasks.annotate.settings import AnnotateConfig, GroupsConfig
from tasks.body_model import sparse_body
from tasks.tracks.views import NOBODY

REFINE = RefineConfig()


@pytest.fixture(scope="module")
def body():
    return sparse_body(AnnotateConfig().body_model)


@pytest.fixture(scope="module")
def rows(body):
    """A clip of five frames, two moments before three cameras; who it is."""
    clip, rig = one_clip(body), one_rig(body)
    given = cat_rows([clip[0], rig[0]])
    return given, side_by_side(clip[1], rig[1]), np.repeat([0, 7], [FRAMES, 2 * VIEWS])


def fitted(body, given, places, tracks, config=None):
    return fit_groups(body, given, places, tracks, REFINE, config or GroupsConfig())


@pytest.fixture(scope="module")
def fit(body, rows):
    return fitted(body, *rows)


def test_frames_and_views_are_joined(fit):
    assert fit.frames_joined.all()
    assert fit.views_joined.tolist() == [False] * FRAMES + [True] * 2 * VIEWS
    assert (fit.by_views == fit.views_joined).all()
    assert set(fit.details) == {None}
    betas = fit.result.parameters.betas
    for person in (slice(0, FRAMES), slice(FRAMES, None)):
        torch.testing.assert_close(betas[person], betas[person][:1].expand_as(betas[person]))


def test_all_views_of_a_moment_are_one_body_in_the_world(fit, rows):
    _, places, _ = rows
    turn, shift = np.split(fit.world_to_camera[FRAMES:], [3], axis=2)
    orient = turn.transpose(0, 2, 1) @ fit.result.parameters.global_orient[FRAMES:].double().numpy()
    pelvis = turn.transpose(0, 2, 1) @ (fit.result.parameters.transl_m[FRAMES:].double().numpy()[..., None] - shift)
    for moment in range(2):
        own = places.frame[FRAMES:] == moment
        assert np.ptp(orient[own], axis=0).max() < 1e-5
        assert np.ptp(pelvis[own], axis=0).max() < 1e-5
    assert np.ptp(pelvis[:, :, 0], axis=0).max() > 1e-3, "the person moves"


@pytest.mark.long
def test_the_order_of_the_rows_does_not_matter(body, rows, fit):
    given, places, tracks = rows
    order = np.random.default_rng(0).permutation(len(tracks))
    other = fitted(body, take_rows(given, torch.from_numpy(order)), places.take(order), tracks[order])
    back = torch.from_numpy(np.argsort(order))
    for was, now in zip(tensors_of(fit.result), tensors_of(take_rows(other.result, back)), strict=True):
        torch.testing.assert_close(now, was, equal_nan=True, rtol=1e-3, atol=1e-3)


def test_photos_alone_are_fitted_as_ever(body, rows):
    given, places, tracks = rows
    apart = dataclasses.replace(places, group=np.arange(len(tracks)), camera=np.arange(len(tracks)))
    found = fitted(body, given, apart, tracks)
    observations, coarse, camera = given
    alone = refine(body, observations, coarse, camera, REFINE)
    assert not found.frames_joined.any()
    assert not found.views_joined.any()
    for was, now in zip(tensors_of(alone), tensors_of(found.result), strict=True):
        torch.testing.assert_close(now, was, equal_nan=True, rtol=0, atol=0)


def test_who_is_not_known_is_alone(body, rows):
    given, places, tracks = rows
    found = fitted(body, given, places, np.full(len(tracks), NOBODY))
    assert not found.frames_joined.any()
    assert not found.views_joined.any()


@pytest.mark.long
def test_of_two_people_of_one_photo_with_one_track_the_second_is_alone(body):
    given, places = one_clip(body)
    rows = np.array([0, 1, 2, 3, 4, 4])
    found = fitted(body, take_rows(given, torch.from_numpy(rows)), places.take(rows), np.zeros(6, int))
    assert found.frames_joined.tolist() == [True] * 5 + [False]
    assert found.details[5] == "another person of the photo has the same track"


@pytest.mark.long
def test_frames_that_show_nothing_are_bridged(body):
    given, places = one_clip(body, unseen=(2,))
    found = fitted(body, given, places, np.zeros(FRAMES, int))
    assert found.frames_joined.all()
    x = found.result.parameters.known("transl_m")[:, 0]
    assert min(x[1], x[3]) - 0.02 < x[2] < max(x[1], x[3]) + 0.02
    assert not found.result.part_valid[2].any()


def test_only_people_whom_two_placed_cameras_see_are_seen_by_several(rows):
    _, places, tracks = rows
    assert seen_by_several(places, tracks).tolist() == [False] * FRAMES + [True] * 2 * VIEWS
    unknown = places.world_to_camera.copy()
    unknown[FRAMES + 1 :: VIEWS] = unknown[FRAMES + 2 :: VIEWS] = np.nan
    assert not seen_by_several(dataclasses.replace(places, world_to_camera=unknown), tracks).any()


def test_refined_extrinsics_are_given_back(body):
    given, places = one_rig(body)
    off = places.world_to_camera.copy()
    off[1::VIEWS, :, 3] += 0.01
    places = dataclasses.replace(places, world_to_camera=off)
    config = GroupsConfig(rigs=RigConfig(refine_extrinsics=True))
    found = fitted(body, given, places, np.zeros(2 * VIEWS, int), config)
    assert np.abs(found.world_to_camera - off).max() > 1e-4
    assert np.abs(np.ptp(found.world_to_camera.reshape(2, VIEWS, 3, 4), axis=0)).max() < 1e-9, "cameras stand still"

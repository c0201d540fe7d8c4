"""One person through several cameras: who is joined, and who must not be."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.rig_crowd import Crowd, make_crowd, some, swapped
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from tasks.tracks.pieces import NOBODY, Tracked
from tasks.tracks.views import group_tracks

FRAMES = 20


@pytest.fixture(scope="module")
def open_body() -> SparseBody:
    return SparseBody.from_assets(load_open_body())


@pytest.fixture(scope="module")
def crowd(open_body) -> Crowd:
    """Three people, the first two close to each other, before three cameras."""
    return make_crowd(open_body, 3, 3, FRAMES, seed=1)


@pytest.fixture(scope="module")
def couple(open_body) -> Crowd:
    """Two people before two cameras."""
    return make_crowd(open_body, 2, 2, FRAMES, seed=2)


def is_one(numbers: np.ndarray, truth: np.ndarray) -> bool:
    """Whether the same numbers are the same people, and no others."""
    return bool(((numbers[:, None] == numbers) == (truth[:, None] == truth)).all())


def wrongly_joined(numbers: np.ndarray, truth: np.ndarray, people: Tracked) -> bool:
    """Whether two people whom two cameras see have one number."""
    two_cameras = people.camera[:, None] != people.camera
    return bool(((numbers[:, None] == numbers) & (truth[:, None] != truth) & two_cameras).any())


def test_people_have_one_number_in_all_cameras(open_body, crowd):
    found = group_tracks(open_body, crowd.people)
    assert is_one(found.track, crowd.truth)
    assert set(found.track.tolist()) == {0, 1, 2}
    assert set(found.reasons) == {None}


def test_numbers_count_in_the_order_in_which_people_appear(open_body, crowd):
    late = (crowd.truth == 0) & (crowd.people.frame < 5)
    found = group_tracks(open_body, some(crowd.people, ~late)).track
    assert found[crowd.truth[~late] == 0].tolist() == [2] * int((crowd.truth[~late] == 0).sum())


def test_the_order_of_rows_and_cameras_and_the_tracks_numbers_do_not_matter(open_body, crowd):
    order = np.random.default_rng(0).permutation(len(crowd.truth))
    mixed = some(crowd.people, order)
    mixed = replace(mixed, camera=7 - mixed.camera, track=10 + 3 * mixed.track)
    assert is_one(group_tracks(open_body, mixed).track, crowd.truth[order])


def test_one_moment_of_several_cameras_is_enough(open_body, crowd):
    own = crowd.people.frame == 3
    assert is_one(group_tracks(open_body, some(crowd.people, own)).track, crowd.truth[own])


def test_known_tracks_are_kept_and_lend_their_number(open_body, crowd):
    known = (crowd.truth == 2) & (crowd.people.camera == 0)
    people = replace(crowd.people, known=known, track=np.where(known, 40, crowd.people.track))
    found = group_tracks(open_body, people).track
    assert set(found[crowd.truth == 2].tolist()) == {40}
    assert set(found[crowd.truth != 2].tolist()) == {0, 1}


def test_known_tracks_are_never_joined_nor_parted(open_body, crowd):
    """What the data set says holds, be it wrong."""
    people = replace(crowd.people, known=np.ones(len(crowd.truth), bool))
    assert (group_tracks(open_body, people).track == crowd.people.track).all()


def test_a_camera_without_a_place_has_numbers_of_its_own_and_says_so(open_body, crowd):
    lost = crowd.people.camera == 1
    placed = np.where(lost[:, None, None], np.nan, crowd.people.world_to_camera)
    found = group_tracks(open_body, replace(crowd.people, world_to_camera=placed))
    assert is_one(found.track[~lost], crowd.truth[~lost])
    assert is_one(found.track[lost], crowd.truth[lost])
    assert not set(found.track[lost]) & set(found.track[~lost])
    assert {found.reasons[row] for row in np.flatnonzero(lost)} == {"where its camera stood is not known"}


def test_one_camera_keeps_its_tracks_over_absences(open_body, crowd):
    own = (crowd.people.camera == 1) & ((crowd.people.frame < 5) | (crowd.people.frame > 12))
    found = group_tracks(open_body, some(crowd.people, own))
    assert is_one(found.track, crowd.truth[own])
    assert set(found.reasons) == {None}


def test_people_without_a_track_have_none(open_body, crowd):
    people = replace(crowd.people, track=np.where(crowd.truth == 1, NOBODY, crowd.people.track))
    found = group_tracks(open_body, people).track
    assert (found[crowd.truth == 1] == NOBODY).all()
    assert is_one(found, crowd.truth)


def test_a_track_that_was_lost_is_found_again_by_another_camera(open_body, couple):
    lost = (couple.people.camera == 1) & (couple.truth == 0)
    away = lost & (couple.people.frame >= 8) & (couple.people.frame < 12)
    again = lost & (couple.people.frame >= 12)
    people = some(replace(couple.people, track=np.where(again, 9, couple.people.track)), ~away)
    assert is_one(group_tracks(open_body, people).track, couple.truth[~away])


def test_who_enters_where_another_left_is_somebody_else(open_body, couple):
    """One camera takes them for one person, the other does not."""
    gap = (couple.people.frame >= 8) & (couple.people.frame < 12)
    own = (couple.truth == 0) & ~gap
    later = own & (couple.people.frame >= 12)
    new = later & (couple.people.camera == 1)
    people = some(replace(couple.people, track=np.where(new, 9, couple.people.track)), own)
    truth = np.where(later, 5, 0)[own]
    assert is_one(group_tracks(open_body, people).track, truth)


@pytest.mark.parametrize("camera", [0, 1, 2])
def test_a_track_that_goes_on_with_another_person_is_cut_there(open_body, crowd, camera):
    people = swapped(crowd.people, camera, 11)
    found = group_tracks(open_body, people).track
    assert is_one(found, crowd.truth)


def test_of_two_cameras_none_knows_who_swapped_and_nobody_is_joined_wrongly(open_body, couple):
    people = swapped(couple.people, 1, 11)
    found = group_tracks(open_body, people).track
    assert not wrongly_joined(found, couple.truth, people)
    before, after = (found[(people.frame < 11) == early] for early in (True, False))
    assert len(set(before)) == len(set(after)) == 2


@pytest.mark.parametrize("which", ["zero baseline", "inverse", "millimetres", "mirror"])
def test_cameras_that_say_nothing_or_nonsense_join_nobody(open_body, crowd, which):
    people, second = crowd.people, crowd.people.camera == 1
    placed = people.world_to_camera.copy()
    if which == "zero baseline":
        first = np.flatnonzero(people.camera == 0)
        again = some(people, np.concatenate([first, first]))
        people = replace(again, camera=np.repeat([0, 1], len(first)))
        truth, sentence = np.tile(crowd.truth[first], 2), "along one line"
    else:
        truth = crowd.truth
        if which == "inverse":
            turn, shift = placed[..., :3].swapaxes(-1, -2).copy(), placed[..., 3:].copy()
            placed = np.concatenate([turn, -turn @ shift], -1)
        placed[..., 3] *= 1000 if which == "millimetres" else 1
        placed[second, 0, :3] *= -1 if which == "mirror" else 1
        people = replace(people, world_to_camera=placed)
        sentence = {"inverse": "from world to camera", "millimetres": "in metres", "mirror": "mirror"}[which]
    found = group_tracks(open_body, people)
    assert not wrongly_joined(found.track, truth, people)
    assert not set(found.track[people.camera == 0]) & set(found.track[people.camera == 1])
    said = {reason for reason in found.reasons if reason}
    assert any(sentence in reason for reason in said), said

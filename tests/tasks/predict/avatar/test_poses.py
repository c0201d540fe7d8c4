"""Somebody in other poses stays who they are, where they are."""

import dataclasses
import math

import pytest
import torch

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.rotations import rotvec_to_rotmat
from tasks.predict.avatar.poses import KEPT, WORN, Motion, turntable, wearing


def people(count, seed):
    random = torch.Generator().manual_seed(seed)

    def one(value):
        if value.shape[-2:] == (3, 3):
            return rotvec_to_rotmat(0.3 * torch.randn(value.shape[:-1], generator=random))
        return value + 0.1 * torch.randn(value.shape, generator=random)

    neutral = EhmParameters.neutral(count, transl_m=torch.tensor([0.1, -0.2, 4.0]).repeat(count, 1))
    return dataclasses.replace(neutral, **{name: one(value.clone()) for name, value in neutral.named().items()})


def motion(count, *, is_seen=True, **unknown):
    known = {name: torch.ones(count, dtype=torch.bool) for name in WORN}
    return Motion(parameters=people(count, 1), known=known | unknown, fps=25.0, is_seen=is_seen)


@pytest.fixture(scope="module")
def body():
    return EHMs(load_open_body())


def test_half_a_turn_shows_the_back_in_the_same_place(body):
    person = people(1, 0)
    with torch.no_grad():
        start, _, back, _ = body(turntable(person, 4)).vertices - person.transl_m
        (as_in_the_photo,) = body(person).vertices - person.transl_m
    assert torch.allclose(start, as_in_the_photo, atol=1e-5)
    assert torch.allclose(back, start * torch.tensor([-1.0, 1.0, -1.0]), atol=1e-5)


def test_a_motion_moves_the_person_and_changes_nothing_else():
    person, theirs = people(1, 0), motion(5)
    worn = wearing(person, theirs, face=True)
    for name in KEPT:
        assert torch.equal(getattr(worn, name), getattr(person, name).expand_as(getattr(worn, name)))
    for name in WORN:
        assert torch.equal(getattr(worn, name), getattr(theirs.parameters, name))


def test_what_a_motion_does_not_say_stays_as_in_the_photo():
    person, some = people(1, 0), torch.tensor([True, False, True])
    theirs = motion(3, left_hand_pose=some)
    theirs = dataclasses.replace(theirs, known={n: k for n, k in theirs.known.items() if n != "right_hand_pose"})
    theirs.parameters.left_hand_pose[1] = torch.nan
    worn = wearing(person, theirs, face=False)
    assert torch.equal(worn.left_hand_pose[some], theirs.parameters.left_hand_pose[some])
    assert torch.equal(worn.left_hand_pose[1], person.left_hand_pose[0])
    for name in ("right_hand_pose", "jaw_pose", "eyelids", "flame_expression"):
        assert torch.equal(getattr(worn, name)[2], getattr(person, name)[0])


def test_a_motion_of_a_world_begins_as_the_person_stands_and_keeps_its_own_turns():
    person, theirs = people(1, 0), motion(4, is_seen=False)
    worn = wearing(person, theirs, face=True).global_orient
    ahead = worn[0, :, 2], person.global_orient[0, :, 2]
    first, wanted = (math.atan2(float(way[0]), float(way[2])) for way in ahead)
    assert first == pytest.approx(wanted, abs=1e-5)
    before = theirs.parameters.global_orient
    assert torch.allclose(worn[0].T @ worn[3], before[0].T @ before[3], atol=1e-5)
    assert torch.allclose(worn[:, 1], before[:, 1], atol=1e-6)  # as upright as it was

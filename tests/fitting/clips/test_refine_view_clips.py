"""Clips of several cameras: one fit of all views of all frames."""

from dataclasses import replace

import pytest
import torch

from benchmarks.clip_people import make_view_clips
from benchmarks.rig_people import RigPeople
from benchmarks.trial import state_of_parameters
from benchmarks.view_methods import errors_of
from fitting.clips.views import ViewClipResult, refine_view_clips
from fitting.rigs.refine import RigResult, refine_views
from fitting.sparse_body import SparseBody
from model.batches import take_rows, tensors_of

FRAMES, VIEWS = 12, 3


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> tuple[RigPeople, torch.Tensor]:
    return make_view_clips(open_body, 1, FRAMES, VIEWS, seed=2)


@pytest.fixture(scope="module")
def joint(open_body: SparseBody, people: tuple[RigPeople, torch.Tensor]) -> ViewClipResult:
    return fitted(open_body, *people)


def fitted(body: SparseBody, people: RigPeople, clip: torch.Tensor) -> ViewClipResult:
    return refine_view_clips(body, people.observations, people.coarse, people.camera, people.rig, clip)


def by_moment(body: SparseBody, people: RigPeople) -> RigResult:
    return refine_views(body, people.observations, people.coarse, people.camera, people.rig)


def all_equal(first: RigResult, second: RigResult) -> bool:
    """To the bit, in everything that is said of people."""
    pairs = zip(tensors_of(first.people), tensors_of(second.people), strict=True)
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


@pytest.mark.long
def test_clips_of_views_are_nearer_the_truth_and_one_body(
    open_body: SparseBody, people: tuple[RigPeople, torch.Tensor], joint: ViewClipResult
) -> None:
    drawn, before = people[0], by_moment(open_body, people[0])
    assert joint.joined.all()
    assert set(joint.reasons) == {None}
    states = [state_of_parameters(open_body, result.people.parameters, drawn.truth) for result in (joint.views, before)]
    errors = [errors_of(open_body, state, drawn.truth) for state in states]
    for measure in ("abs", "mpjpe", "hand_pa"):
        assert errors[0][measure].mean() < 0.9 * errors[1][measure].mean()
    betas = joint.views.people.parameters.betas
    assert (betas == betas[:1]).all()
    stated = joint.views.people.uncertainty.mpjpe_mm
    assert 0.6 < errors[0]["mpjpe"].mean() / stated.mean() < 1.6
    # One body a moment, wherever it is seen from.
    turn = drawn.rig.rotation.to(open_body.dtype).transpose(-1, -2) @ joint.views.people.parameters.global_orient
    turn = turn.unflatten(0, (FRAMES, VIEWS))
    assert (turn - turn[:, :1]).abs().max() < 1e-5


@pytest.mark.long
def test_where_the_cameras_stand_makes_no_difference(open_body_f64: SparseBody) -> None:
    """In 64 bits: a foot that nothing holds goes where rounding pushes it."""
    drawn, clip = make_view_clips(open_body_f64, 1, FRAMES, VIEWS, seed=2)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.linalg.det(turn)
    place = torch.tensor([3.0, -1.0, 8.0], dtype=torch.float64)
    rotation = drawn.rig.rotation.double() @ turn
    moved = replace(drawn.rig, rotation=rotation, translation_m=drawn.rig.translation_m.double() + rotation @ place)
    found, expected = (
        fitted(open_body_f64, replace(drawn, rig=rig), clip).views.people.parameters for rig in (moved, drawn.rig)
    )
    assert (found.known("transl_m") - expected.known("transl_m")).abs().max() < 5e-4
    assert (found.body_pose - expected.body_pose).abs().max() < 5e-4


def test_a_moment_without_neighbours_is_as_by_its_views_alone_and_told(
    open_body: SparseBody, people: tuple[RigPeople, torch.Tensor]
) -> None:
    drawn, clip = people
    two = take_rows(drawn, torch.arange(2 * VIEWS))
    apart = replace(two, rig=replace(two.rig, time_s=two.rig.moment.double()))
    result = fitted(open_body, apart, clip[: 2 * VIEWS])
    assert not result.joined.any()
    assert set(result.reasons) == {"no frame of its clip within 0.1 s"}
    assert all_equal(result.views, by_moment(open_body, apart))
    one = fitted(open_body, take_rows(drawn, torch.arange(VIEWS)), clip[:VIEWS])
    assert set(one.reasons) == {None}


def test_moments_that_are_not_of_the_clip_are_told(
    open_body: SparseBody, people: tuple[RigPeople, torch.Tensor]
) -> None:
    """One moment of somebody two metres aside, and one that a single camera shows."""
    drawn, clip = people
    kept = torch.arange(9 * VIEWS + 1)
    some, jump = take_rows(drawn, kept), kept // VIEWS == 3
    aside = some.rig.rotation @ torch.tensor([2.0, 0.0, 0.0], dtype=some.rig.rotation.dtype)
    shift = torch.where(jump[:, None], some.rig.translation_m - aside, some.rig.translation_m)
    result = fitted(open_body, replace(some, rig=replace(some.rig, translation_m=shift)), clip[kept])
    alone = kept // VIEWS == 9
    assert torch.equal(result.joined, ~(jump | alone))
    assert all("not where the clip moves" in str(result.reasons[row]) for row in jump.nonzero().flatten().tolist())
    assert str(result.reasons[-1]).startswith("one view of its moment")
    assert {result.reasons[row] for row in (~(jump | alone)).nonzero().flatten().tolist()} == {None}


def test_what_is_said_of_moments_must_make_sense(open_body: SparseBody, people: tuple[RigPeople, torch.Tensor]) -> None:
    drawn, clip = people
    with pytest.raises(ValueError, match="one integer a row"):
        fitted(open_body, drawn, clip[:3])
    torn = clip.clone()
    torn[1] = 7
    with pytest.raises(ValueError, match="row 1 of moment 0 is of clip 7, another of clip 0"):
        fitted(open_body, drawn, torn)
    backwards = replace(drawn, rig=replace(drawn.rig, time_s=-drawn.rig.time_s))
    with pytest.raises(ValueError, match="frames of a clip need rising times in seconds: moment 1 of clip 0"):
        fitted(open_body, backwards, clip)

"""People in clips: laws of the joint fit, gaps, cuts, and what becomes of frames that do not belong."""

from dataclasses import replace

import pytest
import torch

from benchmarks.clip_people import EVERYTHING, LEGS, ClipPeople, make_clips, with_sides_swapped
from benchmarks.trial import state_of_parameters
from benchmarks.view_methods import errors_of
from fitting import so3
from fitting.clips.inputs import Clips
from fitting.clips.refine import ClipResult, refine_clips
from fitting.clips.settings import ClipConfig
from fitting.refine import RefineResult, refine
from fitting.solver import Status
from fitting.sparse_body import SparseBody
from fitting.unknowns import turned_rad
from model.batches import take_rows, tensors_of

FRAMES, GAP = 24, slice(9, 15)
PARTS = ("truth", "observations", "coarse", "camera")
ONE_CLIP = Clips(clip=torch.zeros(FRAMES, dtype=torch.int64), time_s=torch.arange(FRAMES, dtype=torch.float64) / 30)


def fitted(body: SparseBody, people: ClipPeople, clip_config: ClipConfig | None = None) -> ClipResult:
    given = people.observations, people.coarse, people.camera, people.clips
    return refine_clips(body, *given, clip_config=clip_config)


def alone(body: SparseBody, people: ClipPeople) -> RefineResult:
    return refine(body, people.observations, people.coarse, people.camera)


def all_equal(first: RefineResult, second: RefineResult) -> bool:
    """To the bit, in everything that a result says."""
    pairs = zip(tensors_of(first), tensors_of(second), strict=True)
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


def joints_m(body: SparseBody, people: ClipPeople, result: RefineResult) -> torch.Tensor:
    """(R, 22, 3) in the frame of the camera."""
    posed = body.forward(state_of_parameters(body, result.parameters, people.truth))
    return posed.joints[:, :22] + posed.translation[:, None]


def error_mm(body: SparseBody, people: ClipPeople, result: RefineResult, rows: slice = slice(None)) -> float:
    """MPJPE over some frames."""
    state = state_of_parameters(body, result.parameters, people.truth)
    return float(errors_of(body, state, people.truth)["mpjpe"][rows].mean())


def unevenness(joints: torch.Tensor) -> float:
    return float((joints[2:] - 2 * joints[1:-1] + joints[:-2]).norm(dim=-1).mean())


@pytest.fixture(scope="module")
def people(open_body: SparseBody) -> ClipPeople:
    return make_clips(open_body, 2, FRAMES, seed=3)


@pytest.fixture(scope="module")
def joint(open_body: SparseBody, people: ClipPeople) -> ClipResult:
    return fitted(open_body, people)


@pytest.fixture(scope="module")
def single(open_body: SparseBody, people: ClipPeople) -> RefineResult:
    return alone(open_body, people)


@pytest.mark.long
def test_frames_whose_estimates_jump_are_held_together_by_and_by(open_body: SparseBody) -> None:
    people, noise = make_clips(open_body, 1, 8, seed=5), torch.Generator().manual_seed(0)
    pose, orient = people.coarse.body_pose, people.coarse.global_orient
    people = replace(
        people,
        observations=replace(people.observations, sigma_px=people.observations.sigma_px / 3),
        coarse=replace(
            people.coarse,
            body_pose=pose @ so3.exp(0.3 * torch.randn(*pose.shape[:-1], generator=noise)),
            global_orient=orient @ so3.exp(0.2 * torch.randn(*orient.shape[:-1], generator=noise)),
        ),
    )
    result = fitted(open_body, people)
    assert result.joined.all()
    assert result.people.reprojection.reproj_px[:, 0].max() < 3


def test_one_frame_is_the_single_fit_to_the_bit(
    open_body: SparseBody, people: ClipPeople, single: RefineResult
) -> None:
    own = replace(people.clips, clip=torch.arange(2 * FRAMES).flip(0))
    result = fitted(open_body, replace(people, clips=own))
    assert all_equal(result.people, single)
    assert not result.joined.any()
    assert set(result.reasons) == {None}


def test_a_clip_is_one_shape_nearer_the_truth_and_even(
    open_body: SparseBody, people: ClipPeople, joint: ClipResult, single: RefineResult
) -> None:
    assert joint.joined.all()
    assert (joint.people.status == Status.CONVERGED).all()
    for name in ("betas", "flame_shape", "head_scale"):
        shape = getattr(joint.people.parameters, name).view(2, FRAMES, -1)
        assert (shape == shape[:, :1]).all()
        assert (shape[0, 0] != shape[1, 0]).any()
    assert error_mm(open_body, people, joint.people) < 0.8 * error_mm(open_body, people, single)
    evenness = [unevenness(joints_m(open_body, people, result)[:FRAMES]) for result in (joint.people, single)]
    assert evenness[0] < 0.1 * evenness[1]


@pytest.mark.long
def test_clips_do_not_depend_on_each_other(open_body: SparseBody, people: ClipPeople, joint: ClipResult) -> None:
    rows = torch.arange(FRAMES, 2 * FRAMES)
    second = fitted(open_body, take_rows(people, rows))
    assert all_equal(second.people, take_rows(joint.people, rows))


@pytest.mark.long
def test_backwards_in_time_is_the_same_backwards(open_body: SparseBody, people: ClipPeople, joint: ClipResult) -> None:
    rows = torch.arange(FRAMES).flip(0)
    parts = {name: take_rows(getattr(people, name), rows) for name in PARTS}
    clips = Clips(clip=people.clips.clip[rows], time_s=-people.clips.time_s[rows])
    back = ClipPeople(**parts, clips=clips)
    found = joints_m(open_body, back, fitted(open_body, back).people)
    expected = joints_m(open_body, people, joint.people)[:FRAMES].flip(0)
    assert (found - expected).norm(dim=-1).max() < 2e-3


def test_joints_are_off_by_what_is_stated(open_body: SparseBody, people: ClipPeople, joint: ClipResult) -> None:
    state = state_of_parameters(open_body, joint.people.parameters, people.truth)
    off = turned_rad(state, people.truth) / 3**0.5 / joint.people.uncertainty.joint_sigma_rad
    assert 0.85 < float(off.square().mean().sqrt()) < 1.15


def test_stated_errors_are_smaller_than_of_single_frames(joint: ClipResult, single: RefineResult) -> None:
    stated, before = joint.people.uncertainty, single.uncertainty
    for name in ("mpjpe_mm", "log_depth_sigma", "log_head_scale_sigma"):
        assert torch.isfinite(getattr(stated, name)).all()
        assert (getattr(stated, name) < getattr(before, name)).double().mean() > 0.9


@pytest.fixture(scope="module")
def gap(open_body: SparseBody) -> tuple[ClipPeople, ClipResult]:
    hidden = ((3, 5, 1),)
    people = make_clips(open_body, 1, FRAMES, seed=4, gaps=((GAP.start, GAP.stop - GAP.start),), hand_gaps=hidden)
    return people, fitted(open_body, people)


@pytest.mark.long
def test_gaps_are_bridged_and_not_said_to_be_seen(open_body: SparseBody, gap: tuple[ClipPeople, ClipResult]) -> None:
    people, result = gap
    assert (result.people.status[GAP] == Status.NO_DATA).all()
    assert not result.people.part_valid[GAP].any()
    assert (result.people.quality[GAP] == 0).all()
    assert result.joined.all()
    assert error_mm(open_body, people, result.people, GAP) < 1.6 * error_mm(open_body, people, result.people)
    assert (result.people.uncertainty.mpjpe_mm[GAP] > result.people.uncertainty.mpjpe_mm[:3].mean()).all()


@pytest.mark.long
def test_a_hand_that_is_hidden_for_a_while_is_near_what_it_was(
    open_body: SparseBody, gap: tuple[ClipPeople, ClipResult]
) -> None:
    people, result = gap
    true = open_body.forward(people.truth).local[3:8, -15:]
    hand = result.people.parameters.right_hand_pose[3:8]
    relaxed = alone(open_body, people).parameters.right_hand_pose[3:8]
    assert (hand - true).norm() < 0.6 * (relaxed - true).norm()
    assert not result.people.part_valid[3:8, 2].any()


@pytest.mark.long
def test_legs_that_a_detector_swapped_for_some_frames_follow_those_around(
    open_body: SparseBody, people: ClipPeople, joint: ClipResult
) -> None:
    first, rows = take_rows(people, torch.arange(FRAMES)), torch.tensor([9, 10, 15])
    swapped = with_sides_swapped(first, rows, LEGS)
    found, lone = fitted(open_body, swapped), alone(open_body, swapped)
    right = take_rows(joint.people, torch.arange(FRAMES))

    def errors(result: RefineResult) -> torch.Tensor:
        state = state_of_parameters(open_body, result.parameters, first.truth)
        return torch.from_numpy(errors_of(open_body, state, first.truth)["mpjpe"])[rows]

    assert (errors(lone) > 2 * errors(right)).all()
    assert (errors(found.people) < 1.5 * errors(right)).all()


@pytest.mark.long
def test_a_clip_is_cut_where_time_jumps(open_body: SparseBody, people: ClipPeople) -> None:
    """Two clips, called one: 20 frames, a pause, 4 frames; and a frame far off."""
    rows = torch.arange(FRAMES)
    part = take_rows(people, rows)
    time = part.clips.time_s.clone()
    time[20:] += 0.2
    time[-1] += 5
    cut = fitted(open_body, replace(part, clips=replace(part.clips, time_s=time)))
    assert cut.joined.tolist() == [True] * (FRAMES - 1) + [False]
    assert cut.reasons[-1] == "no frame of its clip within 0.1 s"
    last = rows[-1:]
    assert all_equal(take_rows(cut.people, last), take_rows(alone(open_body, take_rows(part, last)), last * 0))
    betas = cut.people.parameters.betas[:-1]
    assert (betas == betas[:1]).all()


@pytest.mark.long
def test_long_clips_go_over_from_window_to_window(
    open_body: SparseBody, people: ClipPeople, joint: ClipResult, single: RefineResult
) -> None:
    part = take_rows(people, torch.arange(FRAMES))
    windows = fitted(open_body, part, ClipConfig(max_frames=16, overlap=6))
    betas = windows.people.parameters.betas
    assert windows.joined.all()
    assert (betas == betas[:1]).all()
    joints = joints_m(open_body, part, windows.people)
    assert unevenness(joints) < 1.5 * unevenness(joints_m(open_body, people, joint.people)[:FRAMES])
    assert error_mm(open_body, part, windows.people) < 0.9 * error_mm(open_body, people, single, slice(FRAMES))


@pytest.mark.long
def test_frames_of_somebody_else_are_fitted_alone_and_told(
    open_body: SparseBody, people: ClipPeople, single: RefineResult, joint: ClipResult
) -> None:
    rows = torch.arange(FRAMES)
    wrong = [10, 11]
    rows[wrong] += FRAMES
    mixed = replace(take_rows(people, rows), clips=take_rows(people.clips, torch.arange(FRAMES)))
    result = fitted(open_body, mixed)
    assert (~result.joined).nonzero().flatten().tolist() == wrong
    assert "somebody else" in str(result.reasons[10])
    index = torch.tensor(wrong)
    assert all_equal(take_rows(result.people, index), take_rows(single, index + FRAMES))
    right = torch.tensor([row for row in range(FRAMES) if row not in wrong])
    first = take_rows(people, torch.arange(FRAMES))
    errors = [error_mm(open_body, take_rows(first, right), take_rows(r.people, right)) for r in (result, joint)]
    assert errors[0] < 1.3 * errors[1]


@pytest.mark.long
def test_frames_named_the_wrong_way_round_are_led_through(
    open_body: SparseBody, people: ClipPeople, joint: ClipResult
) -> None:
    first, wrong = take_rows(people, torch.arange(FRAMES)), torch.tensor([9, 10, 17])
    swapped = with_sides_swapped(first, wrong, EVERYTHING)
    found, lone = fitted(open_body, swapped), alone(open_body, swapped)
    assert found.joined.all()
    assert not found.people.part_valid[wrong].any(), "their keypoints are not where they say"
    right = torch.tensor([row for row in range(FRAMES) if row not in wrong.tolist()])
    assert torch.equal(found.people.part_valid[right, 0], joint.people.part_valid[right, 0])
    there, as_named = (error_mm(open_body, take_rows(first, wrong), take_rows(r, wrong)) for r in (found.people, lone))
    assert as_named > 150
    assert there < 1.5 * error_mm(open_body, take_rows(first, wrong), take_rows(joint.people, wrong))


@pytest.mark.long
def test_a_track_that_goes_over_to_somebody_else_is_two_clips(open_body: SparseBody, people: ClipPeople) -> None:
    half = FRAMES // 2
    halves = [torch.arange(half), torch.arange(FRAMES + half, 2 * FRAMES)]
    mixed = ClipPeople(**{name: take_rows(getattr(people, name), torch.cat(halves)) for name in PARTS}, clips=ONE_CLIP)
    result = fitted(open_body, mixed)
    assert result.joined.all()
    apart = [fitted(open_body, take_rows(people, half)).people for half in halves]
    assert all(
        all_equal(take_rows(result.people, rows), own)
        for rows, own in zip(torch.arange(FRAMES).split(half), apart, strict=True)
    )


def test_frames_out_of_order_are_fitted_alone_and_told(
    open_body: SparseBody, people: ClipPeople, single: RefineResult
) -> None:
    order = torch.randperm(FRAMES, generator=torch.Generator().manual_seed(1))
    mixed = ClipPeople(**{name: take_rows(getattr(people, name), order) for name in PARTS}, clips=ONE_CLIP)
    result = fitted(open_body, mixed)
    assert not result.joined.any()
    assert all_equal(result.people, take_rows(single, order))
    assert all("not where the clip moves" in str(reason) for reason in result.reasons)


@pytest.mark.long
def test_frames_of_fast_cameras_gain_as_well(open_body: SparseBody) -> None:
    """The same motion at 120 Hz."""
    people = make_clips(open_body, 1, 16, seed=5, spacing=80)
    people = replace(people, clips=replace(people.clips, time_s=people.clips.time_s / 4))
    result = fitted(open_body, people)
    assert (result.people.status == Status.CONVERGED).all()
    assert error_mm(open_body, people, result.people) < error_mm(open_body, people, alone(open_body, people))


def test_a_clip_that_shows_nobody_is_left_as_it_came(open_body: SparseBody, people: ClipPeople) -> None:
    part = take_rows(people, torch.arange(4))
    nothing = replace(part.observations, sigma_px=torch.full_like(part.observations.sigma_px, torch.inf))
    part = replace(part, observations=nothing)
    result = fitted(open_body, part)
    assert (result.people.status == Status.NO_DATA).all()
    assert not result.joined.any()
    assert all_equal(result.people, alone(open_body, part))


def test_what_is_said_of_frames_must_make_sense(open_body: SparseBody, people: ClipPeople) -> None:
    clip, time = torch.zeros(3, dtype=torch.int64), torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64)
    refused = {
        "taken before row 0": time[[1, 0, 2]],
        "taken at the same time as row 0": time[[0, 0, 2]],
        "taken less than a millisecond after row 0": 1e-3 * time,
        "got none for 1 of 3 rows, first of all row 1": torch.tensor([0.0, torch.nan, 0.2]),
        r"time_s \(3,\), got \(2,\)": time[:2],
    }
    for message, times in refused.items():
        with pytest.raises(ValueError, match=message):
            Clips(clip=clip, time_s=times)
    Clips(clip=torch.tensor([0, 1, 0]), time_s=time[[1, 0, 2]])  # clips may interleave
    with pytest.raises(ValueError, match="one integer a row"):
        Clips(clip=clip.double(), time_s=time)
    with pytest.raises(ValueError, match="got 48 rows of keypoints and 3 rows of clips"):
        fitted(open_body, replace(people, clips=Clips(clip=clip, time_s=time)))
    with pytest.raises(ValueError, match="body_slack: expected a number above 0, got 0"):
        ClipConfig(body_slack=0)
    with pytest.raises(ValueError, match="overlap: expected 3 frames to max_frames, 8, got 16"):
        ClipConfig(max_frames=8)


@pytest.mark.long
def test_a_still_person_holds_still(open_body: SparseBody) -> None:
    drawn = make_clips(open_body, 1, FRAMES, seed=9)
    first = torch.zeros(FRAMES, dtype=torch.int64)
    truth = take_rows(drawn.truth, first)
    moved = open_body.forward(truth).points_cam, open_body.forward(drawn.truth).points_cam
    pixels = [point[..., :2] / point[..., 2:] * drawn.camera.focal_px[:, None, None] for point in moved]
    observations = replace(drawn.observations, keypoints_px=drawn.observations.keypoints_px + pixels[0] - pixels[1])
    coarse = take_rows(drawn.coarse, first)
    people = replace(drawn, truth=truth, observations=observations, coarse=coarse)
    result, before = fitted(open_body, people).people, alone(open_body, people)
    still, moving = (joints_m(open_body, people, one) for one in (result, before))
    assert (still - still.mean(0)).norm(dim=-1).mean() < 0.35 * (moving - moving.mean(0)).norm(dim=-1).mean()

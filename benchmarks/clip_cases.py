"""Frames of a person in one fit against what is done without: frames alone, one shape, smoothing afterwards.

People are those of `benchmarks.clip_people`: 64 frames at 30 Hz, errors that last. Errors are mean and standard
deviation over frames.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import ERRORS, Bench, mean, spread
from benchmarks.clip_people import (
    EVERYTHING,
    LEGS,
    ClipPeople,
    make_clips,
    make_predictions,
    make_view_clips,
    with_sides_swapped,
)
from benchmarks.measure import timed
from benchmarks.rig_people import disturbed
from benchmarks.smoothing import filters, interpolated, savgol, smoothed, with_one_shape
from benchmarks.table import METHOD, Column, Row
from benchmarks.trial import state_of_parameters
from benchmarks.view_methods import CPU, errors_of
from fitting.clips.inputs import Clips
from fitting.clips.refine import refine_clips
from fitting.clips.views import refine_view_clips
from fitting.refine import RefineResult, refine
from fitting.rigs.refine import refine_views
from fitting.rigs.settings import RigConfig
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import take_rows
from model.body import skeleton
from model.metrics.joints import pa_mpjpe_mm
from tasks.synthetic.paths import RATE_HZ

FRAMES = 64
SPEEDS = {8: "lively", 20: "everyday", 50: "slow"}
"""Frames from one drawn pose to the next."""
WINDOWS = (9, 15, 21)
LENGTHS = (16, 64, 128, 256)
_HANDS = (skeleton.SMPLX_LEFT_HAND, skeleton.SMPLX_RIGHT_HAND)
SHAKE = "shake"
COLUMNS = (
    *ERRORS,
    Column(title="acceleration mm/s²", text=spread(SHAKE)),
    Column(title="ms a frame", text=mean("ms", "{:.1f}")),
)
HAND_COLUMNS = (
    METHOD,
    Column(title="hidden hand PA mm", text=spread("hidden")),
    Column(title="hands in sight PA mm", text=spread("seen")),
    Column(title="hidden hands", text=lambda row: str(len(row["hidden"]))),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """States of one method, and how long they took."""

    state: State
    """Of all rows."""
    seconds: float | None = None
    """Processor time; None for what follows another method in no time."""


def by_refine(bench: Bench, people: ClipPeople, *, shared: bool) -> Fitted:
    """Every frame by itself, with the shape that the frames of a clip share or of its own."""
    person = people.clips.clip if shared else None
    given = bench.body, people.observations, people.coarse, people.camera, None, person
    return _fitted(bench, people, *timed(lambda: refine(*given), CPU))


def by_clips(bench: Bench, people: ClipPeople) -> Fitted:
    """All frames of a clip in one fit."""
    given = bench.body, people.observations, people.coarse, people.camera, people.clips
    return _fitted(bench, people, *timed(lambda: refine_clips(*given).people, CPU))


def _fitted(bench: Bench, people: ClipPeople, result: RefineResult, seconds: float) -> Fitted:
    return Fitted(state=state_of_parameters(bench.body, result.parameters, people.truth), seconds=seconds)


def row_of(bench: Bench, name: str, people: ClipPeople, found: Fitted, rows: Tensor | None = None) -> Row:
    """Errors over all frames, or some of them."""
    everyone = torch.arange(len(people.clips.clip))
    errors = errors_of(bench.body, found.state, people.truth)
    if rows is not None:
        errors = {measure: value[rows.numpy()] for measure, value in errors.items()}
    row: Row = {"method": name, **errors, SHAKE: shaking(bench.body, found.state, people)}
    if found.seconds is not None:
        row["ms"] = np.full(1, 1e3 * found.seconds / len(everyone))
    return row


def shaking(body: SparseBody, state: State, people: ClipPeople) -> np.ndarray:
    """Errors of the acceleration of the 22 joints, pelvis on pelvis, in mm/s²."""
    frames = int((people.clips.clip == people.clips.clip[0]).sum())
    off = body.forward(state).joints - body.forward(people.truth).joints
    off = off[:, : skeleton.NUM_MAIN_JOINTS].double().unflatten(0, (-1, frames))
    change = off[:, 2:] - 2 * off[:, 1:-1] + off[:, :-2]
    return (1e3 * RATE_HZ**2 * change.norm(dim=-1)).mean(-1).flatten().numpy()


def motion_cases(bench: Bench) -> list[Row]:
    """Everyday motion, lively and slow."""
    rows = []
    for spacing, speed in SPEEDS.items():
        people = make_clips(bench.body, bench.clips, FRAMES, seed=bench.seed, spacing=spacing)
        shared = by_refine(bench, people, shared=True)
        rows += [
            row_of(bench, f"{speed}: frames alone", people, by_refine(bench, people, shared=False)),
            row_of(bench, f"{speed}: one shape", people, shared),
            *(
                row_of(
                    bench,
                    f"{speed}: one shape, window of {size}",
                    people,
                    Fitted(state=smoothed(bench.body, shared.state, savgol(FRAMES, size), FRAMES)),
                )
                for size in WINDOWS
            ),
            row_of(bench, f"{speed}: clip in one fit", people, by_clips(bench, people)),
        ]
    return rows


def gap_cases(bench: Bench) -> list[Row]:
    """Two gaps a clip in which nobody is seen: errors there, but for the last row of each."""
    rows = []
    for length in (5, 10, 15):
        gaps = ((12, length), (40, length))
        people = make_clips(bench.body, bench.clips, FRAMES, seed=bench.seed, gaps=gaps)
        seen = torch.isfinite(people.observations.sigma_px).any(1)
        inside, outside = torch.nonzero(~seen).squeeze(1), torch.nonzero(seen).squeeze(1)
        between = Fitted(state=interpolated(by_refine(bench, people, shared=True).state, seen, FRAMES))
        joint = by_clips(bench, people)
        name = f"gaps of {length}"
        rows += [
            row_of(bench, f"{name}: one shape, interpolated", people, between, inside),
            row_of(
                bench,
                f"{name}: the same, window of 15",
                people,
                Fitted(state=smoothed(bench.body, between.state, savgol(FRAMES, 15), FRAMES)),
                inside,
            ),
            row_of(bench, f"{name}: clip in one fit", people, joint, inside),
            row_of(bench, f"{name}: clip, frames outside", people, joint, outside),
        ]
    return rows


def swap_cases(bench: Bench) -> list[Row]:
    """Left and right swapped by the detector, for one to three frames on end, six of 64: errors there."""
    right = make_clips(bench.body, bench.clips, FRAMES, seed=bench.seed)
    rows = (torch.arange(bench.clips)[:, None] * FRAMES + torch.tensor([9, 22, 23, 40, 41, 42])).flatten()
    found = [row_of(bench, "clip in one fit, nothing swapped", right, by_clips(bench, right), rows)]
    for name, points in (("legs", LEGS), ("everything", EVERYTHING)):
        people = with_sides_swapped(right, rows, points)
        shared = by_refine(bench, people, shared=True)
        found += [
            row_of(bench, f"{name}: frames alone", people, by_refine(bench, people, shared=False), rows),
            row_of(bench, f"{name}: one shape", people, shared, rows),
            *(
                row_of(
                    bench,
                    f"{name}: one shape, window of {size}",
                    people,
                    Fitted(state=smoothed(bench.body, shared.state, savgol(FRAMES, size), FRAMES)),
                    rows,
                )
                for size in WINDOWS
            ),
            row_of(bench, f"{name}: clip in one fit", people, by_clips(bench, people), rows),
        ]
    return found


def hand_cases(bench: Bench) -> list[Row]:
    """Each hand hidden for a while."""
    rows = []
    for length in (15, 30):
        hidden = ((10, length, 0), (30, length, 1))
        people = make_clips(bench.body, bench.clips, FRAMES, seed=bench.seed, hand_gaps=hidden)
        seen = people.coarse.hand_valid
        alone = by_refine(bench, people, shared=True).state
        between = alone.hand_pca.clone()
        for side in range(2):
            between[:, side] = interpolated(alone, seen[:, side], FRAMES).hand_pca[:, side]
        bridged = replace(alone, hand_pca=between)
        methods = {
            "frames alone: a relaxed hand": alone,
            "interpolated": bridged,
            "interpolated, window of 15": smoothed(bench.body, bridged, savgol(FRAMES, 15), FRAMES),
            "clip in one fit": by_clips(bench, people).state,
        }
        for name, state in methods.items():
            errors = torch.stack(_hand_errors(bench.body, state, people.truth), 1)
            row: Row = {"method": f"hidden for {length}: {name}"}
            rows.append(row | {"hidden": errors[~seen].numpy(), "seen": errors[seen].numpy()})
    return rows


def _hand_errors(body: SparseBody, found: State, truth: State) -> list[Tensor]:
    """Errors (R,) of each hand, wrist and fingers, aligned."""
    joints, true = body.forward(found).joints, body.forward(truth).joints
    parts = [[wrist, *range(own.start, own.stop)] for wrist, own in zip(skeleton.WRISTS, _HANDS, strict=True)]
    return [pa_mpjpe_mm(joints[:, part], true[:, part]).double() for part in parts]


def length_cases(bench: Bench) -> list[Row]:
    """The first frames of the same clips, more and more of them; to the longest that are fitted at once."""
    longest = max(LENGTHS)
    drawn, rows = make_clips(bench.body, bench.clips, longest, seed=bench.seed), []
    for frames in LENGTHS:
        people = take_rows(drawn, torch.arange(bench.clips * longest).view(-1, longest)[:, :frames].flatten())
        rows += [
            row_of(bench, f"{frames} frames: one shape", people, by_refine(bench, people, shared=True)),
            row_of(bench, f"{frames} frames: clip in one fit", people, by_clips(bench, people)),
        ]
    return rows


def view_cases(bench: Bench) -> list[Row]:
    """Clips of 40 frames seen by four cameras: errors in the frame of the first."""
    frames, num_views = 40, 4
    people, clip = make_view_clips(bench.body, bench.clips, frames, num_views, seed=bench.seed)
    given = bench.body, people.observations, people.coarse, people.camera, people.rig
    rows = torch.arange(0, len(clip), num_views)
    truth = take_rows(people.truth, rows)
    own = ClipPeople(
        truth=truth,
        observations=take_rows(people.observations, rows),
        coarse=take_rows(people.coarse, rows),
        camera=take_rows(people.camera, rows),
        clips=Clips(clip=clip[rows], time_s=people.rig.time_s[rows]),
    )

    def fitted(result: RefineResult, seconds: float) -> Fitted:
        parameters = take_rows(result.parameters, rows)
        return Fitted(state=state_of_parameters(bench.body, parameters, truth), seconds=seconds)

    config = RigConfig(rotation_sigma_deg=0.3, refine_extrinsics=True)
    off = (*given[:-1], disturbed(people.rig, 0.5, 0.01))
    alone = fitted(*timed(lambda: refine_views(*given).people, CPU))
    shared = fitted(*timed(lambda: refine_views(*given, person_index=clip).people, CPU))
    name = "off by 0.5 degrees and 1 cm"
    methods = {
        "4 views, moments alone": alone,
        "4 views, one shape": shared,
        "4 views, one shape, window of 15": Fitted(
            state=smoothed(bench.body, shared.state, savgol(frames, 15), frames)
        ),
        "4 views, clip in one fit": fitted(*timed(lambda: refine_view_clips(*given, clip).views.people, CPU)),
        f"{name}: clip in one fit": fitted(*timed(lambda: refine_view_clips(*off, clip).views.people, CPU)),
        f"{name}: the same, extrinsics refined": fitted(
            *timed(lambda: refine_view_clips(*off, clip, rig_config=config).views.people, CPU)
        ),
    }
    return [row_of(bench, method, own, found) for method, found in methods.items()]


def prediction_cases(bench: Bench) -> list[Row]:
    """Frames as a regressor says them, without keypoints to fit them to; differences are of the means of clips."""
    every, rows = filters(FRAMES, WINDOWS).items(), []
    for spacing, speed in SPEEDS.items():
        people = make_clips(bench.body, bench.clips, FRAMES, seed=bench.seed, spacing=spacing)
        alone = make_predictions(bench.body, people, bench.clips, seed=bench.seed)
        one = with_one_shape(bench.body, alone, FRAMES)
        states = {"frames alone": alone, "one shape": one}
        states |= {f"one shape, {name}": smoothed(bench.body, one, own, FRAMES) for name, own in every}
        found = [row_of(bench, f"{speed}: {name}", people, Fitted(state=state)) for name, state in states.items()]
        rows += [*found, _change(bench, f"{speed}: `--smooth` less frames alone", found[0], found[-1])]
    return rows


def _change(bench: Bench, name: str, before: Row, after: Row) -> Row:
    """Differences of the mean errors of every clip."""
    measures = [measure for measure in before if measure != "method"]
    return {"method": name} | {
        measure: (after[measure] - before[measure]).reshape(bench.clips, -1).mean(1) for measure in measures
    }


CASES = {
    "motion": (motion_cases, COLUMNS),
    "gaps": (gap_cases, COLUMNS),
    "swaps": (swap_cases, COLUMNS),
    "hands": (hand_cases, HAND_COLUMNS),
    "length": (length_cases, COLUMNS),
    "view clips": (view_cases, COLUMNS),
    "predictions": (prediction_cases, COLUMNS[:-1]),
}

"""Several calibrated cameras, and points in 3D, against what is done without: each view alone, averaged, triangulated.

    python -m benchmarks.views                          the tables of docs/benchmarks.md
    python -m benchmarks.views --people 16 --seeds 0    a check of the program
    python -m benchmarks.views --cases rig wrong        some of the tables

People are those of `benchmarks.rig_people`, each before a ring of cameras of its own. Errors are those of the first row
of each moment that belongs to the person, in the frame of its camera. Processor time, one thread.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import roma
import torch
from torch import Tensor

from benchmarks.measure import timed
from benchmarks.rig_people import RigPeople, disturbed, in_camera, make_rig_people, other_person
from benchmarks.table import METHOD, Column, Row, markdown
from benchmarks.trial import state_of_parameters
from fitting.folding import solved
from fitting.points_3d import with_points
from fitting.prepare import check
from fitting.refine import RefineResult, refine
from fitting.rigs.inputs import Rig, RigConfig, Views
from fitting.rigs.joint import sightings_of
from fitting.rigs.refine import refine_views
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import take_rows
from model.body import skeleton
from model.body.assets import load_open_body
from model.imaging import camera as pinhole
from model.metrics.joints import mean_distance_mm, mpjpe_mm, pa_mpjpe_mm

CPU = torch.device("cpu")
MEASURES = {
    "abs": "absolute mm",
    "mpjpe": "MPJPE mm",
    "pa": "PA mm",
    "hand_pa": "hand PA mm",
    "head_scale": "head scale",
    "stature": "stature mm",
}
_HANDS = (skeleton.SMPLX_LEFT_HAND, skeleton.SMPLX_RIGHT_HAND)
_ANKLES = list(skeleton.ANKLES)


def _spread(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        form = "{:.3f} ± {:.3f}" if name == "head_scale" else "{:.3g} ± {:.2g}"
        return form.format(float(np.mean(row[name])), float(np.std(row[name])))

    return text


COLUMNS = (
    METHOD,
    *(Column(title=title, text=_spread(name)) for name, title in MEASURES.items()),
    Column(title="ms a person", text=lambda row: f"{np.mean(row['ms']):.1f}"),
    Column(title="note", text=lambda row: str(row.get("note", ""))),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What every case needs."""

    body: SparseBody
    """The open body."""
    people: int
    """In each case, of a seed."""
    seed: int


def errors_of(body: SparseBody, found: State, truth: State) -> dict[str, np.ndarray]:
    """Errors (B,) of states by the names of `MEASURES`."""
    (joints, place), (true_joints, true_place) = (
        (posed.joints, posed.translation[:, None]) for posed in (body.forward(found), body.forward(truth))
    )
    main, true_main = joints[:, : skeleton.NUM_MAIN_JOINTS], true_joints[:, : skeleton.NUM_MAIN_JOINTS]
    hands = [
        pa_mpjpe_mm(joints[:, rows], true_joints[:, rows])
        for rows in ([wrist, *range(own.start, own.stop)] for wrist, own in zip(skeleton.WRISTS, _HANDS, strict=True))
    ]

    def stature(state: State) -> Tensor:
        rest = body.joints.rest + torch.einsum("jcs,bs->bjc", body.joints.directions, state.coefficients)
        return 1e3 * (rest[:, skeleton.HEAD, 1] - rest[:, _ANKLES, 1].mean(1))

    found_scale, true_scale = (torch.exp(state.log_head_scale) for state in (found, truth))
    errors = {
        "abs": mean_distance_mm(main + place, true_main + true_place),
        "mpjpe": mpjpe_mm(main, true_main),
        "pa": pa_mpjpe_mm(main, true_main),
        "hand_pa": torch.stack(hands).mean(0),
        "head_scale": (found_scale - true_scale).abs().mean(1),
        "stature": (stature(found) - stature(truth)).abs(),
    }
    return {name: value.double().numpy() for name, value in errors.items()}


def _row(bench: Bench, name: str, people: RigPeople, result: RefineResult, rows: Tensor, seconds: float) -> Row:
    """Errors of some rows (M,), one a moment, of a result."""
    truth = take_rows(people.truth, rows)
    state = state_of_parameters(bench.body, take_rows(result.parameters, rows), truth)
    return {"method": name, **errors_of(bench.body, state, truth), "ms": np.full(len(rows), 1e3 * seconds / len(rows))}


def merged(rows: list[Row]) -> Row:
    """Rows of the same method of several seeds as one."""
    measures = (*MEASURES, "ms")
    return rows[0] | {name: np.concatenate([row[name] for row in rows]) for name in measures} | _notes(rows)


def _notes(rows: list[Row]) -> Row:
    shares = [row["dropped"] for row in rows if "dropped" in row]
    if not shares:
        return {}
    wrong, right = np.mean(shares, 0)
    said = "" if np.isnan(wrong) else f"wrong views dropped {100 * wrong:.0f} %, "
    return {"note": f"{said}right views dropped {100 * right:.1f} %"}


def by_rig(
    bench: Bench,
    name: str,
    people: RigPeople,
    *,
    rig: Rig | None = None,
    config: RigConfig | None = None,
    person_index: Tensor | None = None,
    wrong: tuple[int, ...] = (),
) -> Row:
    """The joint fit of all views; `wrong` are those of another person."""
    num_views = int((people.rig.moment == 0).sum())
    given = bench.body, people.observations, people.coarse, people.camera, rig or people.rig, None, config, person_index
    result, seconds = timed(lambda: refine_views(*given), CPU)
    rows = torch.arange(len(people.rig.moment)).view(-1, num_views)
    is_wrong = torch.zeros(num_views, dtype=torch.bool)
    is_wrong[list(wrong)] = True
    first = int((~is_wrong).int().argmax())
    row = _row(bench, name, people, result.people, rows[:, first], seconds)
    if num_views == 1:
        return row
    joined = result.joined.view(-1, num_views)
    dropped = [float((~joined[:, part]).double().mean()) if part.any() else np.nan for part in (is_wrong, ~is_wrong)]
    return row | {"dropped": dropped}


def each_alone(bench: Bench, name: str, people: RigPeople, *, shared: bool, averaged: bool) -> Row:
    """Every view by itself; or the mean of its views' bodies, each turned into the frame of the first."""
    num_views = int((people.rig.moment == 0).sum())
    person = people.rig.moment if shared else None
    given = bench.body, people.observations, people.coarse, people.camera, None, person
    result, seconds = timed(lambda: refine(*given), CPU)
    count = len(people.rig.moment) // num_views
    if not averaged:
        row = _row(bench, name, people, result, torch.arange(count * num_views), seconds)
        return row | {"ms": np.full(count, 1e3 * seconds / count)}
    truth, body = people.truth, bench.body
    state = state_of_parameters(body, result.parameters, truth)
    rows = torch.arange(count * num_views).view(count, num_views)
    turn, shift = people.rig.rotation.to(body.dtype), people.rig.translation_m.to(body.dtype)
    first = rows[:, :1].expand_as(rows).flatten()
    back = turn[first] @ turn.transpose(-1, -2)
    own = in_camera(body, state, back, shift[first] - (back @ shift[..., None]).squeeze(-1))

    def mean(value: Tensor) -> Tensor:
        return value.unflatten(0, (count, num_views)).mean(1)

    def turned(value: Tensor) -> Tensor:
        found = roma.special_procrustes(mean(value))
        assert isinstance(found, Tensor)
        return found

    place = mean(pinhole.position_to_transl(own.position))
    middle = replace(
        take_rows(own, rows[:, 0]),
        global_orient=turned(own.global_orient),
        body_pose=turned(own.body_pose),
        hand_pca=mean(own.hand_pca),
        coefficients=mean(own.coefficients),
        log_head_scale=mean(own.log_head_scale),
        position=pinhole.transl_to_position(place),
    )
    errors = errors_of(body, middle, take_rows(truth, rows[:, 0]))
    return {"method": name, **errors, "ms": np.full(count, 1e3 * seconds / count)}


def triangulated_first(bench: Bench, name: str, people: RigPeople) -> Row:
    """Points from all views that see them, robustly, and a fit to those points alone."""
    body, views = bench.body, Views.of(people.rig.moment)
    rows = views.row[:, 0]

    def fit() -> RefineResult:
        ready = check(body, people.observations, people.coarse, people.camera, RefineConfig())
        zero = torch.zeros(len(rows), dtype=torch.int64)
        seen = sightings_of(ready.people, people.rig, views, views.present, zero)
        inner = seen.precision.clone()
        inner[..., skeleton.CONTOUR] = 0
        seen = replace(seen, precision=inner * ((inner > 0).sum(1, keepdim=True) > 1))
        points = seen.triangulated().nan_to_num(0.0)
        for scale in (20.0, 4.0, 4.0):
            folded = seen.fold(points, scale)
            points = points + solved(folded).nan_to_num(0.0)
        xx, xy, xz, yy, yz, zz = folded.information
        matrix = torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], -1).unflatten(-1, (3, 3))
        known = (seen.precision > 0).any(1)
        spread = torch.linalg.inv(torch.where(known[..., None, None], matrix, torch.eye(3)))
        sigma = (spread.diagonal(dim1=-2, dim2=-1).sum(-1) / 3).sqrt()
        sigma = torch.where(known & torch.isfinite(sigma), sigma, torch.inf)
        own = take_rows(people.observations, rows)
        own = replace(own, sigma_px=torch.full_like(own.sigma_px, torch.inf))
        coarse, camera = take_rows(people.coarse, rows), take_rows(people.camera, rows)
        return refine(body, with_points(own, "wholebody", points, sigma), coarse, camera)

    result, seconds = timed(fit, CPU)
    everyone = take_rows(people, rows)
    return _row(bench, name, everyone, result, torch.arange(len(rows)), seconds)


def with_3d(bench: Bench, name: str, people: RigPeople, points: slice | None, sigma_m: float, *, image: bool) -> Row:
    """One view, and some of the 133 points or, for None, the 22 joints in 3D; without the image where told."""
    posed = bench.body.forward(people.truth)
    true = posed.points_cam if points is not None else posed.joints + posed.translation[:, None]
    rng = np.random.default_rng([bench.seed, 23])
    noisy = true + torch.from_numpy(rng.normal(0, sigma_m, true.shape)).to(true)
    sigma = torch.full(true.shape[:2], torch.inf)
    sigma[:, points if points is not None else slice(0, skeleton.NUM_MAIN_JOINTS)] = sigma_m
    observations = people.observations
    if not image:
        observations = replace(observations, sigma_px=torch.full_like(observations.sigma_px, torch.inf))
    observations = with_points(observations, "wholebody" if points is not None else "smplx", noisy, sigma)
    result, seconds = timed(lambda: refine(bench.body, observations, people.coarse, people.camera), CPU)
    return _row(bench, name, people, result, torch.arange(len(sigma)), seconds)


def rig_cases(bench: Bench) -> list[Row]:
    """More and more cameras."""
    rows = []
    for num_views, arc in ((1, 360), (2, 20), (2, 90), (3, 360), (4, 360), (8, 360), (15, 360)):
        people = make_rig_people(bench.body, bench.people, num_views, seed=bench.seed, arc_deg=arc)
        rows.append(by_rig(bench, f"{num_views} views, arc {arc}", people))
    return rows


def baseline_cases(bench: Bench) -> list[Row]:
    """Four views without a joint fit."""
    people = make_rig_people(bench.body, bench.people, 4, seed=bench.seed)
    return [
        each_alone(bench, "each of 4 views alone", people, shared=False, averaged=False),
        each_alone(bench, "mean of 4 views alone", people, shared=False, averaged=True),
        each_alone(bench, "each of 4 views, shape shared", people, shared=True, averaged=False),
        each_alone(bench, "mean of 4 views, shape shared", people, shared=True, averaged=True),
        triangulated_first(bench, "4 views triangulated first", people),
        by_rig(bench, "4 views in one fit", people),
    ]


def calibration_cases(bench: Bench) -> list[Row]:
    """Cameras that are not where they are said to be; the first of each rig is."""
    people, rows = make_rig_people(bench.body, bench.people, 4, seed=bench.seed), []
    for off_deg, off_m in ((0.0, 0.0), (0.25, 0.005), (0.5, 0.01), (1.0, 0.02)):
        name = f"4 views, off by {off_deg} degrees and {100 * off_m:.1f} cm"
        rows.append(by_rig(bench, name, people, rig=disturbed(people.rig, off_deg, off_m)))
    persons, frames = max(1, bench.people // 24), 40
    clips = make_rig_people(bench.body, persons, 4, seed=bench.seed, frames=frames)
    index = torch.arange(persons).repeat_interleave(4 * frames)
    off = disturbed(clips.rig, 0.5, 0.01)
    config = RigConfig(rotation_sigma_deg=0.3, refine_extrinsics=True)
    return [
        *rows,
        by_rig(bench, "40 frames, the true rig", clips, person_index=index),
        by_rig(bench, "40 frames, off by 0.5 degrees and 1 cm", clips, rig=off, person_index=index),
        by_rig(bench, "the same, extrinsics refined", clips, rig=off, config=config, person_index=index),
        by_rig(bench, "the same, frames of people of their own", clips, rig=off, config=config),
    ]


def wrong_cases(bench: Bench) -> list[Row]:
    """Views of another person."""
    rows = []
    for num_views, wrong in ((3, ()), (3, (2,)), (4, (3,)), (4, (0,)), (4, (1, 2)), (8, (0,)), (2, ()), (2, (1,))):
        arc = 90.0 if num_views == 2 else 360.0
        people = make_rig_people(bench.body, bench.people, num_views, seed=bench.seed, arc_deg=arc)
        for view in wrong:
            people = other_person(people, num_views, view)
        which = f"{' and '.join(map(str, wrong))} of another person" if wrong else "all right"
        rows.append(by_rig(bench, f"{num_views} views, {which}", people, wrong=wrong))
    return rows


def point_cases(bench: Bench) -> list[Row]:
    """Points known in 3D."""
    people = make_rig_people(bench.body, bench.people, 1, seed=bench.seed)
    kinds = {"17 body points": slice(0, 17), "23 with feet": slice(0, 23), "all 133": slice(0, 133), "22 joints": None}
    return [
        with_3d(bench, f"{name}, {100 * sigma:.0f} cm, {with_image} an image", people, points, sigma, image=image)
        for sigma in (0.01, 0.02)
        for name, points in kinds.items()
        for with_image, image in (("with", True), ("without", False))
    ]


CASES: dict[str, Callable[[Bench], list[Row]]] = {
    "rig": rig_cases,
    "baseline": baseline_cases,
    "calibration": calibration_cases,
    "wrong": wrong_cases,
    "points": point_cases,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=96, help="of each case and seed; frames are of a 24th as many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    print(f"{options.people} people of each seed {options.seeds}; mean ± standard deviation over people.\n")
    for case in options.cases:
        found = [CASES[case](Bench(body=body, people=options.people, seed=seed)) for seed in options.seeds]
        rows = [merged(list(same)) for same in zip(*found, strict=True)]
        print(f"**{case}**\n\n{markdown(rows, COLUMNS)}\n", flush=True)


if __name__ == "__main__":
    main()

"""Ways from several calibrated views, or from points in 3D, to a person, and how far each is off."""

from dataclasses import replace

import numpy as np
import roma
import torch
from torch import Tensor

from benchmarks.cases import Bench
from benchmarks.measure import timed
from benchmarks.rig_people import RigPeople, in_camera
from benchmarks.table import Row
from benchmarks.trial import state_of_parameters
from fitting.folding import solved
from fitting.points_3d import with_points
from fitting.prepare import check
from fitting.refine import RefineResult, refine
from fitting.rigs.inputs import Rig, Views
from fitting.rigs.joint import sightings_of
from fitting.rigs.refine import refine_views
from fitting.rigs.settings import RigConfig
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import take_rows
from model.body import skeleton
from model.imaging import camera as pinhole
from model.metrics.joints import mean_distance_mm, mpjpe_mm, pa_mpjpe_mm

CPU = torch.device("cpu")
_HANDS = (skeleton.SMPLX_LEFT_HAND, skeleton.SMPLX_RIGHT_HAND)
_ANKLES = list(skeleton.ANKLES)


def errors_of(body: SparseBody, found: State, truth: State) -> dict[str, np.ndarray]:
    """Errors (B,) of states by the names of `benchmarks.cases.MEASURES`."""
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
    dropped = [(~joined[:, part]).double().flatten().numpy() for part in (is_wrong, ~is_wrong)]
    return row | {"wrong_dropped": dropped[0], "right_dropped": dropped[1]}


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
        spread = torch.linalg.inv_ex(matrix).inverse
        sigma = (spread.diagonal(dim1=-2, dim2=-1).sum(-1) / 3).sqrt()
        sigma = torch.where(known & (sigma > 0), sigma, torch.inf)
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

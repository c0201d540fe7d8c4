"""Points in 3D that say how a person stands and not where, beside one view: ways to take them.

Noise is that of marker and multi-view data carried over to a body model's joints: a standard deviation an axis, the
same stated. Every row of a table is of the same people and the same noise.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import ERRORS, Bench, mean
from benchmarks.rig_people import RigPeople, make_rig_people
from benchmarks.table import Column, Row
from benchmarks.trial import state_of_parameters
from benchmarks.view_methods import errors_of
from fitting.inputs import Observations
from fitting.keypoint_term import precision_of
from fitting.points_3d import with_points
from fitting.refine import RefineResult, refine
from model.imaging import camera as pinhole

_LIMBS, _BODY = slice(5, 17), slice(0, 17)
_HIPS = [11, 12]
_ROUNDS = 8
"""Of root subtraction, after which the middle of the hips stays."""
_GROSS_M = 0.3


def relative_cases(bench: Bench) -> list[Row]:
    """Shoulders to ankles, as data sets of markers have them, or all 17 points."""
    people = make_rig_people(bench.body, bench.people, 1, seed=bench.seed)
    rows = [_row(bench, "one view alone", people, people.observations)]
    for name, points, sigma, gross in (
        ("12 limb points, 2 cm", _LIMBS, 0.02, 0.0),
        ("12 limb points, 4 cm", _LIMBS, 0.04, 0.0),
        ("17 body points, 2 cm", _BODY, 0.02, 0.0),
        ("17 body points, 2 cm, a tenth 30 cm off", _BODY, 0.02, 0.1),
    ):
        rows += _ways(bench, name, people, _noisy(bench, people, sigma, gross), points, sigma)
    noisy = _noisy(bench, people, 0.02, 0.0)
    for factor in (0.25, 0.5, 2.0, 4.0):
        observations = _stated(people, noisy, _BODY, 0.02 * factor, relative=True)
        name = f"17 body points, 2 cm, but for a shift, stated {100 * 0.02 * factor:g} cm"
        rows.append(_row(bench, name, people, observations))
    return rows


CASES = {"relative": (relative_cases, (*ERRORS, Column(title="pelvis depth mm", text=mean("depth", "{:.0f}"))))}


def _noisy(bench: Bench, people: RigPeople, sigma_m: float, gross: float) -> Tensor:
    """Places (B, 133, 3) in the camera, some of them grossly off."""
    true = bench.body.forward(people.truth).points_cam
    rng = np.random.default_rng([bench.seed, 29])
    noise = rng.normal(0, sigma_m, true.shape)
    direction = rng.normal(0, 1, true.shape)
    far = direction / np.linalg.norm(direction, axis=-1, keepdims=True) * _GROSS_M
    is_gross = rng.random(true.shape[:2]) < gross
    return true + torch.from_numpy(np.where(is_gross[..., None], far, noise)).to(true)


def _ways(bench: Bench, name: str, people: RigPeople, noisy: Tensor, points: slice, sigma_m: float) -> list[Row]:
    """The same points taken in every way."""
    placed = noisy + _shift_by_photo(people.observations, noisy, points, people)
    ways = {
        "placed where the photo shows them": _stated(people, placed, points, sigma_m, relative=False),
        "but for a shift": _stated(people, noisy, points, sigma_m, relative=True),
        "places known": _stated(people, noisy, points, sigma_m, relative=False),
    }
    rows = [_row(bench, f"{name}, {way}", people, observations) for way, observations in ways.items()]
    by_root = _by_root(bench, f"{name}, hips on hips", people, next(iter(ways.values())), noisy)
    return [by_root, *rows]


def _stated(people: RigPeople, places: Tensor, points: slice, sigma_m: float, *, relative: bool) -> Observations:
    sigma = torch.full(places.shape[:2], torch.inf)
    sigma[:, points] = sigma_m
    flags = torch.full((len(places),), relative)
    return with_points(people.observations, "wholebody", places, sigma, flags)


def _shift_by_photo(observations: Observations, noisy: Tensor, points: slice, people: RigPeople) -> Tensor:
    """Shifts (B, 1, 3) of points to where their keypoints are seen, by least squares without those that are far off."""
    seen, camera = observations.keypoints_px[:, points], people.camera
    target = pinhole.from_pixels(seen, camera)
    base = precision_of(observations.sigma_px, observations.keypoints_px)[:, points]
    own = noisy[:, points] - noisy[:, points].mean(1, keepdim=True)
    weight, place = base, torch.zeros_like(own[:, :1])
    for _ in range(8):
        place = pinhole.fitted_translation(own, target, weight.square())[:, None]
        off = (pinhole.project(own + place, camera) - seen).square().sum(-1).sqrt() * base
        weight = base / (1 + (off / 12).square())
    return place - noisy[:, points].mean(1, keepdim=True)


def _by_root(bench: Bench, name: str, people: RigPeople, observations: Observations, noisy: Tensor) -> Row:
    """From points that the photo placed on: with the middle of their hips where the fit has it, again and again."""
    result = refine(bench.body, observations, people.coarse, people.camera)
    for _ in range(_ROUNDS):
        state = state_of_parameters(bench.body, result.parameters, people.truth)
        shift = (bench.body.forward(state).points_cam - noisy)[:, _HIPS].mean(1, keepdim=True)
        moved = replace(observations, points_m=noisy + shift)
        result = refine(bench.body, moved, people.coarse, people.camera)
    return _errors(bench, name, people, result)


def _row(bench: Bench, name: str, people: RigPeople, observations: Observations) -> Row:
    return _errors(bench, name, people, refine(bench.body, observations, people.coarse, people.camera))


def _errors(bench: Bench, name: str, people: RigPeople, result: RefineResult) -> Row:
    state = state_of_parameters(bench.body, result.parameters, people.truth)
    depth = result.parameters.known("transl_m")[:, 2] - bench.body.forward(people.truth).translation[:, 2]
    errors = errors_of(bench.body, state, people.truth)
    return {"method": name, **errors, "depth": 1e3 * depth.abs().double().numpy()}

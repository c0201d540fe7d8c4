"""The score: what it falls with, what it does not depend on, and what it is worth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.quality import KINDS, limit_of, rank_correlation, score, together
from benchmarks.synthetic_people import StudyConfig, SyntheticPeople, keep_keypoints, make_people
from fitting.quality import CALIBRATION, expected_error_mm, figures_of, quality_score
from fitting.refine import RefineResult, refine
from fitting.sparse_body import SparseBody
from model.imaging.camera import Camera

GOOD = {"model_mm": 15.0, "estimate_error_rad": 0.1, "body_sigma_rel": 0.01, "reproj_rel": 0.004}
GOOD |= {"joints_unseen": 0.05, "outliers": 0.05}
BAD = {"model_mm": 60.0, "estimate_error_rad": 0.4, "body_sigma_rel": 0.03, "reproj_rel": 0.02}
BAD |= {"joints_unseen": 0.5, "outliers": 0.4}


@pytest.fixture(scope="module")
def people(open_body_f64: SparseBody) -> SyntheticPeople:
    return make_people(open_body_f64, 8, seed=21)


@pytest.fixture(scope="module")
def refined(open_body_f64: SparseBody, people: SyntheticPeople) -> RefineResult:
    return refine(open_body_f64, people.observations, people.coarse, people.camera)


def score_of(figures: dict[str, float]) -> float:
    return quality_score(expected_error_mm({k: torch.tensor([v]) for k, v in figures.items()})).item()


@pytest.mark.parametrize("name", CALIBRATION)
def test_quality_falls_with_every_sign_of_trouble(name: str) -> None:
    assert 0 < score_of(BAD) < score_of(GOOD | {name: BAD[name]}) < score_of(GOOD) < 1


def test_quality_without_figures_is_zero() -> None:
    assert quality_score(torch.tensor([torch.nan])).item() == 0
    assert score_of(GOOD | {"model_mm": float("nan")}) == 0


def test_the_score_can_be_made_from_the_result_alone(refined: RefineResult) -> None:
    error = expected_error_mm(figures_of(refined.reprojection, refined.uncertainty, refined.joints_moved_rad))
    assert torch.allclose(error, refined.expected_error_mm, rtol=1e-12)
    assert torch.allclose(quality_score(error), refined.quality, rtol=1e-12)


def test_nothing_depends_on_the_size_of_the_image(
    open_body_f64: SparseBody, people: SyntheticPeople, refined: RefineResult
) -> None:
    zoom = 2.5
    observations = replace(
        people.observations,
        keypoints_px=zoom * people.observations.keypoints_px,
        sigma_px=zoom * people.observations.sigma_px,
    )
    camera = Camera(focal_px=zoom * people.camera.focal_px, principal_px=zoom * people.camera.principal_px)
    large = refine(open_body_f64, observations, people.coarse, camera)
    assert torch.allclose(large.quality, refined.quality, atol=1e-3)
    assert torch.allclose(large.reprojection.reproj_part_rel, refined.reprojection.reproj_part_rel, rtol=0.02)
    assert torch.allclose(large.reprojection.reproj_px, zoom * refined.reprojection.reproj_px, rtol=0.02)
    assert torch.allclose(large.uncertainty.pa_mpjpe_mm, refined.uncertainty.pa_mpjpe_mm, rtol=0.02)


def test_a_perfect_fit_scores_high(open_body_f64: SparseBody) -> None:
    exact = StudyConfig(
        noise_px=(0.0, 0.0),
        sigma_px=0.2,
        outlier_share=0,
        missing_share=0,
        body_error_deg=0.2,
        root_error_deg=0.2,
        hand_error_deg=0.2,
    )
    people = make_people(open_body_f64, 6, seed=3, config=exact)
    result = refine(open_body_f64, people.observations, people.coarse, people.camera)
    assert result.quality.min() > 0.95
    assert result.expected_error_mm.max() < 10


def test_the_expected_error_grows_with_the_noise(open_body_f64: SparseBody) -> None:
    means = []
    for noise in (0.5, 2.0, 8.0):
        config = StudyConfig(noise_px=(noise, noise), sigma_px=noise)
        people = make_people(open_body_f64, 6, seed=4, config=config)
        result = refine(open_body_f64, people.observations, people.coarse, people.camera)
        means.append((result.uncertainty.pa_mpjpe_mm.mean().item(), result.quality.mean().item()))
    errors, qualities = zip(*means, strict=True)
    assert errors[0] < errors[1] < errors[2]
    assert qualities[0] > qualities[1] > qualities[2]


def test_missing_legs_cost_quality(open_body_f64: SparseBody, people: SyntheticPeople, refined: RefineResult) -> None:
    upper = keep_keypoints(people.observations, [slice(0, 11), slice(23, 133)])
    result = refine(open_body_f64, upper, people.coarse, people.camera)
    assert (result.quality < refined.quality).all()
    assert (result.uncertainty.mpjpe_mm > refined.uncertainty.mpjpe_mm).all()


def test_what_each_term_costs_adds_up(refined: RefineResult) -> None:
    assert set(refined.term_costs) == {"KeypointTerm", "PoseNearnessTerm", "RotvecTerm", "GaussianTerm"}
    assert torch.allclose(torch.stack(list(refined.term_costs.values())).sum(0), refined.cost)


def test_a_fit_that_stays_has_not_moved(open_body_f64: SparseBody, people: SyntheticPeople) -> None:
    nothing = keep_keypoints(people.observations, [])
    result = refine(open_body_f64, nothing, people.coarse, people.camera)
    assert result.joints_moved_rad.abs().max() < 1e-4
    assert (result.quality == 0).all()


def test_distance_from_the_estimate_by_joint(people: SyntheticPeople, refined: RefineResult) -> None:
    turned = (people.coarse.body_pose.transpose(-1, -2) @ refined.parameters.body_pose).diagonal(dim1=-2, dim2=-1)
    assert torch.allclose(refined.joints_moved_rad[:, 1:].cos(), (turned.sum(-1) - 1) / 2, atol=1e-6)
    assert torch.allclose(22 * refined.moved_rad, refined.joints_moved_rad.sum(1))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("many kinds", 0.6), ("many kinds, errors unstated", 0.4)])
def test_quality_ranks_people_of_many_kinds(open_body: SparseBody, kind: str, least: float) -> None:
    """The filter must mean something where people differ: good and bad starts, sharp and blurred, whole and cut off."""
    scored = together([score(open_body, *people) for people in KINDS[kind](open_body, 240, 5)])
    assert rank_correlation(scored.expected_mm, scored.error_mm) > least
    assert abs(np.log(scored.expected_mm.mean() / scored.error_mm.mean())) < 0.35


@pytest.mark.slow
def test_within_one_kind_the_ranking_is_at_the_limit_of_luck(open_body: SparseBody) -> None:
    scored = together([score(open_body, *people) for people in KINDS["one kind"](open_body, 240, 6)])
    limit = limit_of(scored.model_mm, scored.spread_mm)
    assert limit < 0.45
    assert rank_correlation(scored.expected_mm, scored.error_mm) > limit - 0.2

"""The score: what it falls with, what it does not depend on, and what it is worth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.part_errors import CROPS, KINDS, PartErrors, in_crops, part_errors, rank_correlation
from benchmarks.quality import limit_of, score, together
from benchmarks.synthetic_people import StudyConfig, SyntheticPeople, keep_keypoints, make_people
from fitting.quality import BODY, CALIBRATIONS, FACE, HAND, Calibration, expected_errors_mm, figures_of, qualities
from fitting.refine import RefineResult, refine
from fitting.sparse_body import SparseBody
from model.imaging.camera import Camera

GOOD = {"model_mm": 15.0, "estimate_error_rad": 0.1, "sigma_rel": 0.01, "reproj_rel": 0.004}
GOOD |= {"joints_unseen": 0.05, "outliers": 0.05, "model_rad": 0.1, "unseen": 0.1, "turn_rad": 0.1}
BAD = {"model_mm": 60.0, "estimate_error_rad": 0.4, "sigma_rel": 0.05, "reproj_rel": 0.05}
BAD |= {"joints_unseen": 0.5, "outliers": 0.4, "model_rad": 0.5, "unseen": 0.8, "turn_rad": 1.5}
WEIGHED = [(own, name) for own in (BODY, HAND, FACE) for name, weight in own.weights_mm.items() if weight]


@pytest.fixture(scope="module")
def people(open_body_f64: SparseBody) -> SyntheticPeople:
    return make_people(open_body_f64, 8, seed=21)


@pytest.fixture(scope="module")
def refined(open_body_f64: SparseBody, people: SyntheticPeople) -> RefineResult:
    return refine(open_body_f64, people.observations, people.coarse, people.camera)


def score_of(calibration: Calibration, figures: dict[str, float]) -> float:
    error = calibration.expected_error_mm({k: torch.tensor([v]) for k, v in figures.items()})
    return calibration.quality(error).item()


@pytest.mark.parametrize(("own", "name"), WEIGHED, ids=lambda value: value if isinstance(value, str) else "")
def test_quality_falls_with_every_sign_of_trouble(own: Calibration, name: str) -> None:
    assert 0 < score_of(own, BAD) <= score_of(own, GOOD | {name: BAD[name]}) < score_of(own, GOOD) < 1


@pytest.mark.parametrize("own", [BODY, HAND, FACE])
def test_no_weight_is_negative_and_half_is_half(own: Calibration) -> None:
    assert own.base_mm >= 0
    assert min(own.weights_mm.values()) >= 0
    assert own.quality(torch.tensor([own.half_mm])).item() == 0.5


def test_a_quality_says_which_error_was_expected() -> None:
    errors = torch.tensor([0.0, 1.0, HAND.half_mm, 40.0], dtype=torch.float64)
    assert torch.allclose(HAND.error_mm(HAND.quality(errors)), errors)
    assert HAND.error_mm(torch.zeros(1)).isinf().all()


def test_quality_without_figures_is_zero() -> None:
    assert BODY.quality(torch.tensor([torch.nan])).item() == 0
    assert score_of(BODY, GOOD | {"model_mm": float("nan")}) == 0


def test_the_score_can_be_made_from_the_result_alone(refined: RefineResult) -> None:
    errors = expected_errors_mm(figures_of(refined.reprojection, refined.uncertainty, refined.joints_moved_rad))
    assert torch.allclose(errors, refined.expected_error_mm, rtol=1e-12)
    assert torch.allclose(qualities(errors), refined.quality, rtol=1e-12)
    assert refined.quality.shape == (len(errors), len(CALIBRATIONS))


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
    assert result.quality[:, 0].min() > 0.95
    assert result.quality[:, 1:].min() > 0.8
    assert result.expected_error_mm.max() < 10


@pytest.mark.long
def test_the_expected_error_grows_with_the_noise(open_body_f64: SparseBody) -> None:
    means = []
    for noise in (0.5, 2.0, 8.0):
        config = StudyConfig(noise_px=(noise, noise), sigma_px=noise)
        people = make_people(open_body_f64, 6, seed=4, config=config)
        result = refine(open_body_f64, people.observations, people.coarse, people.camera)
        means.append((result.uncertainty.pa_mpjpe_mm.mean().item(), result.quality[:, 0].mean().item()))
    errors, qualities = zip(*means, strict=True)
    assert errors[0] < errors[1] < errors[2]
    assert qualities[0] > qualities[1] > qualities[2]


def test_missing_legs_cost_quality(open_body_f64: SparseBody, people: SyntheticPeople, refined: RefineResult) -> None:
    upper = keep_keypoints(people.observations, [slice(0, 11), slice(23, 133)])
    result = refine(open_body_f64, upper, people.coarse, people.camera)
    assert (result.quality[:, 0] < refined.quality[:, 0]).all()
    assert torch.allclose(result.quality[:, 1:], refined.quality[:, 1:], atol=0.1), "legs say nothing of hands and face"
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


@pytest.mark.long
def test_a_portrait_has_a_good_face_and_a_poor_body(open_body: SparseBody) -> None:
    people = make_people(open_body, 16, seed=8, config=StudyConfig(noise_px=(0.5, 1.0), sigma_px=1.0))
    portrait = keep_keypoints(people.observations, CROPS["head only"])
    coarse = replace(people.coarse, body_valid=torch.zeros(16, dtype=torch.bool), hand_valid=torch.zeros(16, 2).bool())
    result = refine(open_body, portrait, coarse, people.camera)
    found = part_errors(open_body, people.truth, result)
    assert result.part_valid[:, 3].all()
    assert np.median(found.error_mm[:, 3]) < FACE.half_mm < BODY.half_mm < np.median(found.error_mm[:, 0])
    assert result.quality[:, 3].median() > 0.5
    assert result.quality[:, :3].max() < 0.4


@pytest.mark.slow
def test_qualities_of_hands_and_faces_rank_their_errors(open_body: SparseBody) -> None:
    found = PartErrors.joined([in_crops(open_body, crop, 48, 5) for crop in CROPS])
    for part, most in ((1, -0.7), (2, -0.7), (3, -0.5)):
        assert rank_correlation(found.quality[:, part], found.error_mm[:, part]) < most
    assert abs(np.log(found.expected_mm[:, 1:].mean(0) / found.error_mm[:, 1:].mean(0))).max() < 0.3


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


def test_what_no_residual_shows_is_expected_and_moves_no_fit(
    open_body_f64: SparseBody, people: SyntheticPeople, refined: RefineResult
) -> None:
    hidden = torch.tensor([0.0, 2.0, 3.0, 1.0], dtype=torch.float64).expand(len(refined.status), 4)
    told = replace(people.observations, hidden_error_mm=hidden)
    result = refine(open_body_f64, told, people.coarse, people.camera)
    assert torch.equal(result.keypoints_px, refined.keypoints_px)
    assert torch.allclose(result.expected_error_mm, refined.expected_error_mm + hidden)
    assert (result.quality[:, 1:] < refined.quality[:, 1:]).all()
    with pytest.raises(ValueError, match="hidden_error_mm"):
        replace(people.observations, hidden_error_mm=hidden[:, :3])

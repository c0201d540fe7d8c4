"""Several rows of one person: what they share is estimated together."""

from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import SyntheticPeople, make_people
from fitting.priors import Gaussian
from fitting.refine import RefineResult, Status, refine
from fitting.shared import MOST_ROWS, fuse, information, information_of_others, person_rows, shared_columns
from fitting.sparse_body import SparseBody
from fitting.unknowns import Layout
from model.batches import cat_rows, take_rows
from model.imaging import camera

FRAMES = 8
DOUBLE = torch.float64


def random_normal_matrix(count: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of a linear problem: matrices A (count, 2 size, size), right sides b, and A' A."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(count, 2 * size, size, generator=generator, dtype=DOUBLE)
    right = torch.randn(count, 2 * size, generator=generator, dtype=DOUBLE)
    return rows, right, rows.transpose(1, 2) @ rows


def test_fusing_a_linear_problem_gives_its_joint_optimum() -> None:
    count, size, columns = 5, 7, torch.tensor([1, 4])
    rows, right, data = random_normal_matrix(count, size)
    precision = torch.tensor([0.5, 2.0], dtype=DOUBLE).expand(count, 2)
    mean = torch.tensor([0.3, -0.2], dtype=DOUBLE).expand(count, 2)
    hessian, moment = data.clone(), (rows.transpose(1, 2) @ right[..., None]).squeeze(-1)
    for k, column in enumerate(columns):
        hessian[:, column, column] += precision[:, k]
        moment[:, column] += precision[:, k] * mean[:, k]
    single = torch.linalg.solve(hessian, moment)
    known = information(hessian, columns, precision)
    prior = Gaussian(mean=mean, precision=precision)
    everyone = torch.zeros(count, dtype=torch.int64)
    found = fuse(single[:, columns], known, prior, everyone, 1, torch.ones(count, dtype=torch.bool))

    # The joint problem: shared unknowns once, the others a copy a row.
    own = [k for k in range(size) if k not in columns.tolist()]
    total = len(columns) + count * len(own)
    left, moments = torch.zeros(total, total, dtype=DOUBLE), torch.zeros(total, dtype=DOUBLE)
    left[:2, :2], moments[:2] = torch.diag(precision[0]), precision[0] * mean[0]
    for i in range(count):
        places = torch.tensor([0, 1, *range(2 + i * len(own), 2 + (i + 1) * len(own))])
        order = torch.tensor([*columns.tolist(), *own])
        left[places[:, None], places] += data[i][order[:, None], order]
        moments[places] += (rows[i].T @ right[i])[order]
    expected = torch.linalg.solve(left, moments)[:2]
    assert torch.allclose(found, expected.expand(count, 2))


def test_shared_unknowns_are_shapes_and_scale() -> None:
    columns = shared_columns(Layout(num_coefficients=36), (10, 10, 10, 6))
    start = Layout(num_coefficients=36).coefficients.start
    assert columns.tolist() == [
        *range(start, start + 10),
        *range(start + 20, start + 30),
        *range(start + 36, start + 39),
    ]


def test_people_are_numbered_from_zero() -> None:
    number, count = person_rows(torch.tensor([70, 3, 70, 9]))
    assert number.tolist() == [2, 0, 2, 1]
    assert count == 3


def frames_of_one(body: SparseBody, seed: int, frames: int = FRAMES) -> SyntheticPeople:
    """Frames of one person: many poses, one shape of body and face, one head scale."""
    people = make_people(body, frames, seed=seed)
    truth = people.truth
    shape = truth.coefficients.clone()
    shape[:, :10], shape[:, 20:30] = shape[0, :10], shape[0, 20:30]
    same = replace(truth, coefficients=shape, log_head_scale=truth.log_head_scale[:1].expand(frames, 3).clone())
    clean = camera.project(body.forward(same).points_cam, people.camera)
    moved = people.observations.keypoints_px + clean - people.clean_px
    return replace(people, truth=same, clean_px=clean, observations=replace(people.observations, keypoints_px=moved))


@pytest.fixture(scope="module")
def two_people(open_body: SparseBody) -> SyntheticPeople:
    """Frames of two people by turns."""
    both = cat_rows([frames_of_one(open_body, 2), frames_of_one(open_body, 3)])
    return take_rows(both, torch.arange(2 * FRAMES).view(2, FRAMES).T.flatten())


PERSON = torch.tensor([7, 4]).repeat(FRAMES)


def shape_error(people: SyntheticPeople, result: RefineResult) -> tuple[float, float]:
    """Mean error of the betas in standard deviations, and of the head scale."""
    betas = (result.parameters.betas - people.truth.coefficients[:, :10]).abs().mean()
    scale = (result.parameters.head_scale - torch.exp(people.truth.log_head_scale)).abs().mean()
    return float(betas), float(scale)


@pytest.fixture(scope="module")
def together(open_body: SparseBody, two_people: SyntheticPeople) -> RefineResult:
    people = two_people
    return refine(open_body, people.observations, people.coarse, people.camera, person_index=PERSON)


def test_frames_of_a_person_share_what_does_not_change(together: RefineResult) -> None:
    for name in ("betas", "flame_shape", "head_scale"):
        value = getattr(together.parameters, name)
        for row in (0, 1):
            assert torch.equal(value[row::2], value[row].expand(FRAMES, -1)), name
        assert (value[0] - value[1]).abs().max() > 0.05, name
    assert together.converged.double().mean() > 0.9


def test_together_they_know_shape_and_scale_better(
    open_body: SparseBody, two_people: SyntheticPeople, together: RefineResult
) -> None:
    people = two_people
    single = shape_error(people, refine(open_body, people.observations, people.coarse, people.camera))
    shared = shape_error(people, together)
    assert shared[0] < 0.8 * single[0]
    assert shared[1] < 0.7 * single[1]


@pytest.mark.long
def test_many_frames_know_the_head_scale_better_too(open_body: SparseBody) -> None:
    frames = 64
    people = cat_rows([frames_of_one(open_body, seed, frames) for seed in (101, 103)])
    given = open_body, people.observations, people.coarse, people.camera
    shared = refine(*given, person_index=torch.arange(2).repeat_interleave(frames))
    assert shape_error(people, shared)[1] < 0.8 * shape_error(people, refine(*given))[1]


def test_rows_beyond_the_most_that_count_change_nothing_about_what_is_known() -> None:
    """Of equal rows, twice as many say the same, and so do the others of them to each."""
    count, size = 2 * MOST_ROWS, 3
    known = random_normal_matrix(1, size)[2].expand(count, -1, -1)
    own = torch.tensor([0.3, -0.1, 0.8], dtype=DOUBLE).expand(count, -1)
    prior = Gaussian(mean=torch.zeros_like(own), precision=torch.full_like(own, 2.0))
    person, use = torch.zeros(count, dtype=torch.int64), torch.ones(count, dtype=torch.bool)
    half = slice(0, MOST_ROWS)
    some = fuse(own[half], known[half], take_rows(prior, torch.arange(MOST_ROWS)), person[half], 1, use[half])
    assert torch.allclose(fuse(own, known, prior, person, 1, use)[0], some[0])
    others = information_of_others(known, person, 1, use)[0]
    assert torch.allclose(others, known[0] * (MOST_ROWS - MOST_ROWS / count))


def test_people_do_not_mix(open_body_f64: SparseBody) -> None:
    one, other = frames_of_one(open_body_f64, 2), frames_of_one(open_body_f64, 3)
    alone = refine(open_body_f64, one.observations, one.coarse, one.camera, person_index=torch.zeros(FRAMES).long())
    both = cat_rows([one, other])
    index = torch.arange(2).repeat_interleave(FRAMES)
    mixed = refine(open_body_f64, both.observations, both.coarse, both.camera, person_index=index)
    assert torch.allclose(mixed.parameters.betas[:FRAMES], alone.parameters.betas, atol=1e-6)
    assert (mixed.keypoints_px[:FRAMES] - alone.keypoints_px).abs().max() < 1e-3


def test_a_frame_without_keypoints_takes_the_shape_information_of_others(
    open_body: SparseBody, two_people: SyntheticPeople, together: RefineResult
) -> None:
    people = two_people
    sigma = people.observations.sigma_px.clone()
    sigma[4] = torch.inf
    observations = replace(people.observations, sigma_px=sigma)
    result = refine(open_body, observations, people.coarse, people.camera, person_index=PERSON)
    assert result.status[4] == Status.NO_DATA
    assert torch.equal(result.parameters.betas[4], result.parameters.betas[0])
    assert torch.isfinite(result.parameters.betas).all()
    assert torch.allclose(result.parameters.betas[1], together.parameters.betas[1], atol=1e-3)


def test_numbers_that_are_no_index_are_refused(open_body: SparseBody) -> None:
    people = make_people(open_body, 2, seed=0)
    with pytest.raises(ValueError, match="person_index"):
        refine(open_body, people.observations, people.coarse, people.camera, person_index=torch.zeros(3).long())


def test_what_is_stated_about_shared_unknowns_is_what_all_frames_say(
    open_body: SparseBody, two_people: SyntheticPeople, together: RefineResult
) -> None:
    """Eight frames know up to sqrt(8) times as well as one: so much where the frames, not the prior, decide."""
    alone = refine(open_body, two_people.observations, two_people.coarse, two_people.camera)
    ratio = together.uncertainty.log_head_scale_sigma / alone.uncertainty.log_head_scale_sigma
    assert ratio.min() > 8**-0.5
    assert ratio.max() < 0.8
    assert torch.allclose(torch.stack(list(together.term_costs.values())).sum(0), together.cost)

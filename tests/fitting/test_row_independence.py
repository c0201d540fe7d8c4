"""A person's result does not depend on who else is in the batch, nor on the place in it: float32, to the last digits.

Rounding must not depend on it either: where a step is just accepted or just not, the last bit decides the path.
"""

from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import SyntheticPeople, make_people
from fitting.prepare import prepare
from fitting.refine import RefineConfig, RefineResult, Status, refine
from fitting.sparse_body import SparseBody
from model.batches import take_rows


def refined(body: SparseBody, people: SyntheticPeople, rows: torch.Tensor, batch_size: int = 256) -> RefineResult:
    parts = (take_rows(part, rows) for part in (people.observations, people.coarse, people.camera))
    return refine(body, *parts, RefineConfig(batch_size=batch_size))


def furthest(one: RefineResult, other: RefineResult) -> float:
    """Largest difference of any parameter of the same people."""
    pairs = zip(one.label_columns().values(), other.label_columns().values(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def with_bad_rows(people: SyntheticPeople) -> tuple[SyntheticPeople, torch.Tensor]:
    """A twentieth of the people without keypoints, a twentieth with a NaN in the estimate; and which are healthy."""
    keypoints, pose = people.observations.keypoints_px.clone(), people.coarse.body_pose.clone()
    keypoints[3::20] = torch.nan
    pose[13::20, 4] = torch.nan
    healthy = torch.ones(len(pose), dtype=torch.bool)
    healthy[3::20] = healthy[13::20] = False
    seen = replace(people.observations, keypoints_px=keypoints)
    return replace(people, observations=seen, coarse=replace(people.coarse, body_pose=pose)), healthy


@pytest.fixture(scope="module")
def crowd(open_body: SparseBody) -> SyntheticPeople:
    return make_people(open_body, 256, seed=3)


def test_a_tenth_of_bad_rows_in_a_batch_of_256_touches_nobody(open_body: SparseBody, crowd: SyntheticPeople) -> None:
    people, healthy = with_bad_rows(crowd)
    together = refined(open_body, people, torch.arange(256))
    assert (together.status[~healthy] >= Status.NOT_FINITE).all()
    assert (together.status[healthy] == Status.CONVERGED).double().mean() > 0.99
    index = torch.nonzero(healthy).squeeze(1)
    alone = refined(open_body, people, index)
    assert furthest(alone, take_rows(together, index)) < 1e-4
    for row in index[:3]:
        assert furthest(refined(open_body, people, row[None]), take_rows(together, row[None])) < 1e-4


def test_order_and_batch_size_change_nothing(open_body: SparseBody, crowd: SyntheticPeople) -> None:
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    expected = refined(open_body, crowd, torch.arange(40))
    assert furthest(refined(open_body, crowd, order), take_rows(expected, order)) < 1e-6
    assert furthest(refined(open_body, crowd, torch.arange(40), batch_size=7), expected) < 1e-6


def test_people_without_an_estimate_are_independent_too(open_body: SparseBody, crowd: SyntheticPeople) -> None:
    lost = replace(crowd, coarse=replace(crowd.coarse, body_valid=torch.arange(256) % 5 > 0))
    together = refined(open_body, lost, torch.arange(20))
    alone = refined(open_body, lost, torch.tensor([5, 0]))
    assert furthest(alone, take_rows(together, torch.tensor([5, 0]))) < 1e-4


def test_rows_that_are_needed_are_linearised_as_among_all(open_body: SparseBody, crowd: SyntheticPeople) -> None:
    config, rows = RefineConfig(), torch.arange(32)
    problem = prepare(
        open_body, *(take_rows(part, rows) for part in (crowd.observations, crowd.coarse, crowd.camera)), config
    )
    terms, start = problem.terms(config.final_loss), problem.people.start
    forward = open_body.forward(start)
    expected = [value.clone() for value in terms.linearise(start, forward)]
    for needed in (torch.tensor([5]), torch.tensor([0, 3, 31])):
        found = terms.linearise(start, forward, needed)
        assert all(torch.equal(a[needed], b[needed]) for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
def test_in_float64_as_well(open_body_f64: SparseBody) -> None:
    people, healthy = with_bad_rows(make_people(open_body_f64, 256, seed=3))
    index = torch.nonzero(healthy).squeeze(1)
    together = refined(open_body_f64, people, torch.arange(256))
    assert furthest(refined(open_body_f64, people, index), take_rows(together, index)) < 1e-9

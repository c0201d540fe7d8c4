"""A person's result does not depend on who else is in the batch, nor on the place in it, in float32 to the last bit.

Rounding must not depend on it: where a step is just accepted or just not, the last bit decides the path.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from benchmarks.synthetic_people import SyntheticPeople, make_people
from fitting.refine import RefineConfig, RefineResult, Status, refine
from fitting.sparse_body import SparseBody
from model.batches import take_rows, tensors_of
from model.body.assets import EhmAssets


def refined(body: SparseBody, people: SyntheticPeople, rows: torch.Tensor, batch_size: int = 256) -> RefineResult:
    return refine(
        body,
        take_rows(people.observations, rows),
        take_rows(people.coarse, rows),
        take_rows(people.camera, rows),
        RefineConfig(batch_size=batch_size),
    )


def are_equal(one: RefineResult, other: RefineResult) -> bool:
    """Whether all figures of the same people have the same bits."""
    pairs = zip(tensors_of(one), tensors_of(other), strict=True)
    return all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in pairs)


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


@pytest.mark.long
@pytest.mark.promise(
    11,
    "A bad row of a batch changes no other row",
    "256 people, a tenth of them NaN or empty, against the healthy ones alone: below 1e-4 apart, no status changed",
)
def test_a_tenth_of_bad_rows_in_a_batch_of_256_touches_nobody(
    open_body: SparseBody, crowd: SyntheticPeople, measured: Callable[[str], None]
) -> None:
    people, healthy = with_bad_rows(crowd)
    together = refined(open_body, people, torch.arange(256))
    assert (together.status[~healthy] >= Status.NOT_FINITE).all()
    assert (together.status[healthy] == Status.CONVERGED).double().mean() > 0.99
    index = torch.nonzero(healthy).squeeze(1)
    alone = refined(open_body, people, index)
    assert are_equal(alone, take_rows(together, index))
    for row in index[:3]:
        assert are_equal(refined(open_body, people, row[None]), take_rows(together, row[None]))
    measured(f"{len(index)} healthy people beside {256 - len(index)} bad ones: every figure the same to the bit")


@pytest.mark.parametrize("assets", ["open_assets", pytest.param("open_paper_assets", marks=pytest.mark.long)])
def test_order_and_batch_size_change_nothing(assets: str, request: pytest.FixtureRequest) -> None:
    assert_independent(SparseBody.from_assets(request.getfixturevalue(assets)))


@pytest.mark.long
def test_nor_do_they_where_landmarks_have_corners_and_poses_correct(
    toy_assets: EhmAssets, toy_paper_assets: EhmAssets
) -> None:
    for assets in (toy_assets, toy_paper_assets):
        assert_independent(SparseBody.from_assets(assets), sizes=(1, 7))


def assert_independent(body: SparseBody, sizes: tuple[int, ...] = (1, 3, 7, 17)) -> None:
    crowd = make_people(body, 40, seed=3)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    expected = refined(body, crowd, torch.arange(40))
    assert are_equal(refined(body, crowd, order), take_rows(expected, order))
    for size in sizes:
        rows = order[: 2 * size + 1]  # The last batch is not full.
        assert are_equal(refined(body, crowd, rows, batch_size=size), take_rows(expected, rows))


@pytest.mark.long
def test_people_without_an_estimate_are_independent_too(open_body: SparseBody, crowd: SyntheticPeople) -> None:
    coarse = crowd.coarse
    parts = {"head_orient": coarse.global_orient, "wrist_orient": coarse.global_orient[:, None].repeat(1, 2, 1, 1)}
    lost = replace(crowd, coarse=replace(coarse, **parts, body_valid=torch.arange(256) % 5 > 0))
    together = refined(open_body, lost, torch.arange(20))
    for rows in (torch.tensor([5, 0]), torch.tensor([7])):
        assert are_equal(refined(open_body, lost, rows), take_rows(together, rows))


@pytest.mark.slow
def test_in_float64_up_to_rounding(open_body_f64: SparseBody) -> None:
    people, healthy = with_bad_rows(make_people(open_body_f64, 256, seed=3))
    index = torch.nonzero(healthy).squeeze(1)
    together = refined(open_body_f64, people, torch.arange(256))
    alone = refined(open_body_f64, people, index)
    pairs = zip(tensors_of(alone.parameters), tensors_of(take_rows(together.parameters, index)), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) < 1e-9

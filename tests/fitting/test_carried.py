"""Coefficients beyond the refined ones: they move the body as any others, and stay as they were estimated."""

from dataclasses import replace

import pytest
import torch
from jacobian_check import check_state
from toy_bodies import full_keypoints, random_state

from benchmarks.synthetic_people import make_people
from datasets_manifest.schema.ehm_fields import BodySize
from fitting.refine import refine
from fitting.result import parameters_of
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.body.assets import EhmAssets
from model.body.ehms import EHMs

WIDE = BodySize(num_betas=9, num_flame_shape=10, num_expression=8)


def with_carried(body: SparseBody, state: State) -> State:
    """The state with random coefficients beyond the refined ones."""
    assert body.carried is not None
    generator = torch.Generator().manual_seed(5)
    known = [torch.randn(len(state.position), n, generator=generator, dtype=torch.float64) for n in (9, 8, 10)]
    return replace(state, carried=body.carried.of(*(value.to(body.dtype) for value in known)))


@pytest.fixture(params=["blended", "paper"])
def narrow(request: pytest.FixtureRequest, toy_assets: EhmAssets) -> SparseBody:
    """A random body of which a part of the coefficients is refined."""
    assets = replace(toy_assets, fusion=request.param)
    counts = {"num_betas": 4, "num_expression": 3, "num_flame_shape": 5}
    return SparseBody.from_assets(assets, torch.float64, size=WIDE, **counts)


def test_they_move_the_keypoints_as_in_the_full_body(narrow: SparseBody, toy_assets: EhmAssets) -> None:
    fusion = "blended" if narrow.posed_head is None else "paper"
    model = EHMs(replace(toy_assets, fusion=fusion), WIDE).double()
    state = with_carried(narrow, random_state(narrow, 8))
    state = replace(state, contour_bin=narrow.contour_bin(state))
    assert parameters_of(narrow, state).size == WIDE
    full, sparse = full_keypoints(model, narrow, state), narrow.forward(state)
    assert (full.keypoints - sparse.points_cam).abs().max() < 1e-5
    plain = narrow.forward(replace(state, carried=None))
    assert (plain.points - sparse.points).abs().max() > 1e-3


def test_the_jacobian_knows_of_them(narrow: SparseBody) -> None:
    check_state(narrow, with_carried(narrow, random_state(narrow, 3)))


@pytest.mark.parametrize("fusion", ["blended", "paper"])
def test_a_fit_refines_the_leading_ones_and_leaves_the_others(open_assets: EhmAssets, fusion) -> None:
    wide = BodySize(num_betas=10, num_flame_shape=60, num_expression=30)
    assets = replace(open_assets, fusion=fusion)
    every = SparseBody.from_assets(assets, num_expression=30, num_flame_shape=60)
    people = make_people(every, 6, seed=2)
    truth = parameters_of(every, people.truth)
    coarse = replace(people.coarse, flame_shape=truth.flame_shape, flame_expression=truth.flame_expression)
    body = SparseBody.from_assets(assets, size=wide)
    found = refine(body, people.observations, coarse, people.camera).parameters
    assert found.size == wide
    for name in ("flame_shape", "flame_expression"):
        value, given = getattr(found, name), getattr(coarse, name)
        assert torch.equal(value[:, 10:], given[:, 10:])
        assert (value[:, :10] - given[:, :10]).abs().min() > 0


def test_without_more_than_are_refined_nothing_is_carried(toy_assets: EhmAssets) -> None:
    body = SparseBody.from_assets(toy_assets, size=BodySize(num_betas=5, num_flame_shape=10, num_expression=10))
    assert body.carried is None
    assert body.num_groups[:3] == (5, 10, 10)

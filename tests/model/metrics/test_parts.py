"""Vertices of hands and heads: which count, what the figures are of, and their laws."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from training_rig import TINY, random_parameters

from model.body.assets import load_open_body
from model.metrics.hands import hand_pa_pve_mm, hands_of_person
from model.metrics.head import head_errors
from model.metrics.joints import pa_mpjpe_mm, similarity_align
from model.metrics.person import PosedByParameters, person_errors

rng = np.random.default_rng(0)


def points(*shape):
    return torch.from_numpy(rng.normal(size=(*shape, 3)))


def test_alignment_is_by_all_vertices_the_mean_of_those_that_count():
    found, target = points(4, 30), points(4, 30)
    counts = torch.from_numpy(rng.random((4, 30)) < 0.5)
    counts[2] = False
    own = 1e3 * torch.linalg.vector_norm(similarity_align(found, target) - target, dim=-1)
    wanted = torch.stack([values[row].mean() for values, row in zip(own, counts, strict=True)])
    torch.testing.assert_close(pa_mpjpe_mm(found, target, counts), wanted, equal_nan=True)
    torch.testing.assert_close(pa_mpjpe_mm(found, target, torch.ones_like(counts)), pa_mpjpe_mm(found, target))


def test_a_hand_outside_the_image_does_not_count_and_nobody_without_hands_does():
    hands, target = (points(3, 20), points(3, 20)), (points(3, 20), points(3, 20))
    counts = [torch.ones(3, 20, dtype=torch.bool) for _ in range(2)]
    counts[0][1:], counts[1][2] = False, False
    plain, found = hand_pa_pve_mm(hands, target), hand_pa_pve_mm(hands, target, counts)
    assert found.isnan().tolist() == [[False, False], [True, False], [True, True]]
    of_people = hands_of_person(found)
    torch.testing.assert_close(of_people[:2], torch.stack([plain[0].mean(), plain[1, 1]]))
    assert of_people[2].isnan()


@pytest.fixture(scope="module")
def assets():
    return load_open_body()


@pytest.fixture(scope="module")
def posed(assets):
    generator = torch.Generator().manual_seed(3)
    pose = PosedByParameters(assets, TINY.size)
    return [pose(random_parameters(3, generator)) for _ in range(2)]


def test_heads_have_the_errors_of_people_in_every_space(assets, posed):
    errors = person_errors(*posed)
    for space in ("canonical", "scaled", "posed"):
        found = head_errors(space, posed[0].heads[space], posed[1].heads[space], assets)
        np.testing.assert_allclose(found.mle_mm, errors[f"head_{space}_mm"])
        assert bool((found.lve_sqrt_mm >= 0).all())
        assert f"{assets.flame.num_vertices} vertices" in found.head
        assert "lip vertices" in found.lips
        if space == "canonical":
            np.testing.assert_allclose(found.lve_m2, errors["lve_m2"])


def test_a_lip_that_is_4_mm_off_is_an_lve_of_16e_6_m2(assets, posed):
    head = posed[0].heads["canonical"].double()
    moved = head.clone()
    moved[:, posed[0].lips[0], 2] += 4e-3
    found = head_errors("canonical", moved, head, assets)
    np.testing.assert_allclose(found.lve_m2, 1.6e-5, rtol=1e-6)
    np.testing.assert_allclose(found.lve_sqrt_mm, 4.0, rtol=1e-6)
    np.testing.assert_allclose(found.mle_mm, 4.0 / assets.flame.num_vertices, rtol=1e-6)


def test_turning_both_heads_changes_nothing_and_turning_one_does(assets, posed):
    head, target = (each.heads["posed"].double() for each in posed)
    turn = torch.from_numpy(Rotation.random(rng=rng).as_matrix())
    before = head_errors("posed", head, target, assets)
    both = head_errors("posed", head @ turn, target @ turn, assets)
    one = head_errors("posed", head @ turn, target, assets)
    torch.testing.assert_close(both.mle_mm, before.mle_mm)
    torch.testing.assert_close(both.lve_m2, before.lve_m2)
    assert not torch.allclose(one.mle_mm, before.mle_mm, rtol=0.1)


def test_a_body_that_names_no_lips_has_no_lve(assets, posed):
    head = posed[0].heads["canonical"]
    found = head_errors("canonical", head, head, dataclasses.replace(assets, regions={}))
    assert found.lve_m2.isnan().all()
    assert found.lips.endswith(" 0 lip vertices")

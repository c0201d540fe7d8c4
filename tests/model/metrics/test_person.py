"""One measure, whatever poses the people: from parameters, or from a whole mesh."""

import dataclasses

import numpy as np
import pytest
import torch
from training_rig import TINY, random_parameters

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.metrics.person import PosedByParameters, PosedPeople, person_errors, unmeasured

COUNT = 3


@pytest.fixture(scope="module")
def assets():
    return load_open_body()


@pytest.fixture(scope="module")
def people():
    generator = torch.Generator().manual_seed(11)
    return [random_parameters(COUNT, generator) for _ in range(2)]


@pytest.fixture(scope="module")
def posed(assets, people):
    pose = PosedByParameters(assets, TINY.size)
    return [pose(one) for one in people]


def test_a_mesh_has_the_errors_of_the_parameters_that_pose_it(assets, people, posed):
    body = EHMs(assets)
    meshes = []
    for one in people:
        out = body(one)
        known = {"head_scale": one.head_scale, "global_orient": one.global_orient}
        meshes.append(PosedPeople.of_mesh(out.joints, out.vertices, assets, **known))
    of_mesh, of_parameters = person_errors(*meshes), person_errors(*posed)
    at_rest = {"head_canonical_mm", "head_scaled_mm", "head_pa_mm", "lip_max_mm", "lve_m2"}
    assert set(of_parameters) - set(of_mesh) == at_rest
    for name, values in of_mesh.items():
        np.testing.assert_allclose(values, of_parameters[name], rtol=1e-3, atol=1e-3, err_msg=name)


def test_parts_that_do_not_count_have_no_error(posed):
    first = np.arange(COUNT) == 0
    whole = person_errors(*posed)
    for part, alone in {
        "body": {"mpjpe_mm", "pa_mpjpe_mm", "orient_deg"},
        "face": {"head_canonical_mm", "head_pa_mm", "lip_max_mm", "lve_m2"},
    }.items():
        found = person_errors(*posed, {part: first})
        without = {name for name, values in found.items() if np.isnan(values).any()}
        assert without == alone | {"head_posed_mm", "head_posed_pa_mm", "head_scaled_mm", "head_scale_error"}
        for name, values in found.items():
            np.testing.assert_array_equal(values[first], whole[name][first])
            assert name not in without or np.isnan(values[~first]).all()
    found = person_errors(*posed, {"right_hand": first})
    for name in ("hand_pa_pve_mm", "hand_pa_mpjpe_mm"):
        assert np.isfinite(found[name][:, 0]).all()
        np.testing.assert_array_equal(np.isnan(found[name][:, 1]), ~first)


def test_a_body_that_names_no_hands_has_no_errors_of_their_vertices(assets, people, posed):
    nameless = dataclasses.replace(assets, hand_vertex_ids={}, regions={})
    assert unmeasured(assets) == {}
    assert unmeasured(nameless).keys() == {"hands", "lips"}
    pose, whole = PosedByParameters(nameless, TINY.size), person_errors(*posed)
    found = person_errors(*(pose(one) for one in people))
    assert set(whole) - set(found) == {"hand_pa_pve_mm"}
    np.testing.assert_allclose(found["head_posed_mm"], whole["head_posed_mm"], rtol=1e-5)


def test_everything_is_float64_and_one_a_person(posed):
    for name, values in person_errors(*posed).items():
        assert values.dtype == np.float64
        assert values.shape == ((COUNT, 2) if name.startswith("hand") else (COUNT,)), name
        assert np.all(values > 0), name


def test_hands_and_faces_are_aligned_by_themselves(posed):
    """A similarity of one hand, or of the posed head, leaves its aligned errors alone."""
    predicted, truth = posed
    grown = PosedPeople(
        joints=predicted.joints,
        hands=(1.3 * predicted.hands[0] + 1.0, predicted.hands[1]),
        head=0.7 * predicted.head - 2.0,
    )
    found, before = person_errors(grown, truth), person_errors(predicted, truth)
    for name in ("hand_pa_pve_mm", "head_posed_pa_mm"):
        np.testing.assert_allclose(found[name], before[name], rtol=1e-4)
    assert np.all(found["head_posed_mm"] > before["head_posed_mm"] + 10)

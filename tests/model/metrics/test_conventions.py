"""Joints of 3DPW's conventions: by hand, and their laws."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from model.metrics.conventions import CONVENTIONS, regress

rng = np.random.default_rng(0)


def joints(convention, people=4):
    return torch.from_numpy(rng.normal(size=(people, convention.num_joints, 3)))


@pytest.fixture(params=CONVENTIONS.values(), ids=list(CONVENTIONS))
def convention(request):
    return request.param


def test_one_joint_that_is_off_is_divided_by_all_that_count(convention):
    target = joints(convention)
    found = target + 5.0
    found[:, convention.counted[-1], 1] += 0.014
    errors = convention.errors(found, target)["mpjpe_mm"]
    np.testing.assert_allclose(errors, 14.0 / len(convention.counted))
    assert len(convention.counted) == {"hmr2": 14, "h36m14": 14, "smpl24": 24}[convention.name]


def test_only_the_root_is_moved_together(convention):
    target = joints(convention)
    found = target.clone()
    found[:, convention.root, 0] += 0.003
    others = len(convention.counted) - (convention.root in convention.counted)
    np.testing.assert_allclose(convention.errors(found, target)["mpjpe_mm"], 3.0 * others / len(convention.counted))


def test_rows_that_do_not_count_change_nothing(convention):
    target, found = joints(convention), joints(convention)
    before = convention.errors(found, target)
    rest = sorted(set(range(convention.num_joints)) - {*convention.counted, convention.root})
    found[:, rest] += 1
    for name, values in convention.errors(found, target).items():
        torch.testing.assert_close(values, before[name])


def test_alignment_undoes_similarities(convention):
    target, found = joints(convention), joints(convention)
    before = convention.errors(found, target)["pa_mpjpe_mm"]
    turn = torch.from_numpy(Rotation.random(4, rng=rng).as_matrix())
    moved = 0.4 * found @ turn.mT + joints(convention)[:, :1]
    torch.testing.assert_close(convention.errors(moved, target)["pa_mpjpe_mm"], before, rtol=1e-9, atol=0)


def test_h36m14_counts_the_joints_of_lsp():
    """Rows of its regressor: pelvis, left and right leg, spine, neck, face and head, left and right arm."""
    legs = [f"{side}_{joint}" for side in "lr" for joint in ("hip", "knee", "ankle")]
    arms = [f"{side}_{joint}" for side in "lr" for joint in ("shoulder", "elbow", "wrist")]
    names = ["pelvis", *legs, "spine", "neck", "nose", "head", *arms]
    limbs = [*legs[:2:-1], *legs[:3], *arms[:2:-1], *arms[:3]]  # of the right side from the end, then of the left
    assert [names[row] for row in CONVENTIONS["h36m14"].counted] == [*limbs, "neck", "head"]


def test_other_joints_than_the_convention_s_are_refused(convention):
    with pytest.raises(ValueError, match=f"convention {convention.name}: expected {convention.num_joints} known"):
        convention.errors(joints(convention), joints(convention)[:, :-1])


def test_joints_are_sums_of_vertices():
    matrix = torch.tensor([[0.5, 0.5, 0], [0, 0, 1]], dtype=torch.float64)
    vertices = torch.tensor([[[0, 0, 0], [2, 4, 6], [1, 1, 1]]], dtype=torch.float32)
    for own in (matrix, matrix.to_sparse()):
        assert regress(own, vertices).tolist() == [[[1, 2, 3], [1, 1, 1]]]
    with pytest.raises(ValueError, match="leave out what was added to the mesh"):
        regress(matrix, torch.zeros(1, 4, 3))


def test_regression_is_the_plain_product():
    matrix, vertices = torch.from_numpy(rng.normal(size=(5, 20))), torch.from_numpy(rng.normal(size=(3, 20, 3)))
    torch.testing.assert_close(regress(matrix, vertices), torch.einsum("rv,nvc->nrc", matrix, vertices))

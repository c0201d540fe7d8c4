"""Laws of the error measures."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from model.metrics.joints import mean_distance_mm, mpjpe_mm, orientation_error_deg, pa_mpjpe_mm, similarity_align

rng = np.random.default_rng(0)


def points(*shape):
    return torch.from_numpy(rng.normal(size=(*shape, 3)))


def test_similarity_alignment_undoes_any_similarity():
    target = points(8, 14)
    rotation = torch.from_numpy(Rotation.random(8, random_state=1).as_matrix())
    moved = 1.7 * torch.einsum("nij,npj->npi", rotation, target) + points(8, 1)
    torch.testing.assert_close(similarity_align(moved, target), target, atol=1e-10, rtol=0)
    assert pa_mpjpe_mm(moved, target).max() < 1e-7


def test_similarity_alignment_never_mirrors():
    target = points(4, 14)
    assert pa_mpjpe_mm(target * torch.tensor([-1, 1, 1]), target).min() > 50


def test_alignment_is_no_worse_than_root_alignment():
    target = points(16, 14)
    noisy = target + 0.1 * points(16, 14)
    squared = (similarity_align(noisy, target) - target).square().sum((1, 2))
    rooted = (noisy - noisy[:, :1] - target + target[:, :1]).square().sum((1, 2))
    assert torch.all(squared <= rooted)


@pytest.mark.parametrize("flat", [(1, 1, 1), (1, 1, 0), (1, 0, 0)])
def test_alignment_is_umeyama_s_by_singular_values(flat):
    """Also where points lie in a plane or on a line, and the rotation is not the only one."""
    moved = points(8, 14) * torch.tensor(flat)
    target = points(8, 14)
    for found, aligned, wanted in zip(moved, similarity_align(moved, target), target, strict=True):
        x, y = (v.numpy() - v.numpy().mean(0) for v in (found, wanted))
        u, singular, vt = np.linalg.svd(y.T @ x)
        sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        expected = (singular * sign).sum() / (x**2).sum() * x @ (u * sign @ vt).T
        np.testing.assert_allclose(np.linalg.norm(aligned - wanted, axis=1).mean(),
                                   np.linalg.norm(expected - y, axis=1).mean(), atol=1e-9)  # fmt: skip


def test_two_points_go_onto_any_two():
    assert pa_mpjpe_mm(points(5, 2), points(5, 2)).max() < 1e-9


def test_mpjpe_ignores_translation_and_is_in_millimetres():
    target = points(3, 14)
    moved = target + torch.tensor([1.0, 2.0, 3.0])
    moved[:, 1:] += torch.tensor([0.0, 0.0, 0.014])
    np.testing.assert_allclose(mpjpe_mm(moved, target), 13.0)
    np.testing.assert_allclose(mean_distance_mm(target, target + torch.tensor([0.0, 0.003, 0.004])), 5.0)


def test_float32_points_are_measured_in_float64():
    target = points(3, 14).float()
    moved = target + points(3, 14).float()
    for measure in (mean_distance_mm, mpjpe_mm, pa_mpjpe_mm):
        torch.testing.assert_close(measure(moved, target), measure(moved.double(), target.double()), rtol=0, atol=0)


def test_an_orientation_s_error_is_its_angle():
    for angle in (0.0, 1e-5, 30.0, 179.99, 180.0):
        rotation = torch.from_numpy(Rotation.from_rotvec(np.radians(angle) * np.array([0.6, 0.0, 0.8])).as_matrix())
        assert orientation_error_deg(torch.eye(3), rotation) == pytest.approx(angle, abs=1e-5)


def test_points_that_no_similarity_moves_are_an_error_that_names_the_person():
    for shape in (1.0, 0.1), (1e3, 1e3):
        same = torch.full((5, 3), shape[0]) * torch.tensor([1.0, shape[1], 1.0])
        with pytest.raises(ValueError, match="sample 1: all points coincide"):
            similarity_align(torch.stack([points(5), same]), points(2, 5))
    with pytest.raises(ValueError, match="sample 0: all points coincide"):
        similarity_align(points(2, 1), points(2, 1))
    for broken in (torch.nan, torch.inf):
        for side in range(2):
            both = [points(3, 5), points(3, 5)]
            both[side][2, 1, 0] = broken
            with pytest.raises(ValueError, match="sample 2: a point is not finite"):
                similarity_align(*both)


def test_many_people_are_measured_as_each_alone(monkeypatch):
    moved, target = points(7, 9), points(7, 9)
    alone = torch.cat([pa_mpjpe_mm(moved[k : k + 1], target[k : k + 1]) for k in range(7)])
    monkeypatch.setattr("model.metrics.joints._POINTS_AT_ONCE", 20)
    torch.testing.assert_close(pa_mpjpe_mm(moved, target), alone, rtol=1e-12, atol=0)
    assert pa_mpjpe_mm(moved[:0], target[:0]).shape == (0,)
    moved[5, 2, 0] = torch.nan
    with pytest.raises(ValueError, match="sample 5: a point is not finite"):
        pa_mpjpe_mm(moved, target)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 5, 3\) and \(2, 4, 3\)"):
        similarity_align(points(2, 5), points(2, 4))

"""Laws of the error measures."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from model.metrics.joints import mpjpe_mm, pa_mpjpe_mm, rotation_angle_deg, similarity_align

rng = np.random.default_rng(0)


def test_similarity_alignment_undoes_any_similarity():
    target = rng.normal(size=(8, 14, 3))
    rotation = Rotation.random(8, random_state=1).as_matrix()
    moved = 1.7 * np.einsum("nij,npj->npi", rotation, target) + rng.normal(size=(8, 1, 3))
    np.testing.assert_allclose(similarity_align(moved, target), target, atol=1e-10)
    assert pa_mpjpe_mm(moved, target).max() < 1e-7


def test_similarity_alignment_never_mirrors():
    target = rng.normal(size=(4, 14, 3))
    assert pa_mpjpe_mm(target * [-1, 1, 1], target).min() > 50


def test_alignment_is_no_worse_than_root_alignment():
    target = rng.normal(size=(16, 14, 3))
    noisy = target + rng.normal(scale=0.1, size=target.shape)
    squared = ((similarity_align(noisy, target) - target) ** 2).sum((1, 2))
    rooted = ((noisy - noisy[:, :1] - target + target[:, :1]) ** 2).sum((1, 2))
    assert np.all(squared <= rooted)


def test_mpjpe_ignores_translation_and_is_in_millimetres():
    target = rng.normal(size=(3, 14, 3))
    moved = target + np.array([1.0, 2.0, 3.0])
    moved[:, 1:] += [0.0, 0.0, 0.014]
    np.testing.assert_allclose(mpjpe_mm(moved, target), 13.0)


def test_rotation_angle_holds_near_zero_and_half_turn():
    for angle in (0.0, 1e-5, 30.0, 179.9999, 180.0):
        rotation = Rotation.from_rotvec(np.radians(angle) * np.array([0.6, 0.0, 0.8])).as_matrix()
        assert rotation_angle_deg(np.eye(3), rotation) == pytest.approx(angle, abs=1e-6)


def test_coinciding_points_are_an_error():
    with pytest.raises(ValueError, match="sample 1"):
        similarity_align(np.stack([rng.normal(size=(5, 3)), np.ones((5, 3))]), rng.normal(size=(2, 5, 3)))

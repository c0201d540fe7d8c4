"""The sparse forward pass against the full body."""

from dataclasses import replace

import pytest
import torch
from toy_bodies import full_keypoints, random_state

from fitting.sparse_body import SparseBody
from model.body.assets import EhmAssets
from model.body.ehms import EHMs


def compare(assets: EhmAssets, body: SparseBody, seed: int = 0) -> tuple[float, float]:
    model = EHMs(assets).to(body.dtype)
    state = random_state(body, 16, seed)
    state = replace(state, contour_bin=body.contour_bin(state))
    with torch.no_grad():
        full = full_keypoints(model, body, state)
    sparse = body.forward(state)
    joints = sparse.joints + sparse.translation[:, None]
    return float((full.keypoints - sparse.points_cam).abs().max()), float((full.joints - joints).abs().max())


def test_keypoints_of_a_random_body_are_those_of_the_full_body(toy_assets: EhmAssets, toy_body: SparseBody) -> None:
    assert max(compare(toy_assets, toy_body)) < 1e-5


def test_keypoints_of_the_open_body_are_those_of_its_mesh(open_assets: EhmAssets, open_body_f64: SparseBody) -> None:
    assert max(compare(open_assets, open_body_f64)) < 1e-5


def test_keypoints_of_a_random_body_in_the_papers_fusion_are_those_of_the_full_body(
    toy_paper_assets: EhmAssets, toy_paper_body: SparseBody
) -> None:
    assert max(compare(toy_paper_assets, toy_paper_body)) < 1e-5


def test_keypoints_of_the_open_body_in_the_papers_fusion_are_those_of_its_mesh(
    open_paper_assets: EhmAssets, open_paper_body_f64: SparseBody
) -> None:
    assert max(compare(open_paper_assets, open_paper_body_f64)) < 1e-5


def test_float32_is_good_enough_for_pixels(open_assets: EhmAssets, open_body: SparseBody) -> None:
    assert max(compare(open_assets, open_body, seed=1)) < 1e-5


def test_the_pelvis_lands_on_the_translation(open_body: SparseBody) -> None:
    assert open_body.forward(random_state(open_body, 4)).joints[:, 0].abs().max() == 0


def test_surface_offsets_move_hips_and_shoulders_with_their_parent_bone(open_body_f64: SparseBody) -> None:
    state = random_state(open_body_f64, 3)
    offset = torch.tensor([0.03, -0.01, 0.02, -0.015, 0.025, 0.01], dtype=torch.float64)
    moved_state = replace(state, coefficients=state.coefficients.clone())
    moved_state.coefficients[:, -6:] = offset
    before, after = open_body_f64.forward(state), open_body_f64.forward(moved_state)
    assert torch.equal(before.joints, after.joints)
    expected = torch.zeros_like(before.points)
    for group, (keypoints, bones) in enumerate((((11, 12), (0, 0)), ((5, 6), (13, 14)))):
        for keypoint, bone, outwards in zip(keypoints, bones, (1.0, -1.0), strict=True):
            local = offset[3 * group : 3 * group + 3] * torch.tensor([outwards, 1.0, 1.0]).double()
            expected[:, keypoint] = before.rotations[:, bone] @ local
    assert torch.allclose(after.points - before.points, expected, atol=1e-12)


def test_outline_points_change_with_the_yaw(open_body: SparseBody) -> None:
    state = random_state(open_body, 4)
    bins = open_body.contour_bin(state)
    assert len(bins.unique()) > 1
    assert int(bins.min()) >= 0
    assert int(bins.max()) < 79


def test_hand_coordinates_round_trip(open_body_f64: SparseBody) -> None:
    from fitting import so3

    pca = random_state(open_body_f64, 5).hand_pca
    hands = so3.exp(open_body_f64.hand_rotvec(pca))
    assert (open_body_f64.hand_coordinates(hands) - pca).abs().max() < 1e-6


def test_more_coefficients_than_the_body_has_are_padded_with_zeros(toy_assets: EhmAssets) -> None:
    body = SparseBody.from_assets(toy_assets, num_betas=14)
    assert body.points.directions.shape[-1] == 40
    assert body.points.directions[..., 10:14].abs().max() == 0


def test_a_body_without_hands_is_refused(toy_assets: EhmAssets) -> None:
    with pytest.raises(ValueError, match="hands_mean"):
        SparseBody.from_assets(replace(toy_assets, smplx=replace(toy_assets.smplx, hands_mean=None)))

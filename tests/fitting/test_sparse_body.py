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


def test_float32_is_good_enough_for_pixels(open_assets: EhmAssets, open_body: SparseBody) -> None:
    assert max(compare(open_assets, open_body, seed=1)) < 1e-5


def test_the_pelvis_lands_on_the_translation(open_body: SparseBody) -> None:
    assert open_body.forward(random_state(open_body, 4)).joints[:, 0].abs().max() == 0


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
    assert body.points.directions.shape[-1] == 34
    assert body.points.directions[..., 10:14].abs().max() == 0


def test_a_body_without_hands_is_refused(toy_assets: EhmAssets) -> None:
    with pytest.raises(ValueError, match="hands_mean"):
        SparseBody.from_assets(replace(toy_assets, smplx=replace(toy_assets.smplx, hands_mean=None)))

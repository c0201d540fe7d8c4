"""Evidence and quality, from residuals alone."""

import torch

from fitting.quality import expected_error_mm, gather_evidence, quality_score


def evidence(seen: list[slice], error_px: float = 1.0, boxes: torch.Tensor | None = None):
    points = 100 * torch.rand(1, 133, 2, generator=torch.Generator().manual_seed(0))
    points[0, 5:13] += 300
    precision = torch.zeros(1, 133)
    for part in seen:
        precision[:, part] = 0.5
    return gather_evidence(
        keypoints_px=points + torch.tensor([error_px, 0.0]),
        observed_px=points,
        precision=precision,
        inlier_sigma=4.0,
        boxes_xyxy=boxes,
        hand_estimated=torch.tensor([[True, False]]),
    )


def test_everything_seen_is_valid() -> None:
    found = evidence([slice(0, 133)])
    assert found.part_valid.all()
    assert found.joint_seen.all()
    assert torch.allclose(found.reproj_px, torch.ones(1, 4), atol=1e-3)


def test_nothing_seen_is_invalid_and_has_no_figures() -> None:
    found = evidence([])
    assert not found.part_valid.any()
    assert torch.isnan(found.reproj_px).all()
    assert found.inlier_ratio.item() == 0


def test_residuals_beyond_the_threshold_are_no_evidence() -> None:
    assert not evidence([slice(0, 133)], error_px=20.0).part_valid.any()


def test_a_hand_without_an_estimate_needs_more_keypoints() -> None:
    found = evidence([slice(0, 23), slice(91, 103), slice(112, 124)])
    assert found.part_valid[0].tolist() == [True, True, False, False]


def test_a_face_alone_says_nothing_about_limbs() -> None:
    found = evidence([slice(0, 5), slice(23, 91)])
    assert found.part_valid[0].tolist() == [False, False, False, True]
    assert found.joint_seen[0, [12, 15]].all()
    assert not found.joint_seen[0, [16, 17, 18, 19, 4, 5]].any()


def test_errors_are_stated_as_a_share_of_the_box() -> None:
    found = evidence([slice(0, 133)], boxes=torch.tensor([[0.0, 0.0, 50.0, 200.0]]))
    assert torch.allclose(found.reproj_rel, torch.tensor([1 / 200]), atol=1e-5)


def test_quality_falls_with_every_sign_of_trouble() -> None:
    base = {"reproj_rel": 0.005, "inlier_ratio": 0.95, "moved_rad": 0.1, "joint_sigma_rad": 0.08}
    base |= {"body_sigma_rel": 0.01, "joints_unseen": 0.05}
    worse = {"reproj_rel": 0.02, "inlier_ratio": 0.6, "moved_rad": 0.4, "joint_sigma_rad": 0.3}
    worse |= {"body_sigma_rel": 0.03, "joints_unseen": 0.5}

    def score(values: dict[str, float]) -> float:
        return quality_score(expected_error_mm(**{k: torch.tensor([v]) for k, v in values.items()})).item()

    assert 0 < score(worse) < score(base) < 1
    for name, value in worse.items():
        assert score(base | {name: value}) < score(base)


def test_quality_without_figures_is_zero() -> None:
    assert quality_score(torch.tensor([torch.nan])).item() == 0

"""Figures beside those of 4D-Humans, of AGORA's program and of torchmetrics, where they are installed."""

import numpy as np
import pytest
import torch
from upstream_packages import upstream

from model.metrics.agora import match_by_joints
from model.metrics.conventions import HMR2
from model.metrics.head import lip_max_mm
from model.metrics.joints import similarity_align
from model.metrics.keypoints import PCK

pytestmark = pytest.mark.upstream
rng = np.random.default_rng(0)


def test_pck_is_hmr2_s():
    pose_utils = upstream("hmr2.utils.pose_utils")
    people, points = 60, 44
    truth = torch.from_numpy(rng.uniform(-0.5, 0.5, (people, points, 3)))
    truth[..., 2] = torch.from_numpy(rng.random((people, points)) * (np.arange(points) % 5 > 0))
    found = truth[..., :2] + torch.from_numpy(rng.normal(0, 0.05, (people, points, 2)))
    side = torch.from_numpy(rng.uniform(100, 400, people))
    scale = torch.from_numpy(rng.uniform(0.4, 2.0, (people, 2)))
    theirs = pose_utils.EvaluatorPCK([0.05, 0.1])
    theirs({"pred_keypoints_2d": found}, {"keypoints_2d": truth, "box_size": side, "_scale": scale})
    wanted = theirs.get_metrics_dict()
    pck = PCK(points)
    in_px = torch.cat([(truth[..., :2] + 0.5) * side[:, None, None], truth[..., 2:]], -1)
    pck.update((found + 0.5) * side[:, None, None], in_px, 200 * scale.amax(1))
    for limit, value in pck.compute().items():
        assert value == pytest.approx(wanted[f"kpAvg_pck_{limit}"], abs=1e-12)


def test_mpjpe_and_its_alignment_are_hmr2_s():
    pose_utils = upstream("hmr2.utils.pose_utils")
    target = torch.from_numpy(rng.normal(size=(20, 44, 4))).float()
    found = target[..., :3] + 0.1 * torch.from_numpy(rng.normal(size=(20, 44, 3))).float()
    theirs = pose_utils.Evaluator(20, [*range(25, 38), 43], 39)
    theirs(
        {"pred_keypoints_3d": found.clone(), "pred_keypoints_2d": found[..., :2]},
        {"keypoints_3d": target.clone(), "keypoints_2d": target[..., :3]},
    )
    ours = HMR2.errors(found[:, 25:], target[:, 25:, :3])
    np.testing.assert_allclose(ours["mpjpe_mm"], theirs.mode_mpjpe, atol=1e-3)
    np.testing.assert_allclose(ours["pa_mpjpe_mm"], theirs.mode_re, atol=1e-3)


def test_alignment_of_mirrored_and_flat_points_is_hmr2_s():
    pose_utils = upstream("hmr2.utils.pose_utils")
    target = torch.from_numpy(rng.normal(size=(20, 14, 3))).float()
    for found in (target * torch.tensor([-1, 1, 1]), target * torch.tensor([1, 1, 0])):
        theirs = pose_utils.compute_similarity_transform(found, target)
        torch.testing.assert_close(similarity_align(found, target).float(), theirs, atol=1e-4, rtol=1e-4)


def test_lve_is_torchmetrics():
    functional = upstream("torchmetrics.functional.multimodal.lve")
    found, target = (torch.randn(10, 100, 3, generator=torch.Generator().manual_seed(s)) for s in (42, 43))
    lips = [0, 1, 2, 3, 4]
    ours = (1e-3 * lip_max_mm(found[:, lips], target[:, lips])).square().mean()
    assert float(ours) == pytest.approx(float(functional.lip_vertex_error(found, target, lips)), rel=1e-6)
    assert float(ours) == pytest.approx(12.7688, abs=1e-4)


def test_agora_s_matching_is_its_program_s():
    matching = upstream("agora_evaluation.matching")
    for _ in range(60):
        known = rng.uniform(0, 90, (rng.integers(1, 5), 24, 2)) + rng.uniform(0, 400, (1, 1, 2))
        known += rng.uniform(0, 250, (len(known), 1, 2))
        predicted = np.concatenate(
            [known + rng.normal(0, 25, known.shape), known[:1] + rng.uniform(60, 300, (1, 1, 2))]
        )
        predicted = predicted[rng.permutation(len(predicted))[: rng.integers(1, len(predicted) + 1)]]
        valid = rng.random(len(known)) < 0.8
        theirs = matching.match_2d_greedy(3840, 2160, list(predicted), list(known), None, "", "us", valid=valid)
        ours = match_by_joints(predicted, known, valid, compat=True)
        pairs = {(int(i), int(j)) for i, j in theirs if not isinstance(i, str) and not isinstance(j, str)}
        assert set(zip(ours.predicted, ours.known, strict=True)) == pairs
        assert set(ours.misses) == {int(j) for i, j in theirs if i == "miss"}
        assert set(ours.false_positives) == {int(i) for i, j in theirs if j == "falsePositive"}

"""PCK by hand, by HMR2's own formula in the units of its crops, and its laws."""

import numpy as np
import pytest
import torch

from model.metrics.keypoints import PCK, box_unit_px, inside_image

rng = np.random.default_rng(0)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def test_a_case_by_hand():
    """Boxes 100 px long: unit 120, limits 6 and 12 px. Keypoint 0 is right once of two, keypoint 1 of one, keypoint 2
    is annotated nowhere: .05 is (1/2 + 0) / 2, .1 is (2/2 + 1) / 2; pooled over points, they were 1/3 and 1."""
    truth = tensor([[[50, 50, 1], [20, 20, 0.5], [0, 0, 0]], [[10, 10, 1], [30, 30, 0.51], [9, 9, 0]]])
    found = truth[..., :2] + tensor([[[5.9, 0], [0, 0], [0, 0]], [[0, 6.0], [0, 11.9], [99, 0]]])
    unit = box_unit_px(tensor([[0, 0, 100, 40], [7, 3, 50, 103]]))
    assert unit.tolist() == [120, 120]
    pck = PCK(3)
    pck.update(found, truth, unit)
    assert pck.compute() == {0.05: 0.25, 0.1: 1.0}
    assert pck.by_keypoint()[:, :2].tolist() == [[0.5, 0], [1, 1]]
    assert pck.by_keypoint()[:, 2].isnan().all()


def random_people(people=40, points=9):
    truth = torch.from_numpy(rng.uniform(0, 256, (people, points, 3)))
    truth[..., 2] = torch.from_numpy(rng.random((people, points)) * (np.arange(points) != 4))
    found = truth[..., :2] + torch.from_numpy(rng.normal(0, 12, (people, points, 2)))
    return found, truth, torch.from_numpy(rng.uniform(80, 240, people))


def pck_of(*people, keypoints=9):
    pck = PCK(keypoints)
    pck.update(*people)
    return pck


def test_it_is_hmr2_s_formula_in_a_crop_s_units():
    """Crops of any side, coordinates in -.5 .. .5, multiplied by the crop's side over the widened box."""
    found, truth, unit = random_people()
    side = unit * torch.from_numpy(rng.uniform(1.0, 1.4, len(unit)))
    factor = (side / unit)[:, None, None]
    own, others = ((points / side[:, None, None] - 0.5) * factor for points in (found, truth[..., :2]))
    near = torch.linalg.vector_norm(own - others, dim=-1)
    counts = truth[..., 2] > 0.5
    for limit, value in pck_of(found, truth, unit).compute().items():
        shares = [(near[:, k][counts[:, k]] < limit).double().mean() for k in range(9) if counts[:, k].any()]
        assert len(shares) == 8
        assert value == pytest.approx(float(torch.stack(shares).mean()), rel=1e-12)


def test_neither_size_nor_place_nor_order_matter():
    found, truth, unit = random_people()
    before = pck_of(found, truth, unit).compute()
    grown = torch.cat([truth[..., :2] * 7 + 3, truth[..., 2:]], -1)
    order = torch.from_numpy(rng.permutation(len(unit)))
    assert pck_of((found * 7 + 3)[order], grown[order], (unit * 7)[order]).compute() == pytest.approx(before)


def test_parts_of_people_add_up():
    found, truth, unit = random_people()
    whole, parts = pck_of(found, truth, unit), PCK(9)
    for rows in (slice(0, 7), slice(7, 40)):
        parts.add(pck_of(found[rows], truth[rows], unit[rows]))
    assert parts.compute() == whole.compute()


def test_what_is_not_finite():
    found, truth, unit = random_people(2, 3)
    truth[..., 2] = 1
    found[0, 0, 0] = torch.nan
    assert pck_of(found, truth, unit * 1e6, keypoints=3).by_keypoint()[1].tolist() == [0.5, 1, 1]
    truth[1, 2, 0] = torch.nan
    with pytest.raises(ValueError, match="person 1: an annotated point is not finite"):
        pck_of(found, truth, unit, keypoints=3)
    truth[1, 2, 2] = 0
    assert pck_of(found, truth, unit, keypoints=3).sums["known"].tolist() == [2, 2, 1]


def test_degenerate_boxes_and_other_shapes_are_refused():
    found, truth, unit = random_people(2, 3)
    for wrong in (0.0, torch.nan):
        unit[1] = wrong
        with pytest.raises(ValueError, match="person 1: the box needs a side above 0"):
            pck_of(found, truth, unit, keypoints=3)
    with pytest.raises(ValueError, match=r"annotations \(N, K, 3\)"):
        pck_of(found, truth[..., :2], unit, keypoints=3)


def test_nobody_has_a_pck_of_nan():
    assert all(np.isnan(value) for value in PCK(3).compute().values())


def test_the_border_of_an_image_is_outside():
    points = tensor([[0, 5], [1, 1], [9.99, 5], [10, 5], [5, 8], [5, -1]])
    assert inside_image(points, 10, 8).tolist() == [False, True, True, False, False, False]

"""Every row once an epoch, sets in their shares, and the same whoever asks in whatever order."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from tasks.training.engine.sampling import InOrder, MixtureSampler, groups_of_photos


def test_every_row_once_an_epoch():
    sampler = MixtureSampler([7], [1.0], seed=3)
    epochs = [[sampler.locate(7 * e + k)[1] for k in range(7)] for e in range(4)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_every_row_of_every_set_once_an_epoch_of_its_own():
    sampler = MixtureSampler([5, 300, 41], [0.2, 0.5, 0.3], seed=1)
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for position in range(3000):
        index, row = sampler.locate(position)
        seen[index].append(row)
    for index, size in enumerate(sampler.sizes):
        for epoch in range(len(seen[index]) // size):
            assert sorted(seen[index][epoch * size : (epoch + 1) * size]) == list(range(size))


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0), (0.9, 0.07, 0.03), (1000.0, 1.0)])
def test_sets_come_in_their_shares(weights):
    sampler = MixtureSampler([100] * len(weights), weights, seed=0)
    count = 40 * sampler._block
    found = Counter(sampler.locate(position)[0] for position in range(count))
    for index, weight in enumerate(weights):
        assert abs(found[index] - count * weight / sum(weights)) <= 1.01


def test_positions_may_be_asked_in_any_order():
    sizes, weights = [11, 50], [1.0, 2.0]
    ordered = MixtureSampler(sizes, weights, seed=9)
    expected = [ordered.locate(position) for position in range(2000)]
    asked = np.random.default_rng(0).permutation(2000)
    other = MixtureSampler(sizes, weights, seed=9)
    found = {int(position): other.locate(int(position)) for position in asked}
    assert [found[position] for position in range(2000)] == expected


def test_another_seed_is_another_order():
    first, second = ([MixtureSampler([50, 50], [1, 1], seed=seed).locate(k) for k in range(60)] for seed in (0, 1))
    assert first != second


def test_far_positions_are_cheap_and_exact():
    sampler = MixtureSampler([1000, 17], [0.7, 0.3], seed=0)
    index, row = sampler.locate(64_000_000_123)
    assert 0 <= row < sampler.sizes[index]


def test_people_of_a_photo_follow_each_other_up_to_a_number():
    images = pa.array(["a"] * 3 + ["b"] + ["c"] * 5 + ["d"] * 2)
    groups = groups_of_photos(images, 2)
    assert groups.tolist() == [0, 0, 1, 2, 3, 3, 4, 4, 5, 6, 6]
    sampler = MixtureSampler([11], [1.0], seed=5, groups=[groups])
    rows = [sampler.locate(k)[1] for k in range(11)]
    assert sorted(rows) == list(range(11))
    assert all(abs(rows.index(a) - rows.index(a + 1)) == 1 for a in (0, 4, 6, 9))
    assert groups_of_photos(images, 1) is None


def test_in_order_goes_through_all_sets():
    order = InOrder([2, 3])
    assert [order.locate(k) for k in range(6)] == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (0, 0)]


@pytest.mark.parametrize(
    ("sizes", "weights", "sentence"),
    [([], [], "one or more"), ([3], [1, 2], "one weight"), ([3, 0], [1, 1], "needs a row"), ([3], [0], "above 0")],
)
def test_what_cannot_be_mixed_is_refused(sizes, weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        MixtureSampler(sizes, weights, seed=0)

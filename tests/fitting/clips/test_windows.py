"""Where clips are cut, and windows over long ones."""

import itertools

import torch

from fitting.clips.settings import ClipConfig
from fitting.clips.windows import windows


def kept(rows: torch.Tensor, time_s: torch.Tensor, **settings: int) -> list[list[int]]:
    return [window.rows[window.keep].tolist() for window in windows(rows, time_s, ClipConfig(**settings))]


def test_a_clip_is_cut_where_more_than_a_tenth_of_a_second_is_missing() -> None:
    time = torch.tensor([0.0, 0.1, 0.2, 0.31, 0.4, 9.0], dtype=torch.float64)
    assert kept(torch.arange(6), time) == [[0, 1, 2], [3, 4], [5]]


def test_windows_overlap_and_every_frame_is_of_one() -> None:
    for count in (256, 257, 300, 496, 497, 2000):
        rows = torch.arange(count) + 7
        found = windows(rows, torch.arange(count + 7, dtype=torch.float64) / 30, ClipConfig())
        assert torch.equal(torch.cat([window.rows[window.keep] for window in found]), rows)
        assert all(len(window.rows) == min(count, 256) for window in found)
        for one, then in itertools.pairwise(found):
            assert int(one.rows[-1] - then.rows[0]) + 1 >= 16
            # Both see frames beyond where they meet.
            assert one.keep.stop <= 256 - 8
            assert then.keep.start >= 8


def test_windows_of_other_sizes() -> None:
    assert kept(torch.arange(10), torch.arange(10).double() / 30, max_frames=6, overlap=4) == [
        [0, 1, 2, 3],
        [4, 5],
        [6, 7, 8, 9],
    ]

"""Who is who over the frames of a clip, by how points of the body move."""

import torch
from torch import Tensor

from fitting.clips.strands import Path, strands

FRAMES, POINTS = 24, 10
TIME = torch.arange(FRAMES, dtype=torch.float64) / 30


def moving(seed: int, turns_a_second: float = 0.5) -> Tensor:
    """(F, N, 2) points of somebody who turns about, and walks."""
    generator = torch.Generator().manual_seed(seed)
    body = torch.randn(POINTS, 2, dtype=torch.float64, generator=generator) * 0.3
    start, walk = torch.randn(2, 2, dtype=torch.float64, generator=generator).unbind()
    angle = 2 * torch.pi * turns_a_second * TIME
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).view(-1, 1, 2, 2)
    return (turn @ body[..., None]).squeeze(-1) + start + walk * TIME[:, None, None]


def found(places: Tensor, seen: Tensor | None = None) -> list[list[int]]:
    seen = torch.ones(places.shape[:2], dtype=torch.bool) if seen is None else seen
    return [strand.tolist() for strand in strands(Path(places, seen, TIME[: len(places)]))]


def mixed(*others: int) -> Tensor:
    """Somebody, with some frames of somebody else."""
    places = moving(1)
    places[list(others)] = moving(2)[list(others)]
    return places


def test_who_moves_smoothly_is_one_however_fast() -> None:
    for speed in (0.0, 0.5, 2.0):
        assert found(moving(1, speed)) == [list(range(FRAMES))]


def test_of_two_frames_nobody_knows_how_fast_the_body_moves() -> None:
    running = torch.stack([moving(1)[0], moving(1)[0] + torch.tensor([0.1, 0.0])])
    assert found(running) == [[0, 1]]
    assert found(mixed(1)[:2]) == []


def test_a_track_that_goes_over_to_somebody_else_is_two_people() -> None:
    assert sorted(found(mixed(*range(10, FRAMES)))) == [list(range(10)), list(range(10, FRAMES))]


def test_another_camera_of_the_same_moment_is_a_cut() -> None:
    """The same motion from then on nearer and from the other side, without a jump in time."""
    places = moving(1)
    places[10:] = torch.tensor([-1.6, 1.6], dtype=torch.float64) * places[10:] + 0.3
    assert sorted(found(places)) == [list(range(10)), list(range(10, FRAMES))]


def test_of_people_at_the_same_time_the_longest_stays() -> None:
    first = [frame for frame in range(FRAMES) if frame not in (8, 9, 15)]
    assert found(mixed(8, 9, 15)) == [first]
    assert found(mixed(*first)) == [first]


def test_backwards_in_time_is_the_same() -> None:
    places = mixed(3, 4, *range(18, FRAMES))
    back = [sorted(FRAMES - 1 - frame for frame in strand) for strand in found(places.flip(0))]
    assert sorted(back) == sorted(found(places))


def test_frames_out_of_order_are_nobodys() -> None:
    order = torch.randperm(FRAMES, generator=torch.Generator().manual_seed(3))
    assert found(moving(1, 2.0)[order]) == []


def test_points_that_are_not_seen_tell_nothing() -> None:
    seen = torch.ones(FRAMES, POINTS, dtype=torch.bool)
    seen[10:, : POINTS - 4] = False
    assert len(found(mixed(*range(10, FRAMES)), seen)) == 1


def test_one_frame_or_none_is_no_motion() -> None:
    assert found(moving(1)[:1]) == [[0]]
    assert found(moving(1)[:0]) in ([], [[]])


def test_points_that_were_taken_for_each_other_are_nobody_else() -> None:
    places, swapped = moving(1), torch.arange(POINTS).flip(0)
    places[[7, 8, 15]] = places[[7, 8, 15]][:, swapped]
    seen, names = torch.ones(FRAMES, POINTS, dtype=torch.bool), torch.stack([torch.arange(POINTS), swapped])
    whole = [list(range(FRAMES))]
    assert [strand.tolist() for strand in strands(Path(places, seen, TIME, names))] == whole
    assert found(places) != whole
    other = mixed(*range(12, FRAMES))
    assert [strand.tolist() for strand in strands(Path(other, seen, TIME, names))] == found(other) != whole

"""Which frames of a clip show one person, who moves as people do: a clip is cut where the body jumps.

A track may go over to somebody else, a film to another scene, and frames may be out of order. A fit of all of them
would give both people one shape, and a path between their poses. Here the points of the body are followed: from frame
to frame they go on at about the velocity before, or the one after.

Legend: F frames, N points, D axes.
"""

import torch
from torch import Tensor

_SLACK_M = 0.06
_ACCELERATION = 20.0
"""m/s²: half of the points are within `_SLACK_M` and what this brings of where they are expected. Of people who take a
new pose four times a second 0.03 m at 30 Hz and 0.18 m at 10 Hz, of other people 0.12 m in 99 %."""
_SPEED = 4.0
"""m/s of somebody who runs: what two frames may be apart where no others tell how fast the body moves."""
_MIN_POINTS = 6
"""Points that two frames have in common at least, to be told apart."""
_MOST_STRANDS = 4
"""Last people to whom a frame may belong."""
_MOST_JUMPS = 1 / 3
"""Share of the frames at which the body may jump; with more of them the clip is none."""


class Path:
    """Points of the body over the frames that show somebody."""

    def __init__(self, places_m: Tensor, seen: Tensor, time_s: Tensor, names: Tensor | None = None):
        """Places (F, N, D), in metres, of points that are seen (F, N), at rising times (F,).

        Detectors swap left and right for a moment: `names` (M, N) are orders in which the points of one frame may stand
        as those of another; None for their own alone.
        """
        self.names = torch.arange(places_m.shape[1], device=places_m.device)[None] if names is None else names
        self.places, self.time = torch.where(seen[..., None], places_m.double(), torch.nan), time_s.double()
        velocity = self.places.diff(dim=0) / self.time.diff()[:, None, None]
        end = torch.full_like(self.places[:1], torch.nan)
        self.velocity = torch.cat([end, velocity, end])
        """(F + 1, N, D) before each frame, and after the last."""

    def jumps(self, first: Tensor, then: Tensor) -> Tensor:
        """Whether the body jumps from frames (K,) to later ones (K,)."""
        span = self.time[then] - self.time[first]
        before, after = self.velocity[first], self.velocity[then + 1]
        steps = [self.places[then][:, names] - self.places[first] for names in self.names]
        off = [
            (step - guess * span[:, None, None]).norm(dim=-1).nanmedian(1).values
            for step in steps
            for guess in (torch.zeros_like(before), before, after, (before + after) / 2)
        ]
        off = torch.stack(off).nan_to_num(torch.inf).amin(0)
        is_lone = (before.isnan() & after.isnan()).all(-1).all(-1)
        allowed = _SLACK_M + _ACCELERATION * span.square() + torch.where(is_lone, _SPEED * span, 0.0)
        told = torch.stack([(~step.isnan()).all(-1).sum(1) for step in steps]).amax(0) >= _MIN_POINTS
        return told & (off > allowed)


def strands(path: Path) -> list[Tensor]:
    """Frames (n,) of each person: the longest first; of people at the same time, all but the longest left out.

    Nobody's where the body jumps too often: the frames are out of order, or the track is of many people.
    """
    count = len(path.time)
    frames = torch.arange(count, device=path.time.device)
    torn = torch.nonzero(path.jumps(frames[:-1], frames[1:])).squeeze(1) + 1
    if len(torn) > _MOST_JUMPS * count:
        return []
    found: list[Tensor] = []
    for run in frames.tensor_split(torn.cpu()):
        # The one before is another, it may be somebody before that.
        for place in range(len(found) - 2, max(len(found) - 1 - _MOST_STRANDS, -1), -1):
            if not bool(path.jumps(found[place][-1:], run[:1])):
                found.append(torch.cat([found.pop(place), run]))
                break
        else:
            found.append(run)
    kept: list[Tensor] = []
    for strand in sorted(found, key=len, reverse=True):
        if all(bool(strand[-1] < other[0]) or bool(other[-1] < strand[0]) for other in kept):
            kept.append(strand)
    return kept

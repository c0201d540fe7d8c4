"""How smooth a clip is, found from the clip itself: one level for each group of unknowns.

A fixed level is the worst choice: what suits a walk makes a jump a catastrophe. The levels are found from above. A
first fit allows far more than is usual; what changes of velocity it leaves says how lively the person is, and so for a
second round. A fit that is smoothed leaves less than there was, so a level is what was left times a factor (`*_slack`),
and after two rounds no more: a variance that is free goes to zero. The few frames that were fitted to what is not the
person's must not make the clip pass for lively, so what is left is bounded by its median.

Legend: F frames, P unknowns, G groups.
"""

import math

import torch
from torch import Tensor

from fitting.clips.gaps import Seen
from fitting.clips.jumps import MEDIAN_OF_NORMAL
from fitting.clips.settings import ClipConfig
from fitting.sparse_body import SparseBody
from fitting.unknowns import BODY, JAW, POSITION, ROOT

_DEG = math.pi / 180
# Hips, spine1, knees, spine2, ankles, spine3, feet, neck, collars, head, shoulders, elbows, wrists.
_JOINTS_DEG = (
    0.12, 0.12, 0.04, 0.09, 0.09, 0.04, 0.045, 0.045, 0.04, 0.023, 0.023,
    0.07, 0.025, 0.025, 0.07, 0.115, 0.115, 0.13, 0.13, 0.1, 0.1,
)  # fmt: skip
"""Usual changes of velocity, an axis, as second differences of frames 1/30 s apart: of everyday motion."""
_ROOT_DEG, _JAW_DEG = 0.1, 0.02
_RAY, _LOG_DEPTH, _PLACE_M = 2e-4, 3e-4, 1.5e-3
_EXPRESSION = 7e-3
_SURFACE_M = 1e-4
"""Of the places of hip and shoulder keypoints, which hardly move; no level is sought."""
_FINGERS = 7e-3
"""In standard deviations of the coordinates of people's hands."""
_HANDS = 26
"""Group of the left hand; the right one follows. Before them: root, rays, depth, 21 joints, jaw, expression."""
_NO_GROUP = 28


_GIVES_WAY = 0.3
"""Levels that fall less from one of the first steps to the next do not fall."""
_MOST_OF_USUAL = 4.0
"""Second differences count for so many standard deviations of their group at most."""


class Smoothness:
    """Standard deviations of second differences, and how they are found."""

    def __init__(self, body: SparseBody, config: ClipConfig, *, in_metres: bool):
        """What is usual, for the unknowns of a body; places in metres, or as a camera sees them."""
        layout, device = body.layout, body.device
        usual = torch.full((layout.size,), _SURFACE_M, dtype=body.dtype, device=device)
        group = torch.full((layout.size,), _NO_GROUP, device=device)
        usual[ROOT], group[ROOT] = _ROOT_DEG * _DEG, 0
        usual[POSITION] = _PLACE_M if in_metres else usual.new_tensor([_RAY, _RAY, _LOG_DEPTH])
        group[POSITION] = torch.tensor([1, 1, 1 if in_metres else 2], device=device)
        usual[BODY] = usual.new_tensor(_JOINTS_DEG).repeat_interleave(3) * _DEG
        group[BODY] = 3 + torch.arange(21, device=device).repeat_interleave(3)
        usual[JAW], group[JAW] = _JAW_DEG * _DEG, 24
        start = layout.coefficients.start + body.num_groups[0]
        expression = slice(start, start + body.num_groups[1])
        usual[expression], group[expression] = _EXPRESSION, 25
        for side in range(2):
            own = layout.hand(side)
            usual[own], group[own] = _FINGERS * body.hand_spread[side, : layout.num_hand], _HANDS + side
        self.usual, self.group, self.config = usual, group, config
        self.slack = torch.full((_NO_GROUP + 1,), config.body_slack, dtype=body.dtype, device=device)
        self.slack[_HANDS:] = config.hand_slack

    def start(self, residual: Tensor, seen: Seen) -> Tensor:
        """Levels (G,) of the first step, from second differences (F - 2, P) of where the frames start.

        Frames that were fitted alone jump from one to the next. Held at once to what is usual, they would follow each
        other and leave their keypoints, whose loss is bounded: so they are held as they are, then ever more.
        """
        everything = Seen(body=torch.ones_like(seen.body), hands=torch.ones_like(seen.hands))
        (level, number), (of_all, _) = (self._found(residual, own) for own in (seen, everything))
        return torch.where(number > 0, level, of_all).clamp(min=self.config.first_slack)

    def tightened(self, level: Tensor, residual: Tensor, seen: Seen) -> Tensor | None:
        """Levels (G,) of the step after one with some levels, which left second differences (F - 2, P): lower ones,
        where the frames give way; None where they do no more."""
        found = self._found(residual, seen)[0]
        lower = found.clamp(min=self.config.first_slack)
        return lower if bool((lower < _GIVES_WAY * level).any()) else None

    def weight(self, residual: Tensor, seen: Seen) -> Tensor:
        """Weights (P,) from second differences (F - 2, P) of frames that show what they show (F).

        A group none of whose three frames in a row are seen is taken to be as usual.
        """
        found, number = self._found(residual, seen)
        level = (found * self.slack).clamp(self.config.min_level, self.config.max_level)
        return self.weight_of(torch.where(number > 0, level, 1.0))

    def _found(self, residual: Tensor, seen: Seen) -> tuple[Tensor, Tensor]:
        """Second differences of each group in what is usual, root mean square (G,), and of how many (G,).

        The largest count for `_MOST_OF_USUAL` times what is usual in the clip: where a limb of a frame was fitted to
        what is not its own, it is to follow its neighbours, not to make the whole clip pass for lively. Of fingers all
        count, of which a few coordinates move and most do not.
        """
        counts = seen.body[:, None].expand(-1, len(self.group)).clone()
        for side in range(2):
            counts[:, self.group == _HANDS + side] = seen.hands[:, side, None]
        counts = counts[:-2] & counts[1:-1] & counts[2:]
        size = torch.where(counts, (residual / self.usual).abs(), torch.nan)
        level, number = self.slack.new_zeros(2, _NO_GROUP + 1)
        for group in range(_NO_GROUP + 1):
            own = size[:, self.group == group]
            if group < _HANDS:
                own = own.clamp(max=_MOST_OF_USUAL * own.nanmedian() / MEDIAN_OF_NORMAL)
            level[group] = own.square().nanmean().sqrt()
            number[group] = (~own.isnan()).sum()
        return level.nan_to_num(), number

    def weight_of(self, level: Tensor) -> Tensor:
        """Weights (P,) from levels (G,)."""
        level = level.clone()
        level[_NO_GROUP] = 1.0
        return (level[self.group] * self.usual).square().reciprocal()

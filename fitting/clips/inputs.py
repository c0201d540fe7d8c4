"""What is said of the frames of clips."""

from dataclasses import dataclass

import torch
from torch import Tensor

_MIN_STEP_S = 1e-3
"""No camera takes frames that are closer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clips:
    """Which of R rows are frames of one person's clip, and when they were taken."""

    clip: Tensor
    """(R,) int64; rows with the same number are frames of one clip of one person, in the order of time."""
    time_s: Tensor
    """(R,) float64 seconds when each row was taken, of any origin."""

    def __post_init__(self) -> None:
        count = len(self.clip)
        if self.clip.shape != (count,) or self.clip.is_floating_point():
            raise ValueError(
                f"clips need one integer a row, got {tuple(self.clip.shape)} of {self.clip.dtype} for the clip"
            )
        if self.time_s.shape != (count,):
            raise ValueError(f"clips of {count} rows need time_s ({count},), got {tuple(self.time_s.shape)}")
        unstated = torch.nonzero(~torch.isfinite(self.time_s)).flatten().tolist()
        if unstated:
            raise ValueError(
                f"clips need the time of every frame in seconds, got none for {len(unstated)} of {count} rows, first "
                f"of all row {unstated[0]}: state time_s (frame number / rate), or refine the rows one by one"
            )
        time = self.time_s.double()
        for rows in self.rows():
            early = torch.nonzero(time[rows].diff() <= _MIN_STEP_S).flatten().tolist()
            if early:
                first, then = int(rows[early[0]]), int(rows[early[0] + 1])
                step = float(time[then] - time[first])
                how = "before" if step < 0 else "less than a millisecond after" if step > 0 else "at the same time as"
                raise ValueError(
                    f"frames of a clip need rising times in seconds: row {then} of clip {int(self.clip[then])} was "
                    f"taken {how} row {first} ({float(time[then]):.6g} s and {float(time[first]):.6g} s); sort the "
                    "frames by time, and give each person a clip of their own"
                )

    def rows(self) -> list[Tensor]:
        """Rows of every clip, in their order."""
        return [torch.nonzero(self.clip == number).squeeze(1) for number in self.clip.unique()]

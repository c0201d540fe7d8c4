"""What is said of the frames of clips, and how far they are taken to belong together."""

from dataclasses import dataclass

import torch
from torch import Tensor


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
            early = torch.nonzero(time[rows].diff() <= 0).flatten().tolist()
            if early:
                first, then = int(rows[early[0]]), int(rows[early[0] + 1])
                how = "at the same time as" if time[first] == time[then] else "before"
                raise ValueError(
                    f"frames of a clip need rising times: row {then} of clip {int(self.clip[then])} was taken {how} "
                    f"row {first} ({float(time[then]):.6g} s and {float(time[first]):.6g} s); sort the frames by time, "
                    "and give each person a clip of their own"
                )

    def rows(self) -> list[Tensor]:
        """Rows of every clip, in their order."""
        return [torch.nonzero(self.clip == number).squeeze(1) for number in self.clip.unique()]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """How frames are held together. Smoothness is found from the clip itself, group by group of the unknowns."""

    max_step_s: float = 0.1
    """Frames further apart in time are not coupled: the clip is cut there."""
    max_frames: int = 256
    """Frames fitted at once, at most; a longer clip is fitted in windows that overlap."""
    overlap: int = 16
    """Frames that two windows have in common, at least; each is taken from the window in which it lies further in."""
    first_slack: float = 6.0
    """Smoothness is sought from above: the first round allows so many times the changes of velocity that are usual."""
    rounds: int = 2
    """Steps after each of which the smoothness is found anew, before the fit proper; with more of them the motion is
    taken for ever smoother."""
    body_slack: float = 1.5
    """Standard deviation of changes of velocity over what the round before left of them: of all but fingers."""
    hand_slack: float = 3.0
    """The same of fingers."""
    min_level: float = 0.2
    """Least smoothness found, in what is usual."""
    max_level: float = 30.0
    """Largest."""
    bridge_sigma_deg: float = 10.0
    """Joints of a body, or fingers of a hand, that are not seen about what lies between the frames that show them."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > (-1 if name == "rounds" else 0):
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")
        if not 3 <= self.overlap < self.max_frames:
            raise ValueError(f"overlap: expected 3 frames to max_frames, {self.max_frames}, got {self.overlap!r}")

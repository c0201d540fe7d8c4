"""How far frames are taken to belong together."""

from dataclasses import dataclass


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
    """Smoothness is sought from above: the first round allows so many times the changes of velocity that are usual, or
    those at which frames that were fitted alone do not give way any more."""
    rounds: int = 2
    """Steps after each of which the smoothness is found anew, before the fit proper; with more of them the motion is
    taken for ever smoother."""
    body_slack: float = 1.5
    """Standard deviation of changes of velocity over what the round before left of them: of all but fingers."""
    hand_slack: float = 3.0
    """The same of fingers."""
    min_level: float = 0.2
    """Least smoothness found, in what is usual."""
    max_level: float = 100.0
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

    @property
    def no_neighbour(self) -> str:
        """Why a frame is fitted alone that is not left out."""
        return f"no frame of its clip within {self.max_step_s:g} s"

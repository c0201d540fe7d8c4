"""Settings of the refinement by pixels: plain dataclasses that need no torch."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class PartPixels:
    """How the picture of one part counts."""

    size_px: int
    """Side of the picture that is drawn and compared."""
    sigma: float
    """Standard deviation that a colour (0..1) of a pixel is taken to have. Far more than its noise: what the texture
    cannot say is alike over many pixels, which therefore tell less than so many independent ones would."""
    outline_px: int
    """Pixels so near to the drawn outline do not count: hair and clothes stand off the body by more than a mean."""
    keypoint_slack: float
    """By how much the cost of all keypoints may rise, in squared standard deviations for each of the part's that is
    seen. A fit bends to the noise of its keypoints: the true people of the benchmark cost more than it, .11 for faces
    and .44 for hands on average; with 0 hardly anybody could change. One that only noise moves costs 2."""

    def __post_init__(self) -> None:
        if self.size_px < 32:
            raise ValueError(f"size_px: expected at least 32, got {self.size_px}")
        if not self.sigma > 0:
            raise ValueError(f"sigma: expected a number above 0, got {self.sigma}")
        if self.outline_px < 0:
            raise ValueError(f"outline_px: expected 0 or more, got {self.outline_px}")
        if not self.keypoint_slack >= 0:
            raise ValueError(f"keypoint_slack: expected 0 or more, got {self.keypoint_slack}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelConfig:
    """How people are refined by pixels."""

    head: PartPixels = field(
        default_factory=lambda: PartPixels(size_px=128, sigma=0.3, outline_px=1, keypoint_slack=0.1)
    )
    """Of the head."""
    hand: PartPixels = field(
        default_factory=lambda: PartPixels(size_px=128, sigma=0.3, outline_px=0, keypoint_slack=0.4)
    )
    """Of each hand."""
    iterations: int = 6
    """Steps of the solver at most, for each part."""
    robust: float = 0.1
    """Difference of colour from which on a pixel counts less."""
    num_directions: int = 16
    """Directions of the texture that are used, the longest first."""
    start_share: float = 0.03
    """A part is refined if its keypoints are off by no more than this share of its box, beyond what their own standard
    deviations explain: from further away, pixels make it worse."""
    most_loss: float = 0.2
    """Loss of a refined picture, 0..1, from which on it is taken to show something else: something in front, or looks
    that the texture knows nothing of. The part is not changed then."""
    least_gain: float = 0.1
    """Share by which the loss of the picture must fall for the part to be changed."""

    def __post_init__(self) -> None:
        for name in ("iterations", "num_directions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("robust", "start_share", "most_loss"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a number above 0, got {getattr(self, name)}")
        if not self.least_gain >= 0:
            raise ValueError(f"least_gain: expected 0 or more, got {self.least_gain}")

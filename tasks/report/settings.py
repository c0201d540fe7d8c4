"""Settings of the report page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """What the page shows."""

    title: str = "Part labels"
    """Heading of the page."""
    num_worst: int = 12
    """People with the largest relative reprojection error that are drawn."""
    num_worst_of_part: int = 3
    """People with the lowest quality of an accepted hand or face, for each of them, that are drawn as well."""
    num_random: int = 12
    """People drawn at random from the others."""
    num_by_pixels: int = 6
    """People whose head or hands gained most by pixels, drawn before and after."""
    num_tracks: int = 3
    """Tracks of data sets with groups that jitter most, and as many others, that are drawn."""
    num_failed: int = 8
    """Failed people that are shown, spread over the reasons."""
    tile_px: int = 512
    """Side of one picture."""
    jpeg_quality: int = 60
    """Of the pictures inside the page."""
    max_bytes: int = 8_000_000
    """Pictures are left out once the page reaches this size."""
    seed: int = 0
    """Of the random choice."""

    def __post_init__(self) -> None:
        for name in (
            "num_worst",
            "num_worst_of_part",
            "num_random",
            "num_by_pixels",
            "num_tracks",
            "num_failed",
            "seed",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"report.{name}: expected 0 or more, got {getattr(self, name)}")
        if not 64 <= self.tile_px <= 1024:
            raise ValueError(f"report.tile_px: expected 64 to 1024, got {self.tile_px}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"report.jpeg_quality: expected 1 to 100, got {self.jpeg_quality}")

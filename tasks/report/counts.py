"""What is counted of labels: people of a data set, and how often a reason is given."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from datasets_manifest.schema.people import PeopleCount
from tasks.report.pixels import PixelGains


@dataclass(slots=True)
class Reason:
    """How often an error code occurs."""

    example: str
    """Sample that has it."""
    detail: str
    """What is said of that sample."""
    count: int = 0
    """People."""
    failed: int = 0
    """Those of them without a label."""


@dataclass(slots=True)
class Group:
    """What is counted of one split of a data set."""

    count: PeopleCount = field(default_factory=PeopleCount)
    """People by status, and photos."""
    accepted: Counter[str] = field(default_factory=Counter)
    """Valid parts of the people with a label."""
    converged: int = 0
    """People whose fit converged."""
    pixels: PixelGains = field(default_factory=PixelGains)
    """What pixels changed."""

    @property
    def labelled(self) -> int:
        """People with a label, without those who are bridged."""
        return self.count.people - self.count.failed - self.count.bridged

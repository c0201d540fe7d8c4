"""Which verdicts stand: ``none`` takes back the last one of its reviewer, and those before it hold again as given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Said(NamedTuple):
    """What decides whether a verdict stands."""

    sample_id: str
    """Of the person."""
    part: str
    """Of the person."""
    reviewer: str
    """Who judged."""
    verdict: str
    """What was judged."""
    audit: str | None
    """The audit that it belongs to."""


def standing(said: Iterable[Said]) -> list[int]:
    """The places of the verdicts that stand.

    ``none`` takes back the last standing verdict of its reviewer on its part: of its audit if it states one, of any
    otherwise. Where there is none, it does nothing.

    Args:
        said: Verdicts from the oldest to the newest.
    """
    by_reviewer: dict[tuple[str, str, str], list[tuple[int, str | None]]] = {}
    for place, one in enumerate(said):
        own = by_reviewer.setdefault((one.sample_id, one.part, one.reviewer), [])
        if one.verdict != "none":
            own.append((place, one.audit))
            continue
        last = next((k for k in reversed(range(len(own))) if one.audit in (None, own[k][1])), None)
        if last is not None:
            del own[last]
    return sorted(place for own in by_reviewer.values() for place, _ in own)

"""Which people a page shows and in which order, as the query string of its address: links and Back need no more."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlencode

from datasets_manifest.schema.ehm_fields import PART_NAMES
from tasks.view.kinds import LABELS, Kind

ROWS_PER_PAGE = (25, 50, 100, 200)
REVIEWED, REVIEWER = "reviewed", "reviewer"
VERDICTS_OF_PARTS = tuple(f"{part}_verdict" for part in PART_NAMES)
VERDICT_WORDS = ("none", "accept", "reject", "flag", "stale")
"""What there is of a part: no verdict, the newest one, or one about a label that came out differently since."""
VERDICTS: dict[str, tuple[str, ...]] = {
    REVIEWED: ("yes", "no"),
    **dict.fromkeys(VERDICTS_OF_PARTS, VERDICT_WORDS),
    REVIEWER: (),
}
"""Filters by verdicts, and their values; of reviewers any."""
_PAGE = re.compile(r"[1-9][0-9]{0,8}")
_FLAGS = {"yes": True, "no": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Filters that all hold at once, an order, and a place in it."""

    id: str = ""
    """Sample id of the person that is looked at."""
    audit: str = ""
    """Tag of an audit (``tasks.review.audit``): its sample is shown, in the order of the draw."""
    text: str = ""
    """What a sample id has in it."""
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Column and the values, one of which a row has; an empty one stands for none."""
    verdicts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Filter of ``VERDICTS`` and the values, one of which a row has."""
    flags: tuple[tuple[str, bool], ...] = ()
    """Column and its value; a row without one has neither."""
    ranges: tuple[tuple[str, float, float], ...] = ()
    """Column, smallest and largest value; a row without one is in no range."""
    sort: str = ""
    """Column to sort by; empty: the order of the files."""
    descending: bool = False
    """Whether the largest comes first; rows without a value come last anyway."""
    page: int = 1
    """Page of the table, from 1."""
    rows: int = ROWS_PER_PAGE[1]
    """Rows of a page."""

    @classmethod
    def parse(cls, pairs: Iterable[tuple[str, str]], kind: Kind) -> Self:
        """The query of an address.

        Args:
            pairs: Names and values, as they stand there.
            kind: Whose columns they are.

        Raises:
            ValueError: A name is unknown or a value none of its kind; what was expected is said.
        """
        fields: dict[str, Any] = {}
        words: dict[str, list[str]] = {}
        verdicts: dict[str, list[str]] = {}
        flags: dict[str, bool] = {}
        ranges: dict[str, tuple[float, float]] = {}
        for name, value in pairs:
            if name in ("id", "audit", "text"):
                fields[name] = value
            elif name in kind.words:
                words.setdefault(name, []).append(value)
            elif kind is LABELS and name in VERDICTS:
                if VERDICTS[name] and value not in VERDICTS[name]:
                    expected = ", ".join(VERDICTS[name])
                    raise ValueError(f"the address says {name}={value[:40]}, expected one of {expected}")
                verdicts.setdefault(name, []).append(value)
            elif name in kind.flags:
                if value not in _FLAGS:
                    raise ValueError(f"the address says {name}={value[:40]}, expected yes or no")
                flags[name] = _FLAGS[value]
            elif name in kind.numbers:
                ranges[name] = _range(name, value)
            elif name == "sort" and value.removeprefix("-") in kind.columns:
                fields |= {"sort": value.removeprefix("-"), "descending": value.startswith("-")}
            elif name == "page" and _PAGE.fullmatch(value):
                fields["page"] = int(value)
            elif name == "rows" and value in map(str, ROWS_PER_PAGE):
                fields["rows"] = int(value)
            else:
                raise ValueError(
                    f"the address says {name[:40]}={value[:40]}, which {kind.name} do not have; begin at the table"
                )
        return cls(
            **fields,
            words=_chosen(words),
            verdicts=_chosen(verdicts),
            flags=tuple(sorted(flags.items())),
            ranges=tuple((name, *ends) for name, ends in sorted(ranges.items())),
        )

    def url(self, path: str, **changes: Any) -> str:
        """The address of a page, with some fields changed; ``id`` only where it is given."""
        query = replace(self, **({"id": ""} | changes))
        text = urlencode(list(query._pairs()))
        return f"{path}?{text}" if text else path

    @property
    def order(self) -> Self:
        """What decides whom the query shows and in which order, without the place."""
        return replace(self, id="", page=1, rows=ROWS_PER_PAGE[1])

    def _pairs(self) -> Iterator[tuple[str, str]]:
        yield from ((name, getattr(self, name)) for name in ("id", "audit", "text") if getattr(self, name))
        yield from ((name, value) for name, values in (*self.words, *self.verdicts) for value in values)
        yield from ((name, "yes" if value else "no") for name, value in self.flags)
        yield from ((name, f"{_end(low)}..{_end(high)}") for name, low, high in self.ranges)
        if self.sort:
            yield "sort", f"{'-' * self.descending}{self.sort}"
        if self.page != 1:
            yield "page", str(self.page)
        if self.rows != ROWS_PER_PAGE[1]:
            yield "rows", str(self.rows)


def _chosen(words: dict[str, list[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, tuple(dict.fromkeys(values))) for name, values in sorted(words.items()))


def media_url(stamp: str, number: int, what: str) -> str:
    """Address of a picture of a row; the stamp is that of the index which numbers it."""
    return f"/media/{stamp}/{number}/{what}"


def _range(name: str, text: str) -> tuple[float, float]:
    low, dots, high = text.partition("..")
    try:
        ends = float(low or "-inf"), float(high or "inf")
    except ValueError:
        ends = math.nan, math.nan
    if not dots or any(map(math.isnan, ends)):
        raise ValueError(f"the address says {name}={text[:40]}, expected numbers such as 0.3..0.9, 0.3.. or ..0.9")
    return ends


def _end(value: float) -> str:
    return "" if math.isinf(value) else repr(float(value)).removesuffix(".0")  # All digits: it is read again.

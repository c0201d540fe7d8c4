"""The page of what labels are like, in the style of the report, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.files import write_text
from tasks.report.figures import chart, finite
from tasks.report.templates import template
from tasks.stats.duplicates import Crops, Pair, alike
from tasks.stats.quantities import OUTLIER, QUANTITIES, PeopleNumbers, by_kind, drift

NUM_SHOWN = 30
"""Outliers and pairs that are listed."""


def figures(numbers: PeopleNumbers, crops: Crops | None, before: PeopleNumbers | None) -> dict[str, Any]:
    """Everything, as JSON takes it; what was not asked for is not in it."""
    groups = Counter("/".join(group) for group in numbers.groups)
    found: dict[str, Any] = {
        "people": len(numbers.samples),
        "datasets": dict(sorted(groups.items())),
        "quantities": numbers.figures(),
        "outliers": {"people": numbers.num_outliers(), "farthest": numbers.outliers(NUM_SHOWN)},
    }
    if crops is not None:
        found["duplicates"] = _duplicates(crops)
    if before is not None:
        found["drift"] = drift(numbers, before)
    return found


def _duplicates(crops: Crops) -> dict[str, Any]:
    pairs = alike(crops.found)
    across = [pair for pair in pairs if pair.across]
    within = [pair for pair in pairs if not pair.across]

    def told(pair: Pair) -> dict[str, Any]:
        return {"a": pair.a.sample_id, "b": pair.b.sample_id, "bits": pair.bits}

    return {
        "crops": len(crops.found),
        "plain": crops.plain,
        "photos_lost": len(crops.lost),
        "across": len(across),
        "within": len(within),
        "pairs": [told(pair) for pair in [*across[:NUM_SHOWN], *within[:NUM_SHOWN]]],
    }


def write_page(name: str, numbers: PeopleNumbers, told: dict[str, Any], against: str, out: Path) -> None:
    """Writes the page.

    Args:
        name: What the labels are called.
        numbers: Of their people.
        told: What ``figures`` gives of them.
        against: What the labels are called that they are held against; empty: none.
        out: The page.
    """
    kinds = [
        (
            kind,
            [(QUANTITIES[each], told["quantities"][each]) for each in own],
            [_chart(each, numbers.values(each)) for each in own],
        )
        for kind, own in by_kind(list(told["quantities"])).items()
    ]
    page = template(Path(__file__).parent, "stats.html.j2").render(
        title="What the labels are like",
        name=name,
        against=against,
        told=told,
        kinds=kinds,
        titles={each: own.title for each, own in QUANTITIES.items()},
        units={each: own.unit for each, own in QUANTITIES.items()},
        outlier=OUTLIER,
        duplicates=told.get("duplicates"),
        drift=told.get("drift", {}),
    )
    write_text(out, page)


def _chart(name: str, values: np.ndarray) -> dict[str, Any]:
    """From 0 on, or from the lowest where that is far from 0."""
    low, high = np.percentile(finite(values), [1, 98])
    quantity = QUANTITIES[name]
    return chart(quantity.title, values, quantity.unit, float(low) if low > high / 2 else 0.0)


def lines(told: dict[str, Any]) -> list[str]:
    """The main figures for a terminal."""
    found = [f"{told['people']} people with a label in {', '.join(told['datasets'])}"]
    for name, own in told["quantities"].items():
        quantity = QUANTITIES[name]
        found.append(f"{quantity.title}: {own['median']} ({own['p5']} to {own['p95']}) {quantity.unit}".rstrip())
    found.append(f"more than {OUTLIER:g} spreads out in something: {told['outliers']['people']} people")
    if twice := told.get("duplicates"):
        found.append(f"{twice['across']} pairs look alike across splits or data sets, {twice['within']} within one")
        if twice["photos_lost"]:
            found.append(f"{twice['photos_lost']} photos cannot be read and were not compared")
    for name, own in told.get("drift", {}).items():
        if own["largest_gap"] > own["gap_of_chance"]:
            found.append(f"{QUANTITIES[name].title}: median {own['before']} before, {own['now']} now")
    return found

"""The page of two sets of labels, in the style of the report: one static HTML file with everything inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.files import write_text
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.labels import PART_NAMES
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.sources.images import ImageError
from datasets_manifest.stores import Place
from model.body.ehms import EHMs
from model.metrics.summary import paired_difference
from model.renderer.overlay import encode_jpeg
from tasks.compare.differences import CHANGED, MOVED, Differences, Worst
from tasks.compare.pairs import label_groups, paired_people, same_groups
from tasks.report.figures import PART_TITLES, chart
from tasks.report.page import draw_label
from tasks.report.provenance import Provenance
from tasks.report.templates import template
from tasks.report.track_cards import ImageLoader

TILE_PX = 360
JPEG_QUALITY = 60


def compare_labels(a: Place, b: Place, body: EHMs, num_worst: int) -> tuple[Differences, tuple[Provenance, Provenance]]:
    """Compares the labels below two folders.

    Args:
        a: A folder of labels, of all data sets or of one.
        b: Another.
        body: The body model of both.
        num_worst: How many of those who are farthest apart to keep.

    Returns:
        What moved, and where the labels of each come from.

    Raises:
        ValueError: A folder has no labels, they have no data set in common, or are of another body.
    """
    groups = label_groups(a), label_groups(b)
    common = same_groups(*groups)
    differences, origins = Differences(body, num_worst), (Provenance(), Provenance())
    for own, found, side in zip(groups, origins, (0, 1), strict=True):
        for path in (path for pair in common for path in own[pair[side]]):
            footer = read_footer(path)
            if body_identity(footer.body_model) not in (None, body_identity(body.assets.entry)):
                raise ValueError(
                    f"{path} is of the body {body_name(footer.body_model)}, the settings have "
                    f"{body_name(body.assets.entry)}; labels of two bodies cannot be compared"
                )
            found.add(footer)
    for first, second in common:
        for paired in paired_people(groups[0][first], groups[1][second]):
            differences.add(paired)
    return differences, origins


def write_page(
    names: tuple[str, str],
    differences: Differences,
    origins: tuple[Provenance, Provenance],
    photo: ImageLoader,
    body: EHMs,
    out: Path,
) -> None:
    """Writes the page.

    Args:
        names: What the two sets are called.
        differences: What moved.
        origins: Where the labels come from.
        photo: Gives the photos of those who are farthest apart.
        body: Their body model.
        out: The page.
    """
    figures = differences.figures()
    charts = [chart(own.title, differences.values(name), own.unit) for name, own in MOVED.items()]
    page = template(Path(__file__).parent, "compare.html.j2").render(
        title="Two sets of labels",
        names=names,
        figures=figures,
        moved=[(MOVED[name], own) for name, own in figures["moved"].items()],
        changed=[(CHANGED[name], own, _is_sure(differences.values(name))) for name, own in figures["changed"].items()],
        charts=[own for own in charts if own["count"]],
        parts=[(PART_TITLES[part], figures["agreement"][part]) for part in PART_NAMES],
        states=[state.value for state in Status],
        status={(own["a"], own["b"]): own["people"] for own in figures["status"]},
        worst=list(_cards(differences.worst, photo, body)),
        origins=origins,
    )
    write_text(out, page)


def _is_sure(values: np.ndarray) -> bool:
    gap = paired_difference(values, np.zeros(len(values)))
    return gap is not None and gap.is_sure


def _cards(worst: Sequence[Worst], photo: ImageLoader, body: EHMs) -> list[dict[str, Any]]:
    found = []
    for own in worst:
        card: dict[str, Any] = {"a": own.a["sample_id"], "b": own.b["sample_id"], "mm": own.joints_mm, "problem": ""}
        try:
            shown = photo(own.a["dataset"], own.a["split"], own.a["image"])
        except (ImageError, OSError) as error:
            found.append(card | {"image": None, "problem": f"The photo cannot be shown: {error}"})
            continue
        rows = [draw_label(shown, label, body, TILE_PX) for label in (own.a, own.b)]
        sheet = np.concatenate(rows)
        data = base64.b64encode(encode_jpeg(sheet, JPEG_QUALITY)).decode("ascii")
        size = {"width": sheet.shape[1], "height": sheet.shape[0]}
        found.append(card | {"image": f"data:image/jpeg;base64,{data}"} | size)
    return found


def lines(names: tuple[str, str], differences: Differences) -> list[str]:
    """The main figures for a terminal."""
    figures = differences.figures()
    people = figures["people"]
    told = [
        f"{people['both']} people in both ({people['labelled_in_both']} with a label in both), {people['only_a']} only "
        f"in {names[0]}, {people['only_b']} only in {names[1]}"
    ]
    for name, own in figures["moved"].items():
        quantity = MOVED[name]
        told.append(
            f"{quantity.title}: median {own['median']} {quantity.unit}, 95 % below {own['p95']}, {own['people']} people"
        )
    for name, own in figures["changed"].items():
        if _is_sure(differences.values(name)):
            told.append(f"{CHANGED[name].title}: {own['mean']:+} ± {own['se']} {CHANGED[name].unit}".rstrip())
    return told

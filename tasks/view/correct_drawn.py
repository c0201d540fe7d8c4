"""What is drawn while keypoints are corrected: the points over the photo, and the person before and after."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from nicegui import ui

from datasets_manifest.schema.ehm_fields import PART_NAMES
from tasks.view.words import part_figures, part_name

_COLOURS = {"found": "#18b0ff", "moved": "#ff2fd0"}


def points_svg(points: np.ndarray, shown: Iterable[int], moved: Collection[int], chosen: int) -> str:
    """Circles at keypoints, as SVG.

    Args:
        points: (K, 3) px of the picture and score; those without a score are nowhere.
        shown: Which are drawn.
        moved: Which of them somebody has put where they are.
        chosen: Which one has a ring.
    """
    drawn = []
    for k in shown:
        x, y, score = points[k].tolist()
        if score <= 0:
            continue
        colour = _COLOURS["moved" if k in moved else "found"]
        drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" stroke="white" stroke-width="1"/>')
        if k == chosen:
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="none" stroke="#ffe000" stroke-width="2"/>')
    return "".join(drawn)


class Side:
    """The person before or after, with the figures of the parts."""

    def __init__(self, name: str) -> None:
        """Takes what it is called, such as before."""
        with ui.column().classes("gap-0"):
            ui.label(name)
            self._image = ui.element("img").style("width:330px;height:330px;background:#eceef1").mark(name)
            self._figures = ui.label().classes("text-caption").style("white-space:pre-line")

    def show(self, row: dict[str, Any], address: str) -> None:
        """A label, or none."""
        self._image.visible = bool(address)
        self._image.props["src"] = address
        self._image.update()
        self._figures.text = "\n".join(f"{part_name(p)}: {part_figures(row, p)}" for p in PART_NAMES) if row else ""

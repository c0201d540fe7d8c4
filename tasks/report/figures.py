"""Histograms: as inline SVG for the report page, as one PNG for ``dvc plots``."""

import io
from typing import Any

import numpy as np
from markupsafe import Markup

from datasets_manifest.schema.labels import PART_NAMES

_MAX_POINTS = 4096
"""Points of a curve: more than the picture has columns, and few enough for millions of people."""
PART_TITLES = {"body": "Body", "left_hand": "Left hand", "right_hand": "Right hand", "face": "Face"}


def finite(values: np.ndarray) -> np.ndarray:
    """The finite numbers of a column (N,)."""
    values = np.asarray(values, dtype=np.float64)
    return values[np.isfinite(values)]


def histogram(values: np.ndarray, num_bins: int = 24, low: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Counts (bins,) and edges (bins + 1,) from a value to the 98th percentile; what lies beyond falls into the first
    and the last bin."""
    values = finite(values)
    top = max(float(np.percentile(values, 98)), low + 1e-6) if len(values) else low + 1.0
    counts, edges = np.histogram(np.clip(values, low, top), bins=num_bins, range=(low, top))
    return counts, edges


def histogram_svg(values: np.ndarray, unit: str, *, low: float = 0.0, width: int = 320, height: int = 120) -> Markup:
    """A histogram that begins at a value, with its median and 95th percentile, coloured by the page's CSS (classes
    bar, mark, axis)."""
    values = finite(values)
    if not len(values):
        return Markup('<p class="empty">no values</p>')
    counts, edges = histogram(values, low=low)
    base, left = height - 18, 4
    step = (width - 2 * left) / len(counts)
    tallest = max(int(counts.max()), 1)
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="histogram of {len(values)} values">']
    for k, count in enumerate(counts):
        if count:
            tall = max(1.0, (base - 14) * count / tallest)
            title = f"{edges[k]:.3g} to {edges[k + 1]:.3g} {unit}: {count}"
            parts.append(
                f'<rect class="bar" x="{left + k * step:.1f}" y="{base - tall:.1f}" width="{max(step - 1, 1):.1f}" '
                f'height="{tall:.1f}"><title>{title}</title></rect>'
            )
    parts.append(f'<line class="axis" x1="{left}" x2="{width - left}" y1="{base}" y2="{base}"/>')
    median, high = np.percentile(values, [50, 95])
    for name, value in (("median", median), ("95 %", high)):
        share = np.clip((value - low) / (edges[-1] - low), 0.0, 1.0)
        x = left + share * (width - 2 * left)
        title = f"{name}: {value:.3g} {unit}"
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{base}"><title>{title}</title></line>')
    parts.append(f'<text class="tick" x="{left}" y="{height - 4}">{low:.3g}</text>')
    parts.append(
        f'<text class="tick" x="{width - left}" y="{height - 4}" text-anchor="end">{edges[-1]:.3g} {unit}</text>'
    )
    parts.append("</svg>")
    return Markup("".join(parts))


def chart(title: str, values: np.ndarray, unit: str, low: float = 0.0) -> dict[str, Any]:
    """A histogram from a value on, with its title, median, 95th percentile and count, as the template draws it."""
    values = finite(values)
    median, high = np.percentile(values, [50, 95]) if len(values) else (None, None)
    return {
        "title": title,
        "unit": unit,
        "svg": histogram_svg(values, unit, low=low),
        "count": len(values),
        "median": median,
        "high": high,
    }


def error_plot_png(residuals_px: dict[str, np.ndarray]) -> bytes:
    """PNG of the reprojection error by part: share of people below each error, px."""
    from matplotlib.figure import Figure  # Dear to import.

    figure = Figure(figsize=(7.0, 4.0), dpi=110, layout="constrained")
    axes = figure.subplots()
    colours = {"body": "#3d6fb6", "left_hand": "#2f9e8f", "right_hand": "#d9822b", "face": "#8b5fbf"}
    highest = 1.0
    for part in PART_NAMES:
        values = np.sort(finite(residuals_px.get(part, np.zeros(0))))
        if len(values):
            highest = max(highest, float(np.percentile(values, 98)))
            label = f"{PART_TITLES[part]}: median {np.median(values):.2f} px, {len(values)} people"
            drawn = np.linspace(0, len(values) - 1, min(len(values), _MAX_POINTS)).round().astype(int)
            axes.step(values[drawn], (drawn + 1) / len(values), where="post", color=colours[part], label=label)
    axes.set(
        xlim=(0, highest), ylim=(0, 1), xlabel="median reprojection error of a person, px", ylabel="share of people"
    )
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8, frameon=False)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()

"""The page a person looks at after a run: counts, reasons, errors, and people drawn over their photos.

One static HTML file with everything inside: it asks for nothing, works offline, and its size is bounded. The scalars of
all labels are read, the rest only for the people that are drawn.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from datasets_manifest.files import write_bytes, write_text
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.sources.images import ImageError
from model.body.ehms import EHMs
from model.renderer.overlay import encode_jpeg, person_photo, person_sheet, side_colours
from tasks.posing import pose_bodies
from tasks.report.data import (
    Columns,
    card,
    choose,
    count_states,
    list_datasets,
    list_reasons,
    provenance,
    read_scalars,
)
from tasks.report.figures import PART_TITLES, error_plot_png, finite, histogram_svg

ImageLoader = Callable[[str, str, str], np.ndarray]
"""(dataset, split, image) -> (H, W, 3) uint8 RGB; raises ImageError or OSError where the photo cannot be had."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """What the page shows."""

    title: str = "Part labels"
    """Heading of the page."""
    num_worst: int = 12
    """People with the largest relative reprojection error that are drawn."""
    num_random: int = 12
    """People drawn at random from the others."""
    num_failed: int = 8
    """Failed people that are shown, spread over the reasons."""
    tile_px: int = 256
    """Side of one picture."""
    jpeg_quality: int = 82
    """Of the pictures inside the page."""
    max_bytes: int = 8_000_000
    """Pictures are left out once the page reaches this size."""
    seed: int = 0
    """Of the random choice."""

    def __post_init__(self) -> None:
        for name in ("num_worst", "num_random", "num_failed", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"report.{name}: expected 0 or more, got {getattr(self, name)}")
        if not 64 <= self.tile_px <= 1024:
            raise ValueError(f"report.tile_px: expected 64 to 1024, got {self.tile_px}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"report.jpeg_quality: expected 1 to 100, got {self.jpeg_quality}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSummary:
    """What was written."""

    path: Path
    """The page."""
    num_people: int
    """Rows of all labels."""
    counts: dict[str, int]
    """People by status."""
    reasons: dict[str, int]
    """People by error code, the most frequent first."""
    num_drawn: int
    """People with pictures on the page."""
    size_bytes: int
    """Size of the page."""


def write_report(
    labels_dir: Path,
    image_loader: ImageLoader,
    ehm: EHMs,
    out: Path,
    config: ReportConfig | None = None,
    *,
    plot: Path | None = None,
) -> ReportSummary:
    """Writes the page of all labels below a folder.

    Args:
        labels_dir: folder of label shards, ``<dataset>/<split>/<shard>.parquet``.
        image_loader: gives the photos; called once for each person drawn.
        ehm: the body model the labels were made with.
        out: the page.
        config: what to show.
        plot: where to put a PNG of the error distribution as well, for ``dvc plots``.

    Raises:
        ValueError: there are no labels, or they were made with another body model.
    """
    config = config or ReportConfig()
    shards, footers = _label_shards(Path(labels_dir))
    _check_body_model(ehm, footers)
    people = read_scalars(shards)
    errors = {part: people[f"reproj_{part}_px"] for part in PART_NAMES}
    worst, random, failed = choose(
        people,
        num_worst=config.num_worst,
        num_random=config.num_random,
        num_failed=config.num_failed,
        seed=config.seed,
    )
    legend = "Photo with keypoints, mesh over the photo, mesh from the side."
    groups = [
        _group("Largest errors", f"By relative reprojection error, the worst first. {legend}", people, worst),
        _group("Drawn at random", f"From all other people with a label. {legend}", people, random),
        _group("Failed", "Spread over the reasons; the photo alone, since there is no label.", people, failed),
    ]
    room = config.max_bytes
    for group in groups:
        room = _draw_group(group, shards, image_loader, ehm, config, room)
    counts, reasons = count_states(people), list_reasons(people)
    page = _render(config, people, groups, reasons, counts, footers)
    write_text(Path(out), page)
    if plot is not None:
        write_bytes(Path(plot), error_plot_png(errors))
    return ReportSummary(
        path=Path(out),
        num_people=len(people["status"]),
        counts=counts,
        reasons={row["code"]: row["count"] for row in reasons},
        num_drawn=sum(card["image"] is not None for group in groups for card in group["cards"]),
        size_bytes=len(page.encode("utf-8")),
    )


def _label_shards(labels_dir: Path) -> tuple[list[Path], list[Footer]]:
    shards = sorted(path for path in labels_dir.rglob("*.parquet") if not path.name.startswith("."))
    if not shards:
        raise ValueError(f"no labels (*.parquet) below {labels_dir}: run the annotation first")
    return shards, [read_footer(path) for path in shards]


def _check_body_model(ehm: EHMs, footers: Sequence[Footer]) -> None:
    known = {footer.body_model["sha256"] for footer in footers if footer.body_model.get("sha256")}
    if known and known != {ehm.assets.sha256}:
        raise ValueError(
            f"the labels are of the body model {', '.join(sorted(k[:12] for k in known))}, the given one is "
            f"{ehm.assets.sha256[:12]} ({ehm.assets.smplx.name}): give the model named in the labels' footer"
        )


def _group(title: str, note: str, people: Columns, chosen: Sequence[int]) -> dict[str, Any]:
    return {"title": title, "note": note, "cards": [card(people, index) for index in chosen], "left_out": 0}


def _draw_group(
    group: dict[str, Any],
    shards: Sequence[Path],
    image_loader: ImageLoader,
    ehm: EHMs,
    config: ReportConfig,
    room: int,
) -> int:
    """Fills in the pictures of a group one person at a time while there is room, bytes; returns the room left."""
    colours = side_colours(ehm.assets)
    cards = {entry["place"]: entry for entry in group["cards"]}
    for shard in sorted({shard for shard, _ in cards}):
        table = read_shard(shards[shard], LABEL_SCHEMA)
        for place in sorted(place for place in cards if place[0] == shard):
            if room <= 0:
                group["left_out"] += 1
                continue
            label = table.slice(place[1], 1).to_pylist()[0]
            try:
                photo = image_loader(label["dataset"], label["split"], label["image"])
            except (ImageError, OSError) as error:
                cards[place]["problem"] = f"The photo cannot be shown: {error}"
                continue
            sheet = draw_label(photo, label, ehm, colours, config.tile_px)
            data = base64.b64encode(encode_jpeg(sheet, config.jpeg_quality)).decode("ascii")
            height, width = sheet.shape[:2]
            cards[place] |= {"image": f"data:image/jpeg;base64,{data}", "width": width, "height": height}
            room -= len(data)
    return room


def draw_label(photo: np.ndarray, label: dict[str, Any], ehm: EHMs, colours: np.ndarray, tile_px: int) -> np.ndarray:
    """Pictures (tile, n tile, 3) of one label row: three tiles, or the photo alone where there is no label."""
    height, width = photo.shape[:2]
    box = np.array([0, 0, width, height], float) if label["bbox_xyxy"] is None else np.asarray(label["bbox_xyxy"])
    keypoints = None if label["keypoints_2d"] is None else np.asarray(label["keypoints_2d"]).reshape(-1, 3)
    needed = ("transl_m", "global_orient", "body_pose", "focal_px", "principal_px")
    if label["status"] == Status.FAILED.value or any(label[name] is None for name in needed):
        return person_photo(photo, box, keypoints, tile_px)
    columns = {name: np.asarray(label[name])[None] for name in LABEL_PARAMETERS if label.get(name)}
    vertices = pose_bodies(ehm, columns).vertices[0].numpy().astype(np.float64)
    faces = np.asarray(ehm.assets.smplx.faces)
    focal, principal = float(label["focal_px"]), np.asarray(label["principal_px"])
    return person_sheet(photo, box, keypoints, vertices, faces, focal, principal, colours=colours, tile_px=tile_px)


def _render(
    config: ReportConfig,
    people: Columns,
    groups: list[dict[str, Any]],
    reasons: list[dict[str, Any]],
    counts: dict[str, int],
    footers: Sequence[Footer],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    charts = [_chart(PART_TITLES[part], people[f"reproj_{part}_px"], "px") for part in PART_NAMES]
    charts.append(_chart("All inliers over the box's longer side", 100 * people["reproj_rel"], "%"))
    charts.append(_chart("Quality", people["quality"], ""))
    return environment.get_template("page.html.j2").render(
        title=config.title,
        num_people=len(people["status"]),
        counts=counts,
        parts=[{"title": PART_TITLES[part], "count": int(people[f"{part}_valid"].sum())} for part in PART_NAMES],
        datasets=list_datasets(people),
        reasons=reasons,
        charts=charts,
        groups=[group for group in groups if group["cards"]],
        provenance=provenance(footers),
    )


def _chart(title: str, values: np.ndarray, unit: str) -> dict[str, Any]:
    values = finite(values)
    median, high = np.percentile(values, [50, 95]) if len(values) else (None, None)
    return {
        "title": title,
        "unit": unit,
        "svg": histogram_svg(values, unit),
        "count": len(values),
        "median": median,
        "high": high,
    }

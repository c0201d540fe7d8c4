"""The page a person looks at after a run: counts, reasons, errors, and people drawn over their photos.

One static HTML file with everything inside: it asks for nothing, works offline, and its size is bounded. Of
the labels only scalars were gathered (``tasks.report.data``); whole rows are read for the people that are drawn.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets_manifest.files import write_bytes, write_text
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.labels import PART_NAMES
from datasets_manifest.schema.people import PeopleCount
from datasets_manifest.schema.rle import Rle
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.sources.images import ImageError
from datasets_manifest.stores import Place
from model.body.ehms import EHMs
from model.renderer.overlay import encode_jpeg, person_photo, person_sheet, side_colours, vertex_limbs, vertex_parts
from tasks.lenses import lens_of
from tasks.posing import pose_bodies
from tasks.report.data import LabelStatistics, card
from tasks.report.figures import PART_TITLES, chart, error_plot_png
from tasks.report.pixels import PIXEL_TITLES, PixelGains, draw_changes, label_columns
from tasks.report.provenance import Provenance
from tasks.report.settings import ReportConfig
from tasks.report.templates import template
from tasks.report.track_cards import ImageLoader, track_cards

Draw = Callable[[np.ndarray, Mapping[str, Any], EHMs, int], np.ndarray]
"""(photo, label row, body, side of one picture) -> pictures (h, w, 3) uint8 RGB."""
_JITTER = {
    "Acceleration of the joints, relative to the pelvis": "joints_m_s2",
    "Acceleration of the pelvis": "place_m_s2",
}
_MASK_COLOUR = (255, 220, 0)
STRIP = "Of each changed part: photo, mesh as keypoints alone had it, mesh as it is now; click to enlarge."


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSummary:
    """What was written."""

    path: Path
    """The page."""
    count: PeopleCount
    """People by status, and photos."""
    reasons: dict[str, int]
    """People by error code, the most frequent first."""
    num_drawn: int
    """People with pictures on the page."""
    size_bytes: int
    """Size of the page."""


def write_report(
    labels: LabelStatistics,
    image_loader: ImageLoader,
    ehm: EHMs,
    out: Path,
    *,
    plot: Path | None = None,
    retry: Callable[[Place], str] = lambda _: "",
) -> ReportSummary:
    """Writes the page of some labels.

    Args:
        labels: what is known of them, and the settings of the page.
        image_loader: gives the photos; called once for each person drawn.
        ehm: the body model the labels were made with.
        out: the page.
        plot: where to put a PNG of the error distribution as well, for ``dvc plots``.
        retry: gives the command that does the shard of a label file again; empty where there is none.

    Raises:
        ValueError: the labels were made with another body model.
    """
    config = labels.config
    _check_body_model(ehm, labels.provenance)
    worst, random, failed, empty = labels.choose()
    parts = [row for row in labels.worst_parts() if row not in worst]
    random = [row for row in random if row not in parts]
    changed = labels.changed_most()
    rows = labels.read([*worst, *parts, *changed, *random, *failed, *empty])
    legend = "Photo with keypoints, mesh over the photo, mesh from the side; refused parts and limbs are hatched red."
    groups = [
        _group("Largest errors", f"By relative reprojection error, the worst first. {legend}", rows, worst),
        _group("Poorest hands and faces", f"The lowest quality among accepted ones. {legend}", rows, parts),
        _group("Changed most by pixels", f"By the largest gain of a part. {STRIP}", rows, changed, draw=_draw_changes),
        _group("Drawn at random", f"From all other people with a label. {legend}", rows, random),
        _group("Failed", "Spread over the reasons; the photo alone, since there is no label.", rows, failed),
        _group("Photos without people", "Nobody was found in them, and nobody is counted.", rows, empty),
    ]
    for person, entry in groups[4]["by_person"].items():
        entry["retry"] = retry(labels.path_of(person))
    tracks, room = track_cards(labels.tracks, image_loader, ehm, config, config.max_bytes)
    for group in groups:
        room = _draw_group(group, rows, image_loader, ehm, config, room)
    reasons = labels.list_reasons()
    page = _render(labels, groups, reasons, tracks)
    write_text(Path(out), page)
    if plot is not None:
        write_bytes(Path(plot), error_plot_png({part: labels.numbers(f"reproj_{part}_px") for part in PART_NAMES}))
    return ReportSummary(
        path=Path(out),
        count=labels.count,
        reasons={row["code"]: row["count"] for row in reasons},
        num_drawn=sum(card["image"] is not None for group in groups for card in group["cards"]),
        size_bytes=len(page.encode("utf-8")),
    )


def _check_body_model(ehm: EHMs, provenance: Provenance) -> None:
    known = {body_identity(body): body for body in provenance.body_models.values() if body_identity(body)}
    if known and known.keys() != {body_identity(ehm.assets.entry)}:
        raise ValueError(
            f"the labels are of the body model {', '.join(sorted(map(body_name, known.values())))}, the given one is "
            f"{body_name(ehm.assets.entry)}: give the model named in the labels' footer"
        )


def _group(
    title: str,
    note: str,
    rows: Mapping[int, Mapping[str, Any]],
    chosen: Sequence[int],
    draw: Draw | None = None,
) -> dict[str, Any]:
    cards = {person: card(rows[person]) for person in chosen}
    has_bodies = any(entry["status"] != Status.FAILED for entry in cards.values())
    return {
        "title": title,
        "note": note,
        "has_bodies": has_bodies,
        "cards": list(cards.values()),
        "by_person": cards,
        "left_out": 0,
        "draw": draw or draw_label,
    }


def _draw_group(
    group: dict[str, Any],
    rows: Mapping[int, Mapping[str, Any]],
    image_loader: ImageLoader,
    ehm: EHMs,
    config: ReportConfig,
    room: int,
) -> int:
    """Fills in the pictures of a group one person at a time while there is room, bytes; returns the room left."""
    for person, entry in sorted(group["by_person"].items()):
        if room <= 0:
            group["left_out"] += 1
            continue
        label = rows[person]
        try:
            photo = image_loader(label["dataset"], label["split"], label["image"])
        except (ImageError, OSError) as error:
            entry["problem"] = f"The photo cannot be shown: {error}"
            continue
        sheet = group["draw"](photo, label, ehm, config.tile_px)
        data = base64.b64encode(encode_jpeg(sheet, config.jpeg_quality)).decode("ascii")
        height, width = sheet.shape[:2]
        entry |= {"image": f"data:image/jpeg;base64,{data}", "width": width, "height": height}
        room -= len(data)
    return room


def draw_label(photo: np.ndarray, label: Mapping[str, Any], ehm: EHMs, tile_px: int) -> np.ndarray:
    """Pictures (tile, n tile, 3) of a label row: three, refused parts and limbs hatched; without a label the photo."""
    photo = _outlined(photo, Rle.of_value(label.get("mask")))
    height, width = photo.shape[:2]
    box = np.array([0, 0, width, height], float) if label["bbox_xyxy"] is None else np.asarray(label["bbox_xyxy"])
    keypoints = None if label["keypoints_2d"] is None else np.asarray(label["keypoints_2d"]).reshape(-1, 3)
    needed = ("transl_m", "global_orient", "body_pose", "focal_px", "principal_px")
    if label["status"] == Status.FAILED.value or any(label[name] is None for name in needed):
        return person_photo(photo, box, keypoints, tile_px)
    vertices = pose_bodies(ehm, label_columns(label)).vertices[0].numpy().astype(np.float64)
    faces = np.asarray(ehm.assets.smplx.faces)
    focal, principal = float(label["focal_px"]), np.asarray(label["principal_px"])
    return person_sheet(
        photo,
        box,
        keypoints,
        vertices,
        faces,
        focal,
        principal,
        lens=lens_of(label),
        colours=side_colours(ehm.assets),
        refused=refused_vertices(label, ehm),
        tile_px=tile_px,
    )


def _outlined(photo: np.ndarray, mask: Rle | None) -> np.ndarray:
    """The photo with the outline of the data set's mask, if it has one of this size."""
    if mask is None or mask.size != photo.shape[:2]:
        return photo
    outlines, _ = cv2.findContours(mask.mask().astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(photo.copy(), outlines, -1, _MASK_COLOUR, max(1, round(max(photo.shape) / 600)))


def _draw_changes(photo: np.ndarray, label: Mapping[str, Any], ehm: EHMs, tile_px: int) -> np.ndarray:
    return np.concatenate(draw_changes(photo, label, ehm, tile_px))


def refused_vertices(label: Mapping[str, Any], ehm: EHMs) -> np.ndarray:
    """Which vertices (V,) are of a part, or of a limb of the body, that may not supervise."""
    parts = vertex_parts(ehm.assets)
    refused = np.array([not label[f"{part}_valid"] for part in PART_NAMES])[parts]
    if label["body_group_valid"] is None:
        return refused
    of_limb = ~np.array(label["body_group_valid"], bool)[vertex_limbs(ehm.assets)]
    return refused | (of_limb & (parts == PART_NAMES.index("body")))


def _render(
    labels: LabelStatistics,
    groups: list[dict[str, Any]],
    reasons: list[dict[str, Any]],
    tracks: list[dict[str, Any]],
) -> str:
    charts = [chart(PART_TITLES[part], labels.numbers(f"reproj_{part}_px"), "px") for part in PART_NAMES]
    charts.append(chart("All inliers over the box's longer side", 100 * labels.numbers("reproj_rel"), "%"))
    charts += [chart(f"Quality: {PART_TITLES[part]}", labels.numbers(f"{part}_quality"), "") for part in PART_NAMES]
    pixels = PixelGains.of_all(group.pixels for group in labels.groups.values())
    return template(Path(__file__).parent, "page.html.j2").render(
        title=labels.config.title,
        count=labels.count,
        parts=[{"title": PART_TITLES[part], "count": labels.count_valid(part)} for part in PART_NAMES],
        datasets=labels.list_datasets(),
        reasons=reasons,
        charts=charts,
        pixels=pixels,
        pixel_titles=PIXEL_TITLES,
        groups=[group for group in groups if group["cards"]],
        in_groups={"/".join(name): counts for name, counts in sorted(labels.tracks.datasets.items())},
        track_charts=[chart(title, labels.tracks.numbers(name), "m/s²") for title, name in _JITTER.items()],
        tracks=tracks,
        provenance=labels.provenance,
    )

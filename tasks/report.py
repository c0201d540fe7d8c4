"""The page a person looks at after a run: counts, reasons, errors, and people drawn over their photos.

One static HTML file with everything inside: it asks for nothing, works offline, and its size is bounded. The scalars of
all labels are read, the rest only for the people that are drawn.
"""

import base64
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from datasets_manifest.error_codes import ERROR_SENTENCES, ErrorCode, Status
from datasets_manifest.images import ImageError
from datasets_manifest.labels import LABEL_SCHEMA
from datasets_manifest.store import Footer, read_footer, read_shard
from model.body.ehms import EHMs
from model.renderer.overlay import encode_jpeg, person_sheet, side_colours
from tasks.files import write_bytes, write_text
from tasks.posing import ROTATION_COLUMNS, VECTOR_COLUMNS, pose_bodies
from tasks.report_figures import PART_TITLES, PARTS, error_plot_png, finite, histogram_svg

ImageLoader = Callable[[str, str, str], np.ndarray]
"""(dataset, split, image) -> (H, W, 3) uint8 RGB; raises ImageError or OSError where the photo cannot be had."""

SCALARS = (
    "sample_id",
    "dataset",
    "split",
    "status",
    "error_code",
    "error_detail",
    "reproj_rel",
    "quality",
    "inlier_ratio",
    *(f"{part}_valid" for part in PARTS),
    *(f"reproj_{part}_px" for part in PARTS),
)
"""Columns that are read for every person."""


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
    people = _read_scalars(shards)
    errors = {part: people[f"reproj_{part}_px"].to_numpy(float) for part in PARTS}
    worst, random, failed = _choose(people, config)
    budget = [config.max_bytes]
    groups = [
        _group("Largest errors", "By relative reprojection error, the worst first.", people, worst),
        _group("Drawn at random", "From all other people with a label.", people, random),
        _group("Failed", "Spread over the reasons; the photo alone, since there is no label.", people, failed),
    ]
    for group in groups:
        _draw_group(group, shards, image_loader, ehm, config, budget)
    counts = {status.value: int((people["status"] == status.value).sum()) for status in Status}
    reasons = _reasons(people)
    page = _render(config, people, errors, groups, reasons, counts, footers)
    write_text(Path(out), page)
    if plot is not None:
        write_bytes(Path(plot), error_plot_png(errors))
    return ReportSummary(
        path=Path(out),
        num_people=len(people),
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


def _read_scalars(shards: Sequence[Path]) -> pd.DataFrame:
    """The scalar columns of all shards with the place of each row: columns ``shard`` and ``row``."""
    frames = []
    for index, path in enumerate(shards):
        # One file, not the folder: folder names such as split=train must not become columns.
        frame = pq.ParquetFile(path).read(columns=list(SCALARS)).to_pandas()
        for name in ("dataset", "split", "status", "error_code"):
            frame[name] = frame[name].astype(object)
        frames.append(frame.assign(shard=index, row=np.arange(len(frame))))
    return pd.concat(frames, ignore_index=True)


def _choose(people: pd.DataFrame, config: ReportConfig) -> tuple[list[int], list[int], list[int]]:
    """Rows to draw: the worst, random ones of the rest, and failed ones of as many reasons as possible."""
    labelled = people[people["status"] != Status.FAILED.value]
    order = labelled.assign(error=labelled["reproj_rel"].astype(float).fillna(-1.0))
    order = order.sort_values(["error", "sample_id"], ascending=[False, True])
    worst = order.index[: config.num_worst].tolist()
    rest = np.array(sorted(set(labelled.index) - set(worst)), dtype=int)
    rng = np.random.default_rng(config.seed)
    random = rng.permutation(rest)[: config.num_random].tolist()
    failed = people[people["status"] == Status.FAILED.value].sort_values("sample_id")
    turn = failed.groupby(failed["error_code"].astype(str)).cumcount()
    return (
        worst,
        random,
        failed.assign(turn=turn).sort_values(["turn", "error_code"]).index[: config.num_failed].tolist(),
    )


def _reasons(people: pd.DataFrame) -> list[dict[str, Any]]:
    """One row an error code: count by status, a sentence, an example; the most frequent first."""
    given = people[people["error_code"].notna()]
    rows = []
    for code, group in given.groupby(given["error_code"].astype(str)):
        example = group.iloc[0]
        rows.append(
            {
                "code": code,
                "sentence": ERROR_SENTENCES[ErrorCode(code)] if code in set(ErrorCode) else "",
                "count": len(group),
                "failed": int((group["status"] == Status.FAILED.value).sum()),
                "example": example["sample_id"],
                "detail": example["error_detail"] or "",
            }
        )
    return sorted(rows, key=lambda row: (-row["count"], row["code"]))


def _group(title: str, note: str, people: pd.DataFrame, chosen: Sequence[int]) -> dict[str, Any]:
    return {"title": title, "note": note, "cards": [_card(people.loc[index]) for index in chosen], "left_out": 0}


def _card(person: pd.Series) -> dict[str, Any]:
    def number(name: str) -> float | None:
        value = person[name]
        return None if value is None or not np.isfinite(value) else float(value)

    return {
        "place": (int(person["shard"]), int(person["row"])),
        "sample_id": person["sample_id"],
        "status": person["status"],
        "code": person["error_code"] if isinstance(person["error_code"], str) else None,
        "detail": person["error_detail"] if isinstance(person["error_detail"], str) else "",
        "quality": number("quality"),
        "reproj_rel": number("reproj_rel"),
        "inlier_ratio": number("inlier_ratio"),
        "parts": [
            {"title": PART_TITLES[part], "px": number(f"reproj_{part}_px"), "valid": bool(person[f"{part}_valid"])}
            for part in PARTS
        ],
        "image": None,
        "problem": "",
    }


def _draw_group(
    group: dict[str, Any],
    shards: Sequence[Path],
    image_loader: ImageLoader,
    ehm: EHMs,
    config: ReportConfig,
    budget: list[int],
) -> None:
    """Fills in the pictures of a group, one person at a time, while the page's budget (one number, updated) lasts."""
    table, loaded = None, -1
    colours = side_colours(ehm.assets)
    for card in sorted(group["cards"], key=lambda card: card["place"]):
        if budget[0] <= 0:
            group["left_out"] += 1
            continue
        shard, row = card["place"]
        if shard != loaded:
            table, loaded = read_shard(shards[shard], LABEL_SCHEMA), shard
        assert table is not None
        label = table.slice(row, 1).to_pylist()[0]
        try:
            photo = image_loader(label["dataset"], label["split"], label["image"])
        except (ImageError, OSError) as error:
            card["problem"] = f"The photo cannot be shown: {error}"
            continue
        sheet = draw_label(photo, label, ehm, colours, config.tile_px)
        data = encode_jpeg(sheet, config.jpeg_quality)
        card["image"] = "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
        card["width"], card["height"] = sheet.shape[1], sheet.shape[0]
        budget[0] -= len(card["image"])


def draw_label(photo: np.ndarray, label: dict[str, Any], ehm: EHMs, colours: np.ndarray, tile_px: int) -> np.ndarray:
    """Pictures (tile, n tile, 3) of one label row: three tiles, or the photo alone where there is no label."""
    height, width = photo.shape[:2]
    box = np.array([0, 0, width, height], float) if label["bbox_xyxy"] is None else np.asarray(label["bbox_xyxy"])
    keypoints = None if label["keypoints_2d"] is None else np.asarray(label["keypoints_2d"]).reshape(-1, 3)
    needed = [
        label[name] is not None for name in ("transl_m", "global_orient", "body_pose", "focal_px", "principal_px")
    ]
    if label["status"] == Status.FAILED.value or not all(needed):
        return person_sheet(photo, box, keypoints, None, np.zeros((0, 3), int), 1.0, np.zeros(2), tile_px=tile_px)[
            :, :tile_px
        ]
    columns = {name: np.asarray(label[name])[None] for name in (*ROTATION_COLUMNS, *VECTOR_COLUMNS) if label.get(name)}
    vertices = pose_bodies(ehm, columns).vertices[0].numpy().astype(np.float64)
    faces = np.asarray(ehm.assets.smplx.faces)
    focal, principal = float(label["focal_px"]), np.asarray(label["principal_px"])
    return person_sheet(photo, box, keypoints, vertices, faces, focal, principal, colours=colours, tile_px=tile_px)


def _render(
    config: ReportConfig,
    people: pd.DataFrame,
    errors: dict[str, np.ndarray],
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
    labelled = max(counts["ok"] + counts["partial"], 1)
    charts = [_chart(PART_TITLES[part], errors[part], "px") for part in PARTS]
    charts.append(_chart("All inliers over the box's longer side", 100 * people["reproj_rel"].to_numpy(float), "%"))
    charts.append(_chart("Quality", people["quality"].to_numpy(float), ""))
    parts = [{"title": PART_TITLES[p], "count": int((people[f"{p}_valid"] == True).sum())} for p in PARTS]  # noqa: E712
    return environment.get_template("report.html.j2").render(
        title=config.title,
        num_people=len(people),
        counts=counts,
        labelled=labelled,
        parts=parts,
        datasets=_dataset_rows(people),
        reasons=reasons,
        charts=charts,
        groups=[group for group in groups if group["cards"]],
        provenance=_provenance(footers),
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


def _dataset_rows(people: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for (dataset, split), group in people.groupby([people["dataset"].astype(str), people["split"].astype(str)]):
        status = group["status"].astype(str).value_counts()
        relative = finite(group["reproj_rel"].to_numpy(float))
        rows.append(
            {
                "name": f"{dataset}/{split}",
                "people": len(group),
                "median": float(np.median(relative)) if len(relative) else None,
                **{s.value: int(status.get(s.value, 0)) for s in Status},
            }
        )
    return rows


def _provenance(footers: Sequence[Footer]) -> dict[str, Any]:
    """What made the labels; where shards differ, every value is listed."""

    def distinct(values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [v for k, v in enumerate(values) if v not in values[:k]]

    return {
        "config_hashes": sorted({footer.config_hash for footer in footers}),
        "code_versions": sorted({footer.code_version for footer in footers}),
        "body_models": distinct([dict(footer.body_model) for footer in footers if footer.body_model]),
        "manifests": distinct([dict(footer.manifest) for footer in footers if footer.manifest]),
        "estimators": distinct([dict(e) for footer in footers for e in footer.estimators]),
        "schema_versions": sorted({footer.schema_version for footer in footers}),
        "created": (min(f.created_utc for f in footers), max(f.created_utc for f in footers)),
        "num_shards": len(footers),
    }


def summary_as_dict(summary: ReportSummary) -> dict[str, Any]:
    """The summary as plain JSON values."""
    return {**dataclasses.asdict(summary), "path": str(summary.path)}

"""`open_people`, the benchmark that everyone can run: its data, their hash, and the row of its table.

Its people are rendered from the manifest's count and seed. Figures are by what a picture shows (whole people, upper
bodies, heads, hands) and by age. A row is of one hash of the data: another body, another renderer or another processor
may give other pictures, and rows of different hashes are not to be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.paths import inside
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from tasks.evaluate.people_errors import figure_of

ID = "open_people"
"""Its manifest."""
CROPS = {
    "whole": ("full",),
    "upper": ("upper",),
    "head": ("head", "face"),
    "hand": ("left_hand", "right_hand"),
}
"""What a picture shows -> crops of the renderer."""
COLUMNS = (
    ("body", "pa_mpjpe_mm", ("whole", "upper", "adult", "child")),
    ("turn", "orient_deg", ("whole", "upper")),
    ("hands", "hand_pa_pve_mm", ("whole", "upper", "hand")),
    ("head", "head_pa_mm", ("whole", "upper", "head")),
    ("lips", "lip_max_mm", ("head",)),
)
"""Part, error, and the groups of people it is told of; adults and children are those seen whole or from the waist."""


def data_hash(records: Iterable[ImageRecord], images: ImageSource) -> str:
    """sha256 of every picture and of all that is known of its people, registered meshes included."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(f"{record.image_id}\n{record.focal_px}\n".encode())
        digest.update(_photo_hash(record, images))
        for person in record.people:
            known = {"bbox_xyxy": person.bbox_xyxy, "keypoints": person.keypoints, **(person.truth or {})}
            if (truth := person.truth_3d) is not None:
                digest.update(f"{truth.model} {truth.gender} {truth.frame}\n".encode())
                known |= {f"3d/{name}": values for name, values in truth.parameters.items()}
                known |= {"3d/points": truth.keypoints_m, "3d/camera": truth.intrinsics_px}
            if person.mesh is not None and (mesh := inside(images.root, person.mesh, links="follow")).is_file():
                digest.update(mesh.read_bytes())
            for name in sorted(name for name, value in known.items() if value is not None):
                digest.update(f"{person.index} {name}\n".encode())
                digest.update(np.ascontiguousarray(known[name], "<f4").tobytes())
    return digest.hexdigest()


def _photo_hash(record: ImageRecord, images: ImageSource) -> bytes:
    """Of one that cannot be read, nothing but that: its people are not found."""
    try:
        return hashlib.sha256(images.read(record.path)).digest()
    except ImageError as error:
        return error.code.encode()


def with_scenes(people: pa.Table, scenes: Path) -> pa.Table:
    """People's errors with `crop` and `is_child` of the renderer's ``scenes.csv``."""
    known = csv.read_csv(scenes).to_pydict()
    # An image's id is its path without suffix.
    row_of = {PurePosixPath(image).with_suffix("").as_posix(): row for row, image in enumerate(known["image"])}
    rows = [row_of[str(image)] for image in people["image"].to_pylist()]
    for name, kind in (("crop", pa.string()), ("is_child", pa.bool_())):
        people = people.append_column(name, pa.array([known[name][row] for row in rows], kind))
    return people


def groups_of(people: pa.Table) -> dict[str, pa.Table]:
    """`whole`, `upper`, `head`, `hand`, `adult`, `child` -> their people, of a table with scenes."""
    crop = people["crop"].to_numpy(zero_copy_only=False)
    child = people["is_child"].to_numpy(zero_copy_only=False)
    masks = {name: np.isin(crop, crops) for name, crops in CROPS.items()}
    bodies = masks["whole"] | masks["upper"]
    masks |= {"adult": bodies & ~child, "child": bodies & child}
    return {name: people.filter(pa.array(mask)) for name, mask in masks.items()}


def figures_of(people: pa.Table) -> dict[str, Any]:
    """`found` and `<group>/<error>` -> mean, median and number of people, of a table with scenes."""
    groups = groups_of(people)
    figures: dict[str, Any] = {
        "people": people.num_rows,
        "found": {name: [int(pc.sum(own["found"]).as_py() or 0), own.num_rows] for name, own in groups.items()},
    }
    for _, error, names in COLUMNS:
        for name in names:
            figure = figure_of(groups[name], error)
            figures[f"{name}/{error}"] = figure._asdict() if figure.people else None
    return figures


def head_row() -> list[list[str]]:
    """The lines above the rows: titles, and the line below them."""
    titles = ["method", "found", *(f"{part}: {name}" for part, _, names in COLUMNS for name in names), "data"]
    return [titles, ["---"] * len(titles)]


def row_of(method: str, result: Mapping[str, Any]) -> list[str]:
    """A method's cells: medians, as few people with gross errors would decide means."""
    figures = result["figures"]
    found = [figures["found"][name] for name in CROPS]
    cells = [method, f"{sum(own[0] for own in found)} of {sum(own[1] for own in found)}"]
    for _, error, names in COLUMNS:
        for name in names:
            figure = figures[f"{name}/{error}"]
            cells.append("none" if figure is None else f"{figure['median']:.1f}")
    return [*cells, result["data_sha256"][:8]]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [*head_row(), *rows]) + "\n"

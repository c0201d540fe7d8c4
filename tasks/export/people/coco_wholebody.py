"""People as COCO-WholeBody's JSON: 133 points that were seen, boxes of people, hands and faces.

Body and feet carry COCO's flag, the nearest to the score: 0, 1 (hidden, 0.5) or 2 (seen). Hands and face carry the
score itself; below ``LEAST`` a point is none, for readers take every score above 0 for reliable. Points of a part or
limb that may not supervise are zeros, and a part without any is not valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from datasets_manifest.files import whole_file
from datasets_manifest.paths import inside
from datasets_manifest.schema.rle import Rle
from model.body import skeleton
from tasks.export.people.people import People, extent_xywh
from tasks.export.people.target import Target

LEAST = 0.25
"""Score from which a point is told."""
PERSON = 1
"""COCO's number of the category."""
_PARTS = {
    "foot": skeleton.FEET, "face": skeleton.FACE, "lefthand": skeleton.LEFT_HAND, "righthand": skeleton.RIGHT_HAND
}  # fmt: skip
_DIGITS = 4


def write(batches: Iterable[People], target: Target) -> int:
    """Writes ``<stem>.json`` while people come, of whom memory holds the photos alone; returns their number."""
    images: dict[str, dict[str, Any]] = {}
    count, name = 0, f"{target.stem}.json"
    with whole_file(inside(target.exported.folder, name)) as file:
        file.write(json.dumps(_head(target))[:-1].encode() + b',\n"annotations": [')
        for people in batches:
            for row in _annotations(people, target.images(people), images):
                count += 1
                file.write((b",\n" if count > 1 else b"\n") + json.dumps({"id": count} | row).encode())
        rows = ",\n".join(json.dumps(image) for image in images.values())
        file.write(f'],\n"images": [{rows}]}}\n'.encode())
    target.exported.files[name] = {"people": count, "photos": len(images)}
    return count


def _head(target: Target) -> dict[str, Any]:
    licences = [{"id": 1, "name": target.terms.text, "url": ""}]
    edges = [[a + 1, b + 1] for a, b in skeleton.SKELETON_EDGES if b < skeleton.BODY.stop]
    person = {
        "id": PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.KEYPOINT_NAMES[skeleton.BODY]),
        "skeleton": edges,
    }
    info = {"description": target.stem, "contributor": "pear-pipeline", "version": "1.0"}
    return {"info": info, "licenses": licences, "categories": [person]}


def _annotations(people: People, names: list[str], images: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of people, and those of their photos into ``images``."""
    points = people.keypoints.astype(np.float64)
    points[points[..., 2] < LEAST] = 0
    score = points[:, skeleton.BODY_AND_FEET, 2]
    points[:, skeleton.BODY_AND_FEET, 2] = np.where(score > 0, np.clip(np.round(2 * score), 1, 2), 0)
    points = np.round(points, _DIGITS)
    boxes = np.round(people.boxes_xywh(), _DIGITS)
    extents = {part: np.round(extent_xywh(points[:, own]), _DIGITS) for part, own in _PARTS.items()}
    size = np.column_stack([people.columns["image_width"], people.columns["image_height"]])
    for k, name in enumerate(names):
        image = images.setdefault(
            name,
            {"id": len(images) + 1, "license": 1, "file_name": name}
            | ({"width": int(size[k, 0]), "height": int(size[k, 1])} if size[k].all() else {}),
        )
        body = points[k, skeleton.BODY]
        row: dict[str, Any] = {
            "image_id": image["id"],
            "category_id": PERSON,
            "iscrowd": 0,
            "bbox": boxes[k].tolist(),
            "area": round(float(boxes[k, 2] * boxes[k, 3]), _DIGITS),
            "segmentation": _segmentation(people, k),
            "keypoints": _plain(body),
            "num_keypoints": int((body[:, 2] > 0).sum()),
        }
        for part, own in _PARTS.items():
            row[f"{part}_kpts"] = _plain(points[k, own])
            row[f"{part}_valid"] = bool((points[k, own, 2] > 0).any())
            if part != "foot":
                row[f"{part}_box"] = extents[part][k].tolist()
        yield row


def _segmentation(people: People, row: int) -> list[Any] | dict[str, Any]:
    """The mask that the data set has of a person; an empty list without one."""
    mask = Rle.of_value(people.columns.table["mask"][row].as_py()) if "mask" in people.columns else None
    return [] if mask is None else {"size": list(mask.size), "counts": mask.counts.decode("ascii")}


def _plain(points: np.ndarray) -> list[float]:
    """(K, 3) as numbers in a row; whole ones without a point, as COCO's flags are."""
    return [int(value) if value.is_integer() else value for value in points.reshape(-1).tolist()]

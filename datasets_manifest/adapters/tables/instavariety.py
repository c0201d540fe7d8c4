"""Tracks of InstaVariety: <tag>/<video>/<track>/<frame>.json, a file a person and frame, points by name.

``frame`` counts from 0, the names of pictures (``imloc``) from 1. What it calls logits is the confidence of the
detector. A video is a group, a long one several.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, Missing, PersonRecord, Place
from datasets_manifest.adapters.coco_values import RowError, is_text
from datasets_manifest.adapters.groups import GROUP_FRAMES, group_of
from datasets_manifest.adapters.people.reading import fill_in, people_or_reasons, photo_path
from datasets_manifest.adapters.people.values import box_of, numbers, placed
from datasets_manifest.adapters.tables.layout import TableLayout
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import named_points
from datasets_manifest.sources.image_source import ImageSource

_SIDES = {"R": "right", "L": "left"}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FILE = re.compile(r"(\d+)\.json")


def entries(images: ImageSource, layout: TableLayout) -> Iterator[Entry]:
    """Frames, video by video; of one, the names of its files are held.

    Raises:
        ValueError: There is no such folder.
    """
    root = inside(images.root, layout.annotations, links="follow")  # The manifest names it, not the data.
    if not root.is_dir():
        raise ValueError(f"The folder of tracks {root} does not exist; correct layout.annotations in the manifest.")
    for tag in _folders(root):
        for video in _folders(root / tag):
            yield from _video(root, tag, video, layout)


def _video(root: Path, tag: str, video: str, layout: TableLayout) -> Iterator[Entry]:
    tracks = _folders(root / tag / video)
    frames: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for number, track in enumerate(tracks):
        for name in sorted(os.listdir(root / tag / video / track)):
            if match := _FILE.fullmatch(name):
                frames[int(match[1])].append((number, f"{tag}/{video}/{track}/{name}"))
    span = range(min(frames, default=0), max(frames, default=0) + 1)
    for frame, files in sorted(frames.items()):
        contents = [(_read(root / name), track, name) for track, name in files]
        picture = next((read["imloc"] for read, _, _ in contents if is_text(read.get("imloc"))), None)
        if picture is None:
            for name in (name for _, _, name in contents):
                yield Missing.of(name, ErrorCode.SOURCE_ROW_INVALID, "no imloc in it can be read.")
            continue
        rows = [({"content": read, "track": track}, name) for read, track, name in contents]
        problems, people = people_or_reasons(_person, rows, layout.annotations)
        yield from problems
        name = fill_in(layout.photo or "{tag}/{video}/{image}", tag=tag, video=video, image=picture)
        group = group_of(f"{tag}/{video}", frame, span, GROUP_FRAMES)
        yield ImageRecord(
            image_id=f"{tag}/{video}/{frame:06d}",
            path=photo_path(layout.images, name),
            people=tuple(people),
            place=Place(group=group, frame=frame, time_s=frame / layout.fps),
        )


def _read(file: Path) -> dict[str, Any]:
    """The object in a file; empty where it cannot be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _person(row: Mapping[str, Any], index: int) -> PersonRecord:
    content = row["content"]
    if not content:
        raise RowError("it is no JSON object that can be read.")
    box = content.get("bbox")
    corners = [box.get(name) for name in _CORNERS] if isinstance(box, dict) else None
    points = {
        _own_name(name): [point.get(key) for key in ("x", "y", "logits")]
        for name, point in content.items()
        if isinstance(point, dict) and "logits" in point
    }
    values = [numbers({name: point}, name, (3,)) for name, point in points.items()]
    found = placed(np.stack(values) if values else np.zeros((0, 3)), named_points(tuple(points)))
    return PersonRecord(
        index=index,
        bbox_xyxy=box_of(numbers({"bbox": corners}, "bbox", (4,)), "xyxy"),
        keypoints=found.placed,
        other_points=found.others,
        track=row["track"],
    )


def _own_name(name: str) -> str:
    """``R Big Toe`` -> ``right_big_toe``."""
    side, _, rest = name.partition(" ")
    words = f"{_SIDES[side]} {rest}" if side in _SIDES else name
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found if entry.is_dir() and not entry.name.startswith("."))

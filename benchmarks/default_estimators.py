"""What the default estimators cost: processor time and readings of each network, a photo and a person.

    python -m benchmarks.default_estimators PHOTO_OR_FOLDER...

Every photo is read without boxes and then with those that were found. Decoding does not count; body, hands and face
read nothing more.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measure import timed
from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.sources.images import decode_image
from model.estimators import ImageInput, create
from model.estimators.base import Array
from model.estimators.mediapipe.graphs.runner import Networks

CPU = torch.device("cpu")
NETWORKS = ("detect", "detect_faces", "pose", "hand", "face", "eye")
"""The methods of ``Networks``."""
COLUMNS = (
    Column(title="boxes", text=lambda row: str(row["boxes"])),
    Column(title="photos", text=number("photos", "{:d}", 1)),
    Column(title="people", text=number("people", "{:d}", 1)),
    Column(title="bodies, left, right hands, faces", text=lambda row: str(row["parts"])),
    Column(title="CPU s a photo", text=number("seconds_per_photo", "{:.2f}")),
    Column(title="CPU s a person", text=number("seconds_per_person", "{:.2f}")),
    *(Column(title=name, text=number(name, "{:.1f}")) for name in NETWORKS),
)


@contextmanager
def counted_readings() -> Iterator[Counter[str]]:
    """How often every network is asked."""
    counts: Counter[str] = Counter()
    originals = {name: getattr(Networks, name) for name in NETWORKS}

    def counted(name: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            counts[name] += 1
            return originals[name](*args, **options)

        return call

    for name in NETWORKS:
        setattr(Networks, name, counted(name))
    try:
        yield counts
    finally:
        for name, original in originals.items():
            setattr(Networks, name, original)


def cost(images: list[ImageInput], boxes: list[Array | None]) -> tuple[Row, list[Array | None]]:
    """Reads photos, with boxes or without; returns the row of the table and the boxes of the people."""
    estimator = create("keypoints", "mediapipe")
    with counted_readings() as counts:
        found, seconds = timed(
            lambda: [estimator.estimate(*given, None) for given in zip(images, boxes, strict=True)], CPU
        )
    people = sum(each.num_people for each in found)
    parts = sum((each.part_valid & each.valid[:, None]).sum(0) for each in found) + np.zeros(4, int)
    row: Row = {name: counts[name] / len(images) for name in NETWORKS}
    row |= {"photos": len(images), "people": people, "parts": ", ".join(map(str, parts.tolist()))}
    row |= {"seconds_per_photo": seconds / len(images), "seconds_per_person": seconds / people if people else None}
    return row, [each.boxes_xyxy.astype(float) for each in found]


def photos_in(paths: list[Path]) -> list[Path]:
    """The photos that are named, and those of the folders that are."""
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [file for file in files if file.suffix.lower() in {".jpg", ".jpeg", ".png"}]


def main(arguments: list[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PHOTO_OR_FOLDER")
    files = photos_in(parser.parse_args(arguments).paths)
    images = [ImageInput.from_rgb(str(file), decode_image(file.read_bytes(), name=str(file))) for file in files]
    detected, boxes = cost(images, [None] * len(images))
    given, _ = cost(images, boxes)
    print(markdown([{"boxes": "none", **detected}, {"boxes": "given", **given}], COLUMNS))


if __name__ == "__main__":
    main()

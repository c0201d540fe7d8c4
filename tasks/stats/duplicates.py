"""People who occur twice: crops that look alike, in other photos of the labels, within and across splits.

The fingerprint of a crop is a difference hash of 64 bits: of 9 x 8 grey means, whether each is darker than its right
neighbour. It survives another size, compression and brightness; not a flip, or a box that is drawn otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

import cv2
import numpy as np

from datasets_manifest.schema.columns import Columns
from datasets_manifest.shards.snapshot import Group
from datasets_manifest.sources.images import ImageError
from tasks.report.track_cards import ImageLoader

MAX_BITS = 3
"""Bits in which fingerprints of one picture may differ."""
_BITS, _BANDS = 64, 4
_LEAST_CONTRAST = 8.0
"""Standard deviation of the grey means, of 255, from which a crop is told from any other."""


class Crop(NamedTuple):
    """Somebody's fingerprint."""

    sample_id: str
    group: Group
    """Data set and split."""
    place: str
    """Photo, or video or scene: crops of one are not compared, for a person is alike from frame to frame."""
    bits: int


class Pair(NamedTuple):
    """Two people who look alike."""

    a: Crop
    b: Crop
    bits: int
    """In which their fingerprints differ."""

    @property
    def across(self) -> bool:
        """Whether they are in two splits or data sets."""
        return self.a.group != self.b.group


def fingerprint(rgb: np.ndarray, box: np.ndarray) -> int | None:
    """The difference hash of a box (4,) xyxy of a photo (H, W, 3); None of a box outside it, or of too little
    contrast."""
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = (round(float(v)) for v in np.clip(box, 0, [width, height, width, height]))
    if x1 - x0 < _BITS // 4 or y1 - y0 < _BITS // 4:
        return None
    grey = cv2.cvtColor(np.ascontiguousarray(rgb[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.float64)
    if small.std() < _LEAST_CONTRAST:
        return None
    darker = (small[:, :-1] < small[:, 1:]).reshape(-1)
    return int("".join("1" if own else "0" for own in darker), 2)


def alike(crops: Iterable[Crop], max_bits: int = MAX_BITS) -> list[Pair]:
    """Pairs of crops of different places whose fingerprints differ in few bits, the most alike first.

    Of many with one fingerprint each is paired with the first, not with all.
    """
    if max_bits >= _BANDS:
        raise ValueError(f"max_bits: expected less than {_BANDS}, got {max_bits}")
    same = defaultdict[int, dict[str, Crop]](dict)
    for crop in crops:
        same[crop.bits].setdefault(crop.place, crop)
    first = {bits: next(iter(own.values())) for bits, own in same.items()}
    pairs = [Pair(first[bits], other, 0) for bits, own in same.items() for other in list(own.values())[1:]]
    for a, b in _near(list(same), max_bits):
        if first[a].place != first[b].place:
            pairs.append(Pair(first[a], first[b], (a ^ b).bit_count()))
    return sorted(pairs, key=lambda pair: (pair.bits, pair.a.sample_id, pair.b.sample_id))


def _near(every: list[int], max_bits: int) -> set[tuple[int, int]]:
    """Pairs of different fingerprints, few bits apart: these have at least one of the bands in common, so that only
    those of one are compared."""
    found: set[tuple[int, int]] = set()
    width = _BITS // _BANDS
    for band in range(_BANDS):
        buckets = defaultdict[int, list[int]](list)
        for bits in every:
            buckets[bits >> (band * width) & ((1 << width) - 1)].append(bits)
        for bucket in buckets.values():
            found |= {(a, b) for k, a in enumerate(bucket) for b in bucket[k + 1 :] if (a ^ b).bit_count() <= max_bits}
    return found


class Crops:
    """Fingerprints of the people of labels, read photo by photo."""

    def __init__(self, photo: ImageLoader) -> None:
        """Takes what gives the photos."""
        self._photo = photo
        self.found: list[Crop] = []
        self.plain = 0
        """People whose crops are too small or too plain to be told from others."""
        self.lost: list[str] = []
        """Photos that cannot be read, each with the reason."""

    def add(self, rows: Columns) -> None:
        """Takes people of some photos, those of one after another."""
        names = list(zip(rows["dataset"], rows["split"], rows["image"], strict=True))
        for (dataset, split, image), own in groupby(range(len(names)), lambda row: names[row]):
            try:
                rgb = self._photo(dataset, split, image)
            except (ImageError, OSError) as error:
                self.lost.append(str(error))
                continue
            for row in own:
                bits = fingerprint(rgb, rows["bbox_xyxy"][row])
                if bits is None:
                    self.plain += 1
                    continue
                place = rows["group"][row] or image
                self.found.append(Crop(rows["sample_id"][row], (dataset, split), f"{dataset}/{place}", bits))

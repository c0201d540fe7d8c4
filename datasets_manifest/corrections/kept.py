"""The corrections that hold: of each keypoint the newest, unless it was taken back."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from datasets_manifest.canonical import config_hash
from datasets_manifest.corrections.schema import CORRECTION_FORM, Correction
from datasets_manifest.paths import inside
from datasets_manifest.sittings import newest, read_sittings, sitting_files


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """Of some people."""

    of_sample: Mapping[str, tuple[Correction, ...]] = field(default_factory=dict)
    """By sample id, in the order of the keypoints; nobody without one."""

    @classmethod
    def of(cls, said: Iterable[Correction]) -> Corrections:
        """Those that hold of many, a later one of a keypoint in the place of an earlier one."""
        last = {(own.sample_id, own.keypoint): own for own in said}
        by_sample: dict[str, list[Correction]] = {}
        for key in sorted(last):
            if last[key].state != "none":
                by_sample.setdefault(key[0], []).append(last[key])
        return cls(of_sample={sample: tuple(own) for sample, own in by_sample.items()})

    def __bool__(self) -> bool:
        return bool(self.of_sample)

    def in_photos(self, photos: Collection[str]) -> Corrections:
        """Those of people in some photos, which are named by sample ids without the number of the person."""
        own = {sample: said for sample, said in self.of_sample.items() if photo_of(sample) in photos}
        return Corrections(of_sample=own) if own else NONE

    def and_also(self, said: Iterable[Correction]) -> Corrections:
        """The same with further ones, which are later."""
        return Corrections.of([*(one for own in self.of_sample.values() for one in own), *said])

    @cached_property
    def digest(self) -> str:
        """Hash of all that changes a label; not of who said it, when and why. Empty without any."""
        if not self:
            return ""
        said = [
            [sample, one.keypoint, one.state, one.x_px, one.y_px, list(one.bbox_xyxy), one.photo_sha256]
            for sample, own in sorted(self.of_sample.items())
            for one in own
        ]
        return config_hash(said)


NONE = Corrections()
"""Of nobody."""


def photo_of(sample_id: str) -> str:
    """A sample id without the number of the person."""
    return sample_id.rpartition("#")[0]


def read_corrections(folder: Path | str, dataset: str) -> Corrections:
    """The corrections of a data set that hold; none where there is no such folder. Unchanged files are read once.

    Raises:
        ValueError: A file there is no file of corrections, damaged, or of another version.
    """
    own = inside(Path(folder), dataset)
    states = []
    for path in sitting_files(own) if own.is_dir() else ():
        state = os.stat(path)
        states.append((str(path), state.st_size, state.st_mtime_ns, state.st_ino))
    return _read(tuple(states)) if states else NONE


@lru_cache(maxsize=8)
def _read(states: tuple[tuple[str, int, int, int], ...]) -> Corrections:
    table = newest(read_sittings([Path(name) for name, *_ in states], CORRECTION_FORM), CORRECTION_FORM)
    rows = ({**row, "bbox_xyxy": tuple(row["bbox_xyxy"])} for row in table.to_pylist())
    return Corrections.of(Correction(**row) for row in rows)

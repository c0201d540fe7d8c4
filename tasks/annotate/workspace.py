"""Where a run keeps its files, and what names one shard of a data set.

work/plan/<dataset>/<split>/<shard>.parquet          what is to be annotated
work/parts/<part>/<dataset>/<split>/<shard>.parquet  what each part estimator said
work/failed/<step>/<dataset>/<split>/<shard>.json    why a shard has no file
labels/<dataset>/<split>/<shard>.parquet             the labels, published shard by shard
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.annotate.settings import OutputConfig

STEPS = ("keypoints", "body", "hands", "face", "refine")
"""Steps that a shard goes through after planning; the middle three run side by side."""

_NAME = re.compile(r"^(?P<dataset>[A-Za-z0-9_.-]+)/(?P<index>\d{1,9})$")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class ShardRef:
    """One shard: a few photos of one data set that are annotated, stored and repeated together."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    index: int
    """Number of the shard in its split, from 0."""

    @property
    def name(self) -> str:
        """``<dataset>/<index>``, as people look for it: ``coco/00012``."""
        return f"{self.dataset}/{self.index:05d}"

    @property
    def relative_path(self) -> Path:
        """Path of the shard's file below the folder of a step."""
        return Path(self.dataset) / self.split / f"{self.index:05d}.parquet"


@dataclass(frozen=True, slots=True)
class ShardRange(Collection[ShardRef]):
    """All shards of one split of a data set."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    count: int
    """Shards, numbered from 0."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[ShardRef]:
        return (ShardRef(dataset=self.dataset, split=self.split, index=index) for index in range(self.count))

    def __contains__(self, shard: object) -> bool:
        if not isinstance(shard, ShardRef):
            return False
        return (shard.dataset, shard.split) == (self.dataset, self.split) and 0 <= shard.index < self.count


@dataclass(frozen=True, slots=True)
class ShardRanges(Collection[ShardRef]):
    """All shards of several data sets, one data set after the other."""

    ranges: tuple[ShardRange, ...]
    """Of each data set."""

    def __len__(self) -> int:
        return sum(map(len, self.ranges))

    def __iter__(self) -> Iterator[ShardRef]:
        return itertools.chain.from_iterable(self.ranges)

    def __contains__(self, shard: object) -> bool:
        return any(shard in own for own in self.ranges)


def shard_of(path: Path) -> ShardRef | None:
    """The shard whose file this is, below the folder of whatever step; None for a file of another name."""
    if not path.stem.isdecimal():
        return None
    return ShardRef(dataset=path.parent.parent.name, split=path.parent.name, index=int(path.stem))


def parse_shard_name(name: str) -> tuple[str, int]:
    """Splits ``coco/00012`` into data set and number.

    Raises:
        ValueError: The name has another form.
    """
    match = _NAME.match(name)
    if match is None:
        raise ValueError(f"shard {name!r} is not of the form <dataset>/<number>, for example coco/00012")
    return match["dataset"], int(match["index"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """Folders of a run."""

    work: Path
    """Intermediate files; may be deleted at the price of computing them again."""
    labels: Path
    """Published labels, readable with ``pandas.read_parquet``."""

    @classmethod
    def of(cls, output: OutputConfig) -> Workspace:
        """The folders that the settings name."""
        return cls(work=Path(output.work), labels=Path(output.labels))

    def plan_path(self, shard: ShardRef) -> Path:
        """File that lists the shard's photos."""
        return self.work / "plan" / shard.relative_path

    def step_path(self, step: str, shard: ShardRef) -> Path:
        """Result file of a step: the labels for ``refine``, a part file otherwise."""
        if step == "refine":
            return self.labels / shard.relative_path
        return self.work / "parts" / step / shard.relative_path

    def failure_path(self, step: str, shard: ShardRef) -> Path:
        """Record of a shard that failed at a step."""
        return (self.work / "failed" / step / shard.relative_path).with_suffix(".json")

"""Where a run keeps its files, and what names one shard of a data set.

work/plan/<dataset>/<split>/<first>-<last>.parquet   what is to be annotated, some hundred shards a file
work/plan/<dataset>/<split>/source.json              where it comes from, and with which settings it is annotated
work/plan/<dataset>/<split>/refused.jsonl            what it names and no row can be made of
work/datasets/<dataset>                              photos of a synthetic data set
work/parts/<part>/<dataset>/<split>/<shard>.parquet  what each part estimator said; parts and labels may lie in a store
work/claims/                                         who is at which shard, see tasks.annotate.run.claims
work/state/                                          what these files say in short, see datasets_manifest.shards.journal
work/failed/<step>/<dataset>/<split>/<shard>.json    why a shard has no file
labels/<dataset>/<split>/<shard>.parquet             the labels, published shard by shard; or in files of several
                                                     shards, see tasks.annotate.label_files
"""

from __future__ import annotations

import itertools
import os
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_manifest.shards.joined import joined_name
from datasets_manifest.shards.snapshot import Group, shard_folders
from datasets_manifest.stores import Listed, Place, check_store, is_file, place_of

if TYPE_CHECKING:
    from tasks.annotate.settings import OutputConfig

STEPS = ("keypoints", "body", "hands", "face", "refine")
"""Steps that a shard goes through after planning; the middle three run side by side."""

_SHARDS_A_PLAN = 256
"""Shards of which one file has the plans."""
_NAME = re.compile(r"(?P<dataset>[A-Za-z0-9_.-]+)/((?P<split>[A-Za-z0-9_.-]+)/)?(?P<index>\d{1,9})")


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
        """``<dataset>/<split>/<index>``, as people look for it: ``coco/val/00012``."""
        return f"{self.dataset}/{self.split}/{self.index:05d}"

    @property
    def group(self) -> Group:
        """Data set and split."""
        return self.dataset, self.split

    @property
    def relative_path(self) -> Path:
        """Path of the shard's file below the folder of a step."""
        return Path(self.dataset) / self.split / f"{self.index:05d}.parquet"


@dataclass(frozen=True, slots=True)
class SplitShards(Collection[ShardRef]):
    """All shards of one split of a data set."""

    dataset: str
    """Manifest id."""
    split: str
    """Split of the data set."""
    indices: Sequence[int]
    """Their numbers, in order; some may be missing."""

    @property
    def group(self) -> Group:
        """Data set and split."""
        return self.dataset, self.split

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[ShardRef]:
        return (ShardRef(dataset=self.dataset, split=self.split, index=index) for index in self.indices)

    def __contains__(self, shard: object) -> bool:
        if not isinstance(shard, ShardRef) or shard.group != self.group:
            return False
        at = bisect_left(self.indices, shard.index)
        return at < len(self.indices) and self.indices[at] == shard.index


@dataclass(frozen=True, slots=True)
class ManyShards(Collection[ShardRef]):
    """All shards of several data sets, one data set after the other."""

    splits: tuple[SplitShards, ...]
    """Of each data set."""

    def __len__(self) -> int:
        return sum(map(len, self.splits))

    def __iter__(self) -> Iterator[ShardRef]:
        return itertools.chain.from_iterable(self.splits)

    def __contains__(self, shard: object) -> bool:
        return any(shard in own for own in self.splits)


def shard_of(path: Place) -> ShardRef | None:
    """The shard whose file this is, below the folder of whatever step; None for a file of another name."""
    if not path.stem.isdecimal():
        return None
    return ShardRef(dataset=path.parent.parent.name, split=path.parent.name, index=int(path.stem))


def numbered_folders(folder: Place) -> Iterator[tuple[Group, list[tuple[int, os.DirEntry[str] | Listed]]]]:
    """The files of shards below a folder, in order: data set and split, and numbers with files; those of other names
    are passed over. For many files: a path object of each would cost ten times as much."""
    for path, files in shard_folders(folder):
        numbers = [(file.name.removesuffix(".parquet"), file) for file in files]
        if own := [(int(number), file) for number, file in numbers if number.isdecimal()]:
            *_, dataset, split = path.split("/")
            yield (dataset, split), own


def numbered_files(folder: Place) -> Iterator[tuple[Group, int, os.DirEntry[str] | Listed]]:
    """The same one by one."""
    return ((group, index, file) for group, own in numbered_folders(folder) for index, file in own)


def shard_paths(folder: Place) -> Iterator[tuple[ShardRef, Place]]:
    """The same as shards and paths."""
    for (dataset, split), index, file in numbered_files(folder):
        yield ShardRef(dataset=dataset, split=split, index=index), place_of(file.path)


def named_shards(names: Iterable[str], groups: Collection[Group]) -> list[ShardRef]:
    """The shards that names mean.

    Args:
        names: As ``coco/val/00012``, or ``coco/00012`` where just one split of the data set is known.
        groups: What is known.

    Returns:
        Each shard once, in order; whether there is such a number is not looked at.

    Raises:
        ValueError: A name has another form, is of an unknown data set, or may mean several splits.
    """
    found = set()
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(
                f"shard {name!r} is not of the form <dataset>/<split>/<number>, for example coco/val/00012"
            )
        dataset, split, index = match["dataset"], match["split"], int(match["index"])
        own = [
            ShardRef(dataset=dataset, split=known, index=index)
            for of, known in sorted(groups)
            if of == dataset and split in (None, known)
        ]
        if not own:
            known = ", ".join("/".join(group) for group in sorted(groups)) or "none"
            raise ValueError(f"shard {name}: no such data set is planned; those planned are: {known}")
        if len(own) > 1:
            choices = " or ".join(shard.name for shard in own)
            raise ValueError(f"shard {name} may be {choices}; name its split too")
        found.add(own[0])
    return sorted(found)


def plan_range(index: int) -> tuple[int, int]:
    """The first and the last number of the shards that one file of plans may hold beside that of a number."""
    first = index // _SHARDS_A_PLAN * _SHARDS_A_PLAN
    return first, first + _SHARDS_A_PLAN - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """Folders of a run."""

    work: Path
    """Intermediate files; may be deleted at the price of computing them again."""
    labels: Place
    """Published labels, readable with ``pandas.read_parquet``."""
    parts: Place | None = None
    """Files of the parts; None: ``work/parts``."""
    shards_per_file: int = 1
    """Shards in a file of the labels; of more than one, the labels of each shard are beside those of the parts."""

    @classmethod
    def of(cls, output: OutputConfig) -> Workspace:
        """The folders that the settings name."""
        parts = None if output.parts is None else place_of(output.parts)
        return cls(
            work=Path(output.work),
            labels=place_of(output.labels),
            parts=parts,
            shards_per_file=output.shards_per_file,
        )

    def check_stores(self) -> None:
        """Asks the stores that labels and parts lie in for something.

        Raises:
            ValueError: As ``stores.check_store``; or DVC runs this, which keeps files of this machine alone.
        """
        for place in (self.labels, self.part_folder):
            if not isinstance(place, Path) and os.environ.get("DVC_STAGE"):
                raise ValueError(
                    f"DVC keeps files of this machine, and {place} is in a store: give a folder (output.labels, "
                    "output.parts), or run pear annotate by itself and not by dvc repro."
                )
            check_store(place)

    @property
    def part_folder(self) -> Place:
        """Folder of the files of the parts, one folder each."""
        return self.work / "parts" if self.parts is None else self.parts

    def plan_path(self, shard: ShardRef) -> Path:
        """File that lists the shard's photos, and those of others beside it (``plan_files``)."""
        first, last = plan_range(shard.index)
        return self.plan_folder(shard.group) / f"{joined_name(first, last)}.parquet"

    def plan_folder(self, group: Group) -> Path:
        """Folder of the plans of a split."""
        return self.work.joinpath("plan", *group)

    def record_path(self, group: Group) -> Path:
        """File that says where a data set comes from."""
        return self.plan_folder(group) / "source.json"

    def refused_path(self, group: Group) -> Path:
        """File of what a data set names and no row can be made of; absent if there is nothing."""
        return self.plan_folder(group) / "refused.jsonl"

    def rendered_path(self, dataset: str) -> Path:
        """Folder that a synthetic data set is rendered into."""
        return self.work / "datasets" / dataset

    def planned_groups(self) -> list[Group]:
        """What has a plan, in order."""
        return sorted({(path.parent.name, path.name) for path in self.work.glob("plan/*/*") if path.is_dir()})

    def step_path(self, step: str, shard: ShardRef) -> Place:
        """Result file of a step: the labels of the shard for ``refine``, a part file otherwise."""
        return self.step_folder(step) / shard.relative_path

    def step_folder(self, step: str) -> Place:
        """Folder of the result files of a step."""
        return self.labels if step == "refine" and self.shards_per_file == 1 else self.part_folder / step

    def has_result(self, step: str, shard: ShardRef) -> bool:
        """Whether a shard has a file at a step and did not fail there since."""
        return is_file(self.step_path(step, shard)) and not self.failure_path(step, shard).is_file()

    def failure_path(self, step: str, shard: ShardRef) -> Path:
        """Record of a shard that failed at a step."""
        return (self.work / "failed" / step / shard.relative_path).with_suffix(".json")

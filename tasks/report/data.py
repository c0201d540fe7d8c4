"""What is known of all labels: counts, reasons, errors, whom to draw; gathered shard by shard.

Of each of the N rows only numbers are kept (40 bytes), so that medians are exact; texts only of those to be shown.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.error_codes import ERROR_SENTENCES, ErrorCode, Status
from datasets_manifest.schema.labels import PART_NAMES, label_schema
from datasets_manifest.schema.people import PeopleCount, is_bridged, is_empty_photo
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import check_snapshot
from tasks.posing import JointBody
from tasks.report.figures import PART_TITLES, finite
from tasks.report.pixels import COUNTED, PixelGains, gain_text, has_pixels, shown_labels
from tasks.report.provenance import Provenance
from tasks.report.settings import ReportConfig
from tasks.report.tracks import TrackStatistics
from tasks.tracks.labelled import has_groups

NUMBERS = (
    "reproj_rel",
    *(f"{part}_quality" for part in PART_NAMES),
    *(f"reproj_{part}_px" for part in PART_NAMES),
)
FLAGS = tuple(f"{part}_valid" for part in PART_NAMES)
_STATES = (*Status, ErrorCode.BRIDGED)
"""Who is bridged was not found: figures of labels are of the others."""


@dataclass(slots=True)
class Reason:
    """How often an error code occurs."""

    example: str
    """Sample that has it."""
    detail: str
    """What is said of that sample."""
    count: int = 0
    """People."""
    failed: int = 0
    """Those of them without a label."""


@dataclass(slots=True)
class Group:
    """What is counted of one split of a data set."""

    count: PeopleCount = field(default_factory=PeopleCount)
    """People by status, and photos."""
    accepted: Counter[str] = field(default_factory=Counter)
    """Valid parts of the people with a label."""
    converged: int = 0
    """People whose fit converged."""
    pixels: PixelGains = field(default_factory=PixelGains)
    """What pixels changed."""

    @property
    def labelled(self) -> int:
        """People with a label, without those who are bridged."""
        return self.count.people - self.count.failed - self.count.bridged


class LabelStatistics:
    """Figures of many label shards; ``add`` takes them in the order of their paths."""

    def __init__(self, config: ReportConfig | None = None, body: JointBody | None = None) -> None:
        """Without a body the accelerations of tracks are not known."""
        self.config = config or ReportConfig()
        self.tracks = TrackStatistics(self.config, body)
        self.provenance = Provenance()
        self.groups: dict[tuple[str, str], Group] = defaultdict(Group)
        """By data set and split."""
        self.reasons: dict[str, Reason] = {}
        """By error code."""
        self._paths: list[str] = []
        self._ends = array("q")
        self._numbers = {name: array("f") for name in NUMBERS}
        self._states = array("b")
        self._group_of_row = array("h")
        self._worst: list[tuple[float, str, int]] = []
        self._worst_of_part: dict[str, list[tuple[float, str, int]]] = {part: [] for part in PART_NAMES}
        self._gained_most: list[tuple[float, str, int]] = []
        self._read: dict[int, dict[str, Any]] = {}
        self._failed: dict[str, list[tuple[str, int]]] = defaultdict(list)

    @classmethod
    def of(cls, labels_dir: Path, config: ReportConfig | None = None, body: JointBody | None = None) -> LabelStatistics:
        """Figures of all labels below a folder.

        Raises:
            SnapshotError: There are none, or they have a fault.
        """
        statistics = cls(config, body)
        check_snapshot(labels_dir, visit=lambda shard, table, _: statistics.add(shard, table))
        return statistics

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self._states)

    def add(self, shard: Shard, table: pa.Table) -> None:
        """Counts the rows of a shard."""
        columns, first = Columns(table), self.num_rows
        self.provenance.add(shard.footer)
        self._paths.append(str(shard.path))
        self._ends.append(first + table.num_rows)
        for name in NUMBERS:
            self._numbers[name].frombytes(columns[name].astype(np.float32).tobytes())
        states, codes, ids = columns["status"], columns["error_code"], columns["sample_id"]
        is_failed = states == Status.FAILED.value
        states = np.where(~is_failed & is_bridged(table), ErrorCode.BRIDGED.value, states)
        is_labelled = np.isin(states, (Status.OK.value, Status.PARTIAL.value))
        self._states.extend(_STATES.index(state) for state in states)
        pixels = shard.columns(label_schema(by_pixels=True), COUNTED) if has_pixels(shard) else None
        self._count_groups(columns, is_labelled, pixels)
        if has_groups(shard):
            self.tracks.add(shard)
        if pixels is not None:
            self._rank_gains(pixels["photometric_gain"], ids, first)
        for row in np.flatnonzero(columns.has("error_code") & ~is_empty_photo(table)):
            reason = self.reasons.setdefault(codes[row], Reason(ids[row], columns["error_detail"][row] or ""))
            reason.count += 1
            reason.failed += bool(is_failed[row])
        errors = np.where(np.isfinite(columns["reproj_rel"]), columns["reproj_rel"], -1.0)
        least = -self._worst[-1][0] if len(self._worst) >= self.config.num_worst > 0 else -np.inf
        new = [
            (-float(errors[row]), ids[row], first + int(row)) for row in np.flatnonzero(is_labelled & (errors >= least))
        ]
        self._worst = heapq.nsmallest(self.config.num_worst, [*self._worst, *new])
        for part, worst in self._worst_of_part.items():
            quality = np.where(columns[f"{part}_valid"], columns[f"{part}_quality"], np.nan)
            new = [(float(quality[row]), ids[row], first + int(row)) for row in np.flatnonzero(np.isfinite(quality))]
            worst[:] = heapq.nsmallest(self.config.num_worst_of_part, [*worst, *new])
        for row in np.flatnonzero(is_failed):
            own = self._failed[codes[row]]
            own.append((ids[row], first + int(row)))
            if len(own) > 2 * self.config.num_failed:
                own[:] = heapq.nsmallest(self.config.num_failed, own)

    def _rank_gains(self, gain: np.ndarray, ids: np.ndarray, first: int) -> None:
        """Keeps whom pixels changed most; takes the gains (n, 3) of a shard's rows."""
        most = np.where(np.isfinite(gain), gain, 0).max(1, initial=0)
        new = [(-float(most[row]), ids[row], first + int(row)) for row in np.flatnonzero(most)]
        self._gained_most = heapq.nsmallest(self.config.num_by_pixels, [*self._gained_most, *new])

    def _count_groups(self, columns: Columns, is_labelled: np.ndarray, pixels: Columns | None) -> None:
        names = list(zip(columns["dataset"], columns["split"], strict=True))
        for name in dict.fromkeys(names):
            group = self.groups[name]
            rows = np.array([own == name for own in names])
            group.count += PeopleCount.of(columns.table.filter(pa.array(rows)))
            group.accepted.update(
                {part: int(columns[f"{part}_valid"][rows & is_labelled].sum()) for part in PART_NAMES}
            )
            group.converged += int(columns["converged"][rows & is_labelled].sum())
            if pixels is not None:
                group.pixels.add(pixels.take(rows & is_labelled))
        number_of = {name: number for number, name in enumerate(self.groups)}
        self._group_of_row.extend(number_of[name] for name in names)

    def numbers(self, name: str, group: tuple[str, str] | None = None, *, labelled: bool = False) -> np.ndarray:
        """A column of ``NUMBERS`` (N,) as float64, NaN where a row has no value; of one group or of all."""
        values = np.frombuffer(self._numbers[name], np.float32)
        rows = np.ones(len(values), bool)
        if group is not None:
            rows &= np.frombuffer(self._group_of_row, np.int16) == list(self.groups).index(group)
        if labelled:
            rows &= self._is_labelled()
        return values[rows].astype(np.float64)

    def _is_labelled(self) -> np.ndarray:
        return np.frombuffer(self._states, np.int8) < _STATES.index(Status.FAILED)

    @property
    def count(self) -> PeopleCount:
        """People by status, and photos."""
        return sum((group.count for group in self.groups.values()), PeopleCount())

    def count_valid(self, part: str) -> int:
        """People with a valid part."""
        return sum(group.accepted[part] for group in self.groups.values())

    def choose(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Rows to draw: the largest errors, random ones of the rest, failed people of as many reasons as can be, and
        photos without people."""
        worst = [row for _, _, row in self._worst]
        rest = self._is_labelled()
        rest[worst] = False
        random = np.random.default_rng(self.config.seed).permutation(np.flatnonzero(rest))[: self.config.num_random]
        num, empty = self.config.num_failed, ErrorCode.NO_PERSON_FOUND
        first = {code: [row for _, row in heapq.nsmallest(num, own)] for code, own in self._failed.items()}
        turns = [(turn, str(code), row) for code, own in first.items() if code != empty for turn, row in enumerate(own)]
        return worst, random.tolist(), [row for _, _, row in sorted(turns)[:num]], first.get(empty, [])

    def worst_parts(self) -> list[int]:
        """Rows of the lowest quality of accepted hands and faces; each person once."""
        parts = (self._worst_of_part[part] for part in PART_NAMES if part != "body")
        return list(dict.fromkeys(row for worst in parts for _, _, row in worst))

    def changed_most(self) -> list[int]:
        """Rows of whom a part gained most by pixels, the largest gain first."""
        return [row for _, _, row in self._gained_most]

    def worst_of(self, groups: Sequence[tuple[str, str]]) -> int | None:
        """The person with the largest relative error among some groups; None if nobody there has a label with one."""
        errors = np.frombuffer(self._numbers["reproj_rel"], np.float32)
        known = [number for number, name in enumerate(self.groups) if name in groups]
        asked = self._is_labelled() & np.isin(np.frombuffer(self._group_of_row, np.int16), known) & np.isfinite(errors)
        return int(np.argmax(np.where(asked, errors, -np.inf))) if asked.any() else None

    def path_of(self, person: int) -> Path:
        """The shard of a person."""
        return Path(self._paths[np.searchsorted(np.frombuffer(self._ends, np.int64), person, side="right")])

    def read(self, people: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Whole label rows of a few people, which are kept; each shard is opened once."""
        unread = [person for person in people if person not in self._read]
        shards = np.searchsorted(np.frombuffer(self._ends, np.int64), unread, side="right")
        for shard in np.unique(shards):
            with Shard(self._paths[shard]) as opened:
                table = shown_labels(opened)
            first = self._ends[shard] - table.num_rows
            own = [person for person, at in zip(unread, shards, strict=True) if at == shard]
            self._read |= dict(zip(own, table.take([person - first for person in own]).to_pylist(), strict=True))
        return {person: self._read[person] for person in people}

    def list_reasons(self) -> list[dict[str, Any]]:
        """One entry an error code, the most frequent first: how many people, what it means, an example."""
        found = [
            {
                "code": code,
                "sentence": ERROR_SENTENCES[ErrorCode(code)] if code in set(ErrorCode) else "",
                "count": reason.count,
                "failed": reason.failed,
                "example": reason.example,
                "detail": reason.detail,
            }
            for code, reason in self.reasons.items()
        ]
        return sorted(found, key=lambda entry: (-entry["count"], entry["code"]))

    def list_datasets(self) -> list[dict[str, Any]]:
        """One entry a data set and split: people by status and the median relative error."""
        found = []
        for name, group in sorted(self.groups.items(), key=lambda entry: "/".join(entry[0])):
            relative = finite(self.numbers("reproj_rel", name))
            found.append(
                {
                    "name": "/".join(name),
                    "count": group.count,
                    "median": float(np.median(relative)) if len(relative) else None,
                }
            )
        return found


def card(label: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of one label row; the picture is filled in later."""

    def number(name: str) -> float | None:
        value = label[name]
        return value if value is not None and np.isfinite(value) else None

    return {
        "sample_id": label["sample_id"],
        "status": label["status"],
        "code": label["error_code"],
        "detail": label["error_detail"] or "",
        "reproj_rel": number("reproj_rel"),
        "parts": [
            {
                "title": PART_TITLES[p],
                "px": number(f"reproj_{p}_px"),
                "quality": number(f"{p}_quality"),
                "valid": label[f"{p}_valid"],
            }
            for p in PART_NAMES
        ],
        "limbs": label["body_group_detail"] or "",
        "pixels": gain_text(label),
        "image": None,
        "problem": "",
        "retry": "",
        "photo": label["image"],
    }

"""What is known of all labels: counts, reasons, errors, whom to draw; gathered shard by shard.

Of each of the N rows only numbers are kept (40 bytes), so that medians are exact; texts only of those to be shown.
"""

from __future__ import annotations

import heapq
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.error_codes import ERROR_SENTENCES, ErrorCode, Status
from datasets_manifest.schema.labels import PART_NAMES, label_schema
from datasets_manifest.schema.people import PeopleCount, is_bridged, is_empty_photo
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import check_snapshot
from datasets_manifest.stores import Place, place_of
from tasks.posing import JointBody
from tasks.report.counts import Group, Reason
from tasks.report.figures import PART_TITLES, finite
from tasks.report.pixels import COUNTED, gain_text, has_pixels, shown_labels
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
_COUNTED_COLUMNS = [
    *("sample_id", "dataset", "split", "image", "status", "error_code", "error_detail", "converged"),
    *(*NUMBERS, *FLAGS),
]
_ROWS_AT_ONCE = 4096
"""Rows of small shards that are counted together: most of what a shard of a few rows costs is not for its rows."""
_STATES = (*Status, ErrorCode.BRIDGED)
"""Who is bridged was not found: figures of labels are of the others."""


class LabelStatistics:
    """Figures of many label shards; ``add`` takes them in the order of their paths."""

    def __init__(self, config: ReportConfig | None = None, body: JointBody | None = None) -> None:
        """Without a body the accelerations of tracks are not known."""
        self.config = config or ReportConfig()
        self.tracks = TrackStatistics(self.config, body)
        self.provenance = Provenance()
        self._groups: dict[tuple[str, str], Group] = defaultdict(Group)
        self._reasons: dict[str, Reason] = {}
        self._waiting: list[pa.Table] = []
        self._num_waiting = 0
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
    def of(
        cls, labels_dir: Place, config: ReportConfig | None = None, body: JointBody | None = None
    ) -> LabelStatistics:
        """Figures of all labels below a folder.

        Raises:
            SnapshotError: There are none, or they have a fault.
        """
        statistics = cls(config, body)
        check_snapshot(labels_dir, visit=lambda shard, table, _: statistics.add(shard, table))
        return statistics

    @property
    def groups(self) -> dict[tuple[str, str], Group]:
        """By data set and split."""
        self._count_waiting()
        return self._groups

    @property
    def reasons(self) -> dict[str, Reason]:
        """By error code."""
        self._count_waiting()
        return self._reasons

    @property
    def num_rows(self) -> int:
        """N."""
        return len(self._states) + self._num_waiting

    def add(self, shard: Shard, table: pa.Table) -> None:
        """Takes the rows of a shard."""
        self.provenance.add(shard.footer)
        self._paths.append(str(shard.path))
        self._ends.append(self.num_rows + table.num_rows)
        if has_groups(shard):
            self.tracks.add(shard)
        if has_pixels(shard):
            self._count_waiting()
            self._count(table, shard.columns(label_schema(by_pixels=True), COUNTED))
            return
        self._waiting.append(table.select(_COUNTED_COLUMNS))
        self._num_waiting += table.num_rows
        if self._num_waiting >= _ROWS_AT_ONCE:
            self._count_waiting()

    def _count_waiting(self) -> None:
        if self._waiting:
            table = pa.concat_tables(self._waiting).unify_dictionaries().combine_chunks()
            self._waiting, self._num_waiting = [], 0
            self._count(table)

    def _count(self, table: pa.Table, pixels: Columns | None = None) -> None:
        """Counts rows, with ``COUNTED`` of those that were refined by pixels."""
        columns, first = Columns(table), len(self._states)
        for name in NUMBERS:
            self._numbers[name].frombytes(columns[name].astype(np.float32).tobytes())
        states, codes, ids = columns["status"], columns["error_code"], columns["sample_id"]
        is_failed = states == Status.FAILED.value
        states = np.where(~is_failed & is_bridged(table), ErrorCode.BRIDGED.value, states)
        is_labelled = np.isin(states, (Status.OK.value, Status.PARTIAL.value))
        numbers = np.zeros(len(states), np.int8)
        for number, state in enumerate(_STATES):
            numbers[states == state.value] = number
        self._states.frombytes(numbers.tobytes())
        self._count_groups(columns, is_labelled, pixels)
        if pixels is not None:
            self._rank_gains(pixels["photometric_gain"], ids, first)
        stated = columns.has("error_code") & ~is_empty_photo(table)
        for code in dict.fromkeys(codes[stated]):
            rows = np.flatnonzero(stated & (codes == code))
            example, detail = str(ids[rows[0]]), str(columns["error_detail"][rows[0]] or "")
            reason = self._reasons.setdefault(code, Reason(example, detail))
            reason.count += len(rows)
            reason.failed += int(is_failed[rows].sum())
        errors = np.where(np.isfinite(columns["reproj_rel"]), columns["reproj_rel"], -1.0)
        least = -self._worst[-1][0] if len(self._worst) >= self.config.num_worst > 0 else -np.inf
        new = [
            (-float(errors[row]), ids[row], first + int(row)) for row in np.flatnonzero(is_labelled & (errors >= least))
        ]
        self._worst = heapq.nsmallest(self.config.num_worst, [*self._worst, *new])
        for part, worst in self._worst_of_part.items():
            quality = np.where(columns[f"{part}_valid"], columns[f"{part}_quality"], np.nan)
            most = worst[-1][0] if len(worst) >= self.config.num_worst_of_part > 0 else np.inf
            new = [(float(quality[row]), ids[row], first + int(row)) for row in np.flatnonzero(quality <= most)]
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
        groups = np.zeros(columns.num_rows, np.int16)
        datasets, splits = columns["dataset"], columns["split"]
        for name in dict.fromkeys(zip(datasets, splits, strict=True)):
            group = self._groups[name]
            number = list(self._groups).index(name)
            rows = (datasets == name[0]) & (splits == name[1])
            groups[rows] = number
            table = columns.table if rows.all() else columns.table.filter(pa.array(rows))
            group.count += PeopleCount.of(table)
            counted = rows & is_labelled
            group.accepted.update({part: int(columns[f"{part}_valid"][counted].sum()) for part in PART_NAMES})
            group.converged += int(columns["converged"][counted].sum())
            if pixels is not None:
                group.pixels.add(pixels.take(counted))
        self._group_of_row.frombytes(groups.tobytes())

    def numbers(self, name: str, group: tuple[str, str] | None = None, *, labelled: bool = False) -> np.ndarray:
        """A column of ``NUMBERS`` (N,) as float64, NaN where a row has no value; of one group or of all."""
        groups = list(self.groups)
        values = np.frombuffer(self._numbers[name], np.float32)
        rows = np.ones(len(values), bool)
        if group is not None:
            rows &= np.frombuffer(self._group_of_row, np.int16) == groups.index(group)
        if labelled:
            rows &= self._is_labelled()
        return values[rows].astype(np.float64)

    def _is_labelled(self) -> np.ndarray:
        self._count_waiting()
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
        self._count_waiting()
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
        self._count_waiting()
        parts = (self._worst_of_part[part] for part in PART_NAMES if part != "body")
        return list(dict.fromkeys(row for worst in parts for _, _, row in worst))

    def changed_most(self) -> list[int]:
        """Rows of whom a part gained most by pixels, the largest gain first."""
        self._count_waiting()
        return [row for _, _, row in self._gained_most]

    def worst_of(self, groups: Sequence[tuple[str, str]]) -> int | None:
        """The person with the largest relative error among some groups; None if nobody there has a label with one."""
        known = [number for number, name in enumerate(self.groups) if name in groups]
        errors = np.frombuffer(self._numbers["reproj_rel"], np.float32)
        asked = self._is_labelled() & np.isin(np.frombuffer(self._group_of_row, np.int16), known) & np.isfinite(errors)
        return int(np.argmax(np.where(asked, errors, -np.inf))) if asked.any() else None

    def path_of(self, person: int) -> Place:
        """The shard of a person."""
        return place_of(self._paths[np.searchsorted(np.frombuffer(self._ends, np.int64), person, side="right")])

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

"""What is known of the tracks of labels: how many, fitted together or not and why, how much they jitter, whom to draw.

A group is in one shard, so that a track is seen whole; of each only two numbers are kept, and names of a few.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.group_columns import GROUP_COLUMNS
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.people import found_rows
from datasets_manifest.shards.shard import Shard
from datasets_manifest.stores import Place
from model.body import skeleton
from tasks.posing import JointBody
from tasks.report.settings import ReportConfig
from tasks.tracks.acceleration import accelerations
from tasks.tracks.labelled import Track, track_rows
from tasks.tracks.world import Placed

_COLUMNS = [*GROUP_COLUMNS, *LABEL_PARAMETERS, "dataset", "split", "sample_id", "status", "error_code"]
_MAX_REASONS = 100
"""Different reasons that are counted by themselves."""
_OTHER = "other reasons"
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(slots=True)
class GroupReason:
    """Why people were not fitted together."""

    example: str
    """Sample of whom it is said."""
    detail: str
    """As it is said of them."""
    count: int = 0
    """Rows of whom it is said, with numbers of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackSummary:
    """One track."""

    path: Place
    """The shard."""
    dataset: str
    split: str
    name: Track
    cameras: int
    """Through which the person has labels."""
    frames: int
    """Moments."""
    rows: int
    """Labels, bridged ones among them."""
    joined: int
    """Those that were fitted with other views or frames."""
    bridged: int
    """Those where nobody was found."""
    joints_m_s2: float
    """Median acceleration of the body's joints relative to the pelvis; NaN where no three frames are in turn."""
    place_m_s2: float
    """Median acceleration of the pelvis."""

    @property
    def title(self) -> str:
        """Names it on a page."""
        return f"{self.dataset}/{self.split}/{self.name.group} track {self.name.track}"


@dataclass(slots=True)
class TrackCounts:
    """What is counted of the tracks of one split of a data set."""

    groups: int = 0
    """Videos, pieces of long ones, and scenes."""
    cameras: tuple[int, int] = (0, 0)
    """Fewest and most in a group."""
    tracks: int = 0
    """People, each counted once a group."""
    joined: int = 0
    """Labels of people who were fitted with other views or frames."""
    alone: int = 0
    """Labels of people who were not, though there are some."""
    bridged: int = 0
    """Labels where nobody was found."""
    reasons: dict[str, GroupReason] = field(default_factory=dict)
    """By what is said of views and frames that were left out, whatever numbers are in it."""
    joints_m_s2: array[float] = field(default_factory=lambda: array("f"))
    """Of each track, see ``TrackSummary``."""
    place_m_s2: array[float] = field(default_factory=lambda: array("f"))

    @property
    def joined_share(self) -> float | None:
        """Share of the labels with other views or frames that were fitted with some; None where there are none."""
        return self.joined / (self.joined + self.alone) if self.joined + self.alone else None

    def median(self, name: str) -> float | None:
        """Median over the tracks of ``joints_m_s2`` or ``place_m_s2``; None where no track has three frames in turn."""
        values = np.array(getattr(self, name), np.float64)
        values = values[np.isfinite(values)]
        return float(np.median(values)) if len(values) else None

    def list_reasons(self) -> list[GroupReason]:
        """The most frequent first."""
        return sorted(self.reasons.values(), key=lambda reason: (-reason.count, reason.detail))


class TrackStatistics:
    """Figures of the tracks of many label shards."""

    def __init__(self, config: ReportConfig, body: JointBody | None) -> None:
        """Without a body accelerations are not known."""
        self._config, self._body = config, body
        self.datasets: dict[tuple[str, str], TrackCounts] = {}
        """By data set and split, of those with groups."""
        self._worst: list[tuple[float, str, TrackSummary]] = []
        self._random: list[tuple[bytes, str, TrackSummary]] = []

    def add(self, shard: Shard) -> None:
        """Counts the rows of a shard with groups."""
        columns = shard.columns(label_schema(in_groups=True), _COLUMNS)
        if not columns.num_rows:
            return
        dataset, split = str(columns["dataset"][0]), str(columns["split"][0])
        counts = self.datasets.setdefault((dataset, split), TrackCounts())
        found, joined = found_rows(columns.table), columns["views_joined"] | columns["frames_joined"]
        self._count_rows(counts, columns, found, joined)
        for name, rows in track_rows(columns.table).items():
            own, is_found = columns.take(rows), found[rows]
            joints, place = self._accelerations(own, is_found)
            summary = TrackSummary(
                path=shard.path,
                dataset=dataset,
                split=split,
                name=name,
                cameras=len(set(own["camera"])),
                frames=len(np.unique(own["frame"])),
                rows=len(rows),
                joined=int((joined[rows] & is_found).sum()),
                bridged=int((~is_found).sum()),
                joints_m_s2=joints,
                place_m_s2=place,
            )
            counts.tracks += 1
            counts.joints_m_s2.append(joints)
            counts.place_m_s2.append(place)
            self._rank(summary)

    def numbers(self, name: str) -> np.ndarray:
        """``joints_m_s2`` or ``place_m_s2`` of each track of all data sets; NaN where it is not known."""
        return np.concatenate([np.zeros(0), *(np.array(getattr(own, name), float) for own in self.datasets.values())])

    def chosen(self) -> list[TrackSummary]:
        """Tracks to draw: those that jitter most, the worst first, then others, whichever their names say."""
        worst = [summary for *_, summary in self._worst]
        return [*worst, *[summary for *_, summary in self._random if summary not in worst][: self._config.num_tracks]]

    def _rank(self, summary: TrackSummary) -> None:
        if summary.frames < 2 and summary.cameras < 2:
            return
        num, title = self._config.num_tracks, summary.title
        if np.isfinite(summary.joints_m_s2):
            self._worst = heapq.nsmallest(num, [*self._worst, (-summary.joints_m_s2, title, summary)], _place)
        drawn = hashlib.sha256(f"{self._config.seed} {title}".encode()).digest()
        self._random = heapq.nsmallest(2 * num, [*self._random, (drawn, title, summary)], _place)

    def _accelerations(self, track: Columns, found: np.ndarray) -> tuple[float, float]:
        """Medians over the frames of all cameras of a track, of the joints relative to the pelvis and of the pelvis."""
        if self._body is None:
            return np.nan, np.nan
        values = [
            [accelerations(own, track["time_s"][rows]) for own in (joints[:, 1:] - joints[:, :1], joints[:, :1])]
            for camera in dict.fromkeys(track["camera"])
            if len(rows := np.flatnonzero(found & (track["camera"] == camera))) > 2
            for joints in [self._joints(track.take(rows))]
        ]
        medians = [np.concatenate(own) for own in zip(*values, strict=True)] or [np.zeros(0)] * 2
        joints, place = (float(np.nanmedian(own)) if np.isfinite(own).any() else np.nan for own in medians)
        return joints, place

    def _joints(self, rows: Columns) -> np.ndarray:
        """(R, 22, 3) pelvis and body joints in the world."""
        assert self._body is not None
        joints = self._body.joints({name: rows[name] for name in LABEL_PARAMETERS if rows.has(name).all()})
        return Placed.of(rows["world_to_camera"]).to_world(joints[:, : skeleton.NUM_MAIN_JOINTS])

    def _count_rows(self, counts: TrackCounts, columns: Columns, found: np.ndarray, joined: np.ndarray) -> None:
        cameras: dict[str, set[str | None]] = {}
        for group, camera in zip(columns["group"], columns["camera"], strict=True):
            cameras.setdefault(group, set()).add(camera)
        numbers = [len(own) for own in cameras.values()]
        fewest, most = counts.cameras
        counts.cameras = min([*numbers, *([fewest] if counts.groups else [])]), max(most, *numbers)
        counts.groups += len(cameras)
        told = columns.has("group_detail") & found
        counts.joined += int((joined & found).sum())
        counts.alone += int((told & ~joined).sum())
        counts.bridged += int((~found & (columns["status"] != "failed")).sum())
        for row in np.flatnonzero(told):
            detail = str(columns["group_detail"][row])
            key = _NUMBER.sub("#", detail)
            if key not in counts.reasons and len(counts.reasons) >= _MAX_REASONS:
                key = detail = _OTHER
            counts.reasons.setdefault(key, GroupReason(str(columns["sample_id"][row]), detail)).count += 1


def _place(entry: tuple[Any, str, TrackSummary]) -> tuple[Any, str]:
    return entry[:2]


def track_metrics(counts: TrackCounts) -> dict[str, Any]:
    """What ``metrics/annotate.json`` says of the tracks of a data set."""
    known: Iterable[tuple[str, float | None]] = (
        ("joined_share", counts.joined_share),
        ("joints_acceleration_m_s2", counts.median("joints_m_s2")),
        ("place_acceleration_m_s2", counts.median("place_m_s2")),
    )
    plain: Mapping[str, Any] = {"groups": counts.groups, "tracks": counts.tracks}
    return {**plain, **{name: round(value, 4) for name, value in known if value is not None}}

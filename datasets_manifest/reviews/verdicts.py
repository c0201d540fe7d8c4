"""Reading of verdicts, and what they do to the flags of the labels that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.reviews.digest import label_digests
from datasets_manifest.reviews.schema import REVIEW_FORM
from datasets_manifest.reviews.standing import Said, standing
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.sittings import by_time, newest, read_sittings, sitting_files

ReviewRule = Literal["ignore", "drop_rejected", "only_accepted"]
"""`drop_rejected`: a part that was rejected is not valid; `only_accepted`: nor is one that nobody accepted; `ignore`:
verdicts are counted, not obeyed."""
RULES: tuple[ReviewRule, ...] = get_args(ReviewRule)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Verdicts:
    """The newest verdict on every part that was judged, of those that were not taken back."""

    path: Path
    """Folder they were read from."""
    table: pa.Table
    """Columns of ``REVIEW_SCHEMA``, a row a sample and part."""
    of_sample: Mapping[str, tuple[tuple[int, str, str], ...]] = field(repr=False)
    """By sample id: number of the part, verdict, and digest of the label that it is about."""

    @classmethod
    def of(cls, table: pa.Table, path: Path, *, audit: str | None = None) -> Verdicts:
        """The newest that stands of many verdicts; of two of the same instant, that which comes later in the table.

        Args:
            table: Columns of ``REVIEW_SCHEMA``.
            path: Folder they were read from.
            audit: Only verdicts that state this audit; None: all.
        """
        stands = table.take(pa.array(np.sort(standing_rows(table)), pa.int64()))
        if audit is not None:
            stands = stands.filter(pc.equal(stands["audit"], pa.scalar(audit)))
        chosen = newest(stands, REVIEW_FORM).combine_chunks()
        by_sample: dict[str, list[tuple[int, str, str]]] = {}
        columns = (chosen[name].to_pylist() for name in ("sample_id", "part", "verdict", "label_digest"))
        for sample, part, verdict, digest in zip(*columns, strict=True):
            by_sample.setdefault(sample, []).append((PART_NAMES.index(part), verdict, digest))
        return cls(path=path, table=chosen, of_sample={sample: tuple(own) for sample, own in by_sample.items()})


def standing_rows(table: pa.Table) -> np.ndarray:
    """Numbers of the verdicts that stand, from the oldest to the newest.

    Args:
        table: Columns of ``REVIEW_SCHEMA``.
    """
    order = np.array(by_time(table, REVIEW_FORM), np.int64)
    undone = pc.unique(table.filter(pc.equal(table["verdict"], pa.scalar("none")))["sample_id"])
    is_touched = pc.is_in(table["sample_id"], value_set=undone).to_numpy()
    stands = ~is_touched
    # Most people have nothing that was taken back; of the others it is told one by one.
    touched = order[is_touched[order]]
    stands[touched[standing(said_in(table.take(pa.array(touched, pa.int64()))))]] = True
    return order[stands[order]]


@dataclass(kw_only=True, slots=True)
class Reviewed:
    """What verdicts did to the labels of one selection, counted in parts."""

    verdicts: int = 0
    """Verdicts on these labels that still hold."""
    rejected: int = 0
    """Valid parts that a verdict made invalid."""
    not_accepted: int = 0
    """Valid parts that lack the verdict they would need."""
    flagged: int = 0
    """Parts that somebody else should look at."""
    stale: int = 0
    """Verdicts about labels that have been made again since, with another outcome: not obeyed."""
    unknown: int = 0
    """Verdicts on people who are not among these labels."""

    @property
    def sentence(self) -> str:
        """The counts, for a log; empty if there is nothing to say."""
        what = {
            "verdict": self.verdicts,
            "part rejected": self.rejected,
            "part not accepted": self.not_accepted,
            "part flagged": self.flagged,
            "stale verdict, not obeyed": self.stale,
            "verdict on nobody here": self.unknown,
        }
        return ", ".join(f"{count} x {name}" for name, count in what.items() if count)


def said_in(table: pa.Table) -> list[Said]:
    """What decides whether each verdict of a table stands."""
    return list(map(Said, *(table[name].to_pylist() for name in Said._fields)))


def read_verdicts(folder: Path | str, *, audit: str | None = None) -> Verdicts:
    """Reads every session below a folder of reviews, of one data set or of all.

    Args:
        folder: Where they are.
        audit: Only verdicts that state this audit; None: all.

    Raises:
        ValueError: There is no such folder, or a file in it is no file of verdicts, damaged, or of another version.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"reviews: there is no folder {root}; correct the path, or leave it out to obey no verdict")
    return Verdicts.of(read_sittings(sitting_files(root), REVIEW_FORM), root, audit=audit)


class Obedience:
    """Applies verdicts to labels, shard by shard, and counts what that did."""

    def __init__(self, verdicts: Verdicts, rule: ReviewRule) -> None:
        self._verdicts = verdicts
        self._rule: ReviewRule = rule
        self._seen: set[str] = set()
        self._counts = Reviewed()

    def obey(self, table: pa.Table) -> pa.Table:
        """The rows with the flags of parts set to false that the rule refuses, and the others as they are.

        Args:
            table: Whole rows of labels: the columns of ``DIGESTED``, ``sample_id`` and the flags of the four parts.
        """
        samples = [str(sample) for sample in table["sample_id"].to_pylist()]
        judged = [row for row, sample in enumerate(samples) if sample in self._verdicts.of_sample]
        valid = np.stack([table[f"{part}_valid"].to_numpy(zero_copy_only=False) for part in PART_NAMES], 1).astype(bool)
        accepted, rejected = np.zeros_like(valid), np.zeros_like(valid)
        digests = label_digests(table.take(pa.array(judged, pa.int64()))) if judged else []
        for row, digest in zip(judged, digests, strict=True):
            self._judge(row, samples[row], digest, accepted, rejected)
        if self._rule == "ignore":
            return table
        refused = valid & rejected
        self._counts.rejected += int(refused.sum())
        if self._rule == "only_accepted":
            missing = valid & ~rejected & ~accepted
            self._counts.not_accepted += int(missing.sum())
            refused |= missing
        for k, part in enumerate(PART_NAMES):
            if refused[:, k].any():
                place = table.column_names.index(f"{part}_valid")
                flags = pa.array(valid[:, k] & ~refused[:, k], pa.bool_())
                table = table.set_column(place, table.schema.field(place), flags)
        return table

    def _judge(self, row: int, sample: str, digest: str, accepted: np.ndarray, rejected: np.ndarray) -> None:
        self._seen.add(sample)
        for part, verdict, about in self._verdicts.of_sample[sample]:
            if about != digest:
                self._counts.stale += 1
                continue
            self._counts.verdicts += 1
            accepted[row, part] = verdict == "accept"
            rejected[row, part] = verdict == "reject"
            self._counts.flagged += verdict == "flag"

    def counts(self) -> Reviewed:
        """What was done so far; verdicts on people who did not come by are of nobody."""
        self._counts.unknown = sum(
            len(verdicts) for sample, verdicts in self._verdicts.of_sample.items() if sample not in self._seen
        )
        return self._counts

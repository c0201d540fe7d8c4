"""How many labels of a part are wrong: a seeded sample, judged by people, and the share with its exact interval."""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
import pyarrow as pa

from datasets_manifest.reviews.digest import DIGESTED, label_digests
from datasets_manifest.reviews.verdicts import Verdicts
from datasets_manifest.schema.ehm_fields import PART_NAMES, Part
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.people import found_rows
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.stores import Place

Among = Literal["valid", "refused"]
"""`valid`: labels that are trusted, is one wrong? `refused`: those that are not, was it wrong to refuse one?"""
CONFIDENCE = 0.95
Given = tuple[str, str, str]
"""Verdict, digest of the label that it is about, reviewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """Which labels are judged. The same numbers draw the same people from the same labels, in whatever order."""

    part: Part
    """Part that is judged."""
    among: Among = "valid"
    """Among which of its labels."""
    size: int = 100
    """People to judge."""
    seed: int = 0
    """Another one draws other people."""
    datasets: tuple[str, ...] = ()
    """Ids of data sets, in order; none means all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "datasets", tuple(sorted({*self.datasets})))
        if self.part not in PART_NAMES:
            raise ValueError(f"an audit is of one part, {', '.join(PART_NAMES)}, not of {self.part!r}")
        if self.among not in get_args(Among):
            raise ValueError(f"an audit is among {' or '.join(get_args(Among))} labels, not {self.among!r}")
        if self.size < 1:
            raise ValueError(f"an audit needs somebody to judge, not {self.size} people")

    @property
    def tag(self) -> str:
        """What verdicts of the audit state."""
        of = f"@{','.join(self.datasets)}" if self.datasets else ""
        return f"{self.seed}-{self.size}-{self.part}-{self.among}{of}"

    @classmethod
    def of_tag(cls, tag: str) -> Self:
        """The audit that verdicts state.

        Raises:
            ValueError: It is no tag of one.
        """
        match = re.fullmatch(r"(-?\d{1,9})-(\d{1,9})-([a-z_]+)-([a-z]+)(?:@([\w.,-]+))?", tag, re.ASCII)
        if match is None:
            raise ValueError(
                f"the audit {tag[:40]!r} is none; one is called 0-100-face-valid: seed, size, part, among, and @ with "
                "the data sets if it is not of all"
            )
        seed, size, part, among, of = match.groups()
        datasets = tuple(of.split(",")) if of else ()
        return cls(part=part, among=among, size=int(size), seed=int(seed), datasets=datasets)  # type: ignore[arg-type]

    def places(self, samples: Iterable[str]) -> np.ndarray:
        """Places among many people of those who are judged, in the order to judge them in."""
        return np.argsort(_keys(self.seed, samples), kind="stable")[: self.size]


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditResult:
    """What people found."""

    audit: Audit
    """What was asked."""
    population: int
    """Labels that the sample was drawn from."""
    sample: tuple[str, ...]
    """Sample ids, in the order to judge them in."""
    wrong: tuple[str, ...]
    """Those of them that were judged wrong: rejected among valid labels, accepted among refused ones."""
    right: int
    """Those judged right."""
    unsure: int
    """Those flagged: no judgement."""
    stale: int
    """Verdicts on labels that came out differently since: no judgement either."""
    reviewers: tuple[str, ...]
    """Who judged."""
    open: tuple[str, ...]
    """Those that nobody has judged yet."""

    @property
    def judged(self) -> int:
        """Labels with a judgement."""
        return len(self.wrong) + self.right

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson's exact 95 % interval of the share that is wrong; all that is possible without
        judgements."""
        return clopper_pearson(len(self.wrong), self.judged)

    def lines(self) -> Iterator[str]:
        """The report."""
        own, (low, high) = self.audit, self.interval
        where = f" of {', '.join(own.datasets)}" if own.datasets else ""
        yield (
            f"{own.part}, among {self.population} {own.among} labels{where}: {len(self.sample)} drawn with the seed "
            f"{own.seed}, "
            + (f"{self.judged} judged by {', '.join(self.reviewers)}" if self.judged else "none judged yet")
        )
        if self.judged:
            share = len(self.wrong) / self.judged
            yield f"wrong: {len(self.wrong)} of {self.judged}, {share:.1%} ({low:.1%} to {high:.1%} at 95 %, exact)"
        for count, what in ((self.unsure, "flagged, not counted"), (self.stale, "judged before they came out anew")):
            if count:
                yield f"{count} {what}"
        yield from (f"wrong: {sample}" for sample in self.wrong)


def clopper_pearson(wrong: int, judged: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact interval of a share, after Clopper and Pearson (1934).

    Raises:
        ValueError: More are wrong than judged, or fewer than none.
    """
    from scipy.stats import binomtest

    if not judged:
        return 0.0, 1.0
    found = binomtest(wrong, judged).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def run_audit(labels: Place, verdicts: Verdicts | None, audit: Audit) -> AuditResult:
    """Draws the sample and counts the verdicts on it.

    Args:
        labels: Folder of the labels.
        verdicts: Those that state the audit; None: nobody has judged yet. One given elsewhere is none of the sample's,
            who are drawn blindly.
        audit: What is asked.

    Raises:
        ValueError: There are no such labels, or none of one of the data sets.
    """
    population, drawn = _drawn(labels, audit)
    if not drawn:
        raise ValueError(f"{labels} has no {audit.among} {audit.part} to judge")
    given = {} if verdicts is None else given_verdicts(verdicts, audit.part)
    return counted_verdicts(audit, population, drawn, given)


def counted_verdicts(
    audit: Audit, population: int, drawn: Mapping[str, str], given: Mapping[str, Given]
) -> AuditResult:
    """What people found.

    Args:
        audit: What was asked.
        population: Labels that the sample was drawn from.
        drawn: The sample in its order, each with the digest of its label; of one whom nobody judged it does not matter.
        given: Verdicts on the part.
    """
    bad, good = ("reject", "accept") if audit.among == "valid" else ("accept", "reject")
    by_verdict: dict[str, list[str]] = {name: [] for name in (bad, good, "flag", "", "stale")}
    for sample, digest in drawn.items():
        verdict, about, _ = given.get(sample, ("", digest, ""))
        by_verdict[verdict if about == digest else "stale"].append(sample)
    judged = {*by_verdict[bad], *by_verdict[good], *by_verdict["flag"]}
    return AuditResult(
        audit=audit,
        population=population,
        sample=tuple(drawn),
        wrong=tuple(by_verdict[bad]),
        right=len(by_verdict[good]),
        unsure=len(by_verdict["flag"]),
        stale=len(by_verdict["stale"]),
        reviewers=tuple(sorted({given[sample][2] for sample in judged})),
        open=tuple(sample for sample in drawn if sample not in judged),
    )


def given_verdicts(verdicts: Verdicts, part: Part) -> dict[str, Given]:
    """By sample, of a part."""
    names = ("sample_id", "part", "verdict", "label_digest", "reviewer")
    rows = zip(*(verdicts.table[name].to_pylist() for name in names), strict=True)
    return {sample: (verdict, digest, reviewer) for sample, own, verdict, digest, reviewer in rows if own == part}


def _drawn(labels: Place, audit: Audit) -> tuple[int, dict[str, str]]:
    """Number of labels to draw from, and the sample with its digests, in the order of the draw."""
    population, best, found = 0, list[tuple[int, str, str]](), set[str]()
    for path in shard_files(labels):
        if audit.datasets and path.parent.parent.name not in audit.datasets:
            continue
        found.add(path.parent.parent.name)
        with Shard(path) as shard:
            known = shard.table(LABEL_SCHEMA, ["sample_id", "status", "error_code", f"{audit.part}_valid"])
            rows = np.flatnonzero(_asked(known, audit))
            population += len(rows)
            taken = known.take(pa.array(rows, pa.int64()))
            ids = [str(sample) for sample in taken["sample_id"].to_pylist()]
            keys = _keys(audit.seed, ids).tolist()
            # The smallest keys are the sample: no order of shards, and nobody else's label, changes who is drawn.
            bound = best[-1][0] if len(best) == audit.size else 1 << 64
            near = [k for k, key in enumerate(keys) if key < bound]
            if not near:
                continue
            whole = shard.table(LABEL_SCHEMA, list(DIGESTED)).take(pa.array(rows[near], pa.int64()))
            own = [(keys[k], ids[k], digest) for k, digest in zip(near, label_digests(whole), strict=True)]
            best = heapq.nsmallest(audit.size, [*best, *own])
    if missing := sorted(set(audit.datasets) - found):
        raise ValueError(f"{labels} has no labels of the data set {' or '.join(missing)}; annotate it first")
    return population, {sample: digest for _, sample, digest in best}


def _asked(table: pa.Table, audit: Audit) -> np.ndarray:
    valid = table[f"{audit.part}_valid"].to_numpy(zero_copy_only=False).astype(bool)
    return found_rows(table) & (valid if audit.among == "valid" else ~valid)


def _keys(seed: int, samples: Iterable[str]) -> np.ndarray:
    start = f"{seed}\n"
    keys = b"".join([hashlib.sha256((start + sample).encode()).digest()[:8] for sample in samples])
    return np.frombuffer(keys, ">u8")

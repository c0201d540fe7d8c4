"""A verdict on parts of one label, by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from datasets_manifest.reviews.digest import DIGESTED, label_digests
from datasets_manifest.reviews.schema import REVIEW_FORM, Judgement, Review
from datasets_manifest.reviews.session import ReviewSession
from datasets_manifest.reviews.standing import Said, standing
from datasets_manifest.reviews.verdicts import said_in
from datasets_manifest.schema.ehm_fields import PART_NAMES, Part
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.sittings import by_time, read_sittings, sitting_files
from datasets_manifest.stores import Place
from tasks.version import code_version

_COLUMNS = ["sample_id", "dataset", "status", *DIGESTED]


def judge(
    labels: Place,
    reviews: Path,
    sample_id: str,
    verdicts: Mapping[Part, Judgement],
    *,
    reviewer: str,
    note: str | None = None,
    audit: str | None = None,
) -> Path:
    """Puts verdicts on parts of a label on disk, in a file of their own.

    Args:
        labels: Folder of the labels of all data sets.
        reviews: Folder of the reviews of all data sets.
        sample_id: Of the person.
        verdicts: What is judged of which part.
        reviewer: Who judges.
        note: Why.
        audit: The audit that the verdicts belong to (``audit.Audit.tag``).

    Raises:
        ValueError: There is no such label, it is of somebody who failed and has no parts, a verdict is none, or nothing
            is there to take back.
    """
    row, config_hash = _label(labels, sample_id)
    if row["status"][0].as_py() == "failed":
        raise ValueError(f"{sample_id} failed and has no label to judge; `pear failures` says why")
    now = datetime.now(UTC)
    given = [
        Review(
            sample_id=sample_id,
            part=part,
            verdict=verdict,
            reviewer=reviewer,
            reviewed_utc=now,
            label_config_hash=config_hash,
            label_digest=label_digests(row)[0],
            note=note,
            audit=audit,
        )
        for part, verdict in verdicts.items()
    ]
    if set(verdicts.values()) == {"none"} and not _takes_something_back(reviews, given):
        of = f" for the audit {audit}" if audit else ""
        raise ValueError(f"{sample_id}: {reviewer} has given no verdict on its {', '.join(verdicts)}{of} to take back")
    session = ReviewSession(reviews, str(row["dataset"][0]), started_utc=now, code_version=code_version())
    session.add(*given)
    return session.path


def _takes_something_back(reviews: Path, given: Sequence[Review]) -> bool:
    """Whether one at least is taken back that stands."""
    table = read_sittings(sitting_files(reviews), REVIEW_FORM)
    said = said_in(table.take(pa.array(by_time(table, REVIEW_FORM), pa.int64())))
    new = [Said(one.sample_id, one.part, one.reviewer, one.verdict, one.audit) for one in given]
    return standing([*said, *new]) != standing(said)


def parsed(texts: list[str]) -> dict[Part, Judgement]:
    """Verdicts as a person writes them, ``face=reject``; ``all=accept`` is of every part.

    Raises:
        ValueError: One is written otherwise.
    """
    found: dict[Part, Judgement] = {}
    for text in texts:
        part, mark, verdict = text.partition("=")
        if not mark:
            raise ValueError(f"{text!r}: expected a part and a verdict, such as face=reject or all=accept")
        # ``Review`` refuses what is no part or verdict.
        found |= dict.fromkeys(PART_NAMES if part == "all" else (part,), verdict)  # type: ignore[arg-type]
    return found


def _label(labels: Place, sample_id: str) -> tuple[pa.Table, str]:
    group = labels.joinpath(*sample_id.split("/")[:2])
    num_shards = 0
    for path in shard_files(group) if ".." not in group.parts else ():
        num_shards += 1
        with Shard(path) as shard:
            ids = shard.table(LABEL_SCHEMA, ["sample_id"])["sample_id"].to_pylist()
            if sample_id in ids:
                return shard.table(LABEL_SCHEMA, _COLUMNS).slice(ids.index(sample_id), 1), shard.footer.config_hash
    raise ValueError(
        f"sample {sample_id!r} is in none of the {num_shards} shards in {group}; ids are as in the column sample_id, "
        "for example demo_photos/all/camera.png#0"
    )

"""Readers of our own Parquet files, which others may have changed, with small good files to begin from."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fuzzed_reader import Reader
from label_shards import footer, label_table

from datasets_manifest.corrections.kept import read_corrections
from datasets_manifest.corrections.schema import CORRECTION_FORM
from datasets_manifest.reviews.schema import REVIEW_FORM
from datasets_manifest.reviews.verdicts import read_verdicts
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.journal import Journal
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sittings import Form
from tasks.annotate.plan_files import PlanFile, write_plan_file


def _labels(folder: Path) -> list[bytes]:
    write_shard(folder / "seed.parquet", label_table(2), footer())
    return [(folder / "seed.parquet").read_bytes()]


def _plans(folder: Path) -> list[bytes]:
    schema = PART_SCHEMAS["plan"]
    rows = {"sample_id": "a/all/x#0", "dataset": "a", "split": "all", "image": "x", "person": 0, "status": "ok"}
    write_plan_file(folder / "plan.parquet", {3: (pa.Table.from_pylist([rows], schema=schema), footer())})
    return [(folder / "plan.parquet").read_bytes()]


def _read_plan(path: Path) -> None:
    with PlanFile(path) as file:
        for index in file.footers:
            file.rows(index)


def _footers(folder: Path) -> list[bytes]:
    write_shard(folder / "seed.parquet", label_table(2), footer())
    raw = pq.read_metadata(folder / "seed.parquet").metadata
    return [json.dumps({key.decode(): json.loads(raw[key]) for key in raw if key != b"ARROW:schema"}).encode()]


def _with_footer(data: bytes) -> bytes:
    """Labels whose footer has these values; what is no JSON object becomes the value of one of its keys."""
    try:
        values = json.loads(data)
        raw = {key: json.dumps(value) for key, value in values.items()}
        {key.encode(): value.encode() for key, value in raw.items()}
    except (ValueError, AttributeError, RecursionError):
        raw = {"config": data}
    buffer = io.BytesIO()
    pq.write_table(label_table(2).replace_schema_metadata(raw), buffer)
    return buffer.getvalue()


def _sitting(form: Form, **values: object) -> list[bytes]:
    """A file of verdicts or corrections with one row; texts that are not given are x."""
    row = {field.name: "x" for field in form.schema if pa.types.is_string(field.type)} | values
    stated = json.dumps({"schema_version": form.version}).encode()
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], form.schema.with_metadata({form.key: stated})), buffer)
    return [buffer.getvalue()]


def _reviews(_: Path) -> list[bytes]:
    return _sitting(REVIEW_FORM, part="face", verdict="reject", reviewed_utc=1)


def _corrections(_: Path) -> list[bytes]:
    box = {"keypoint": 3, "state": "moved", "x_px": 1.0, "y_px": 2.0, "bbox_xyxy": [0.0, 0.0, 9.0, 9.0]}
    return _sitting(CORRECTION_FORM, corrected_utc=1, **box)


def _journals(folder: Path) -> list[bytes]:
    from datasets_manifest.shards.journal import Entry

    path = folder / "a.parquet"
    table = label_table(2)
    journal = Journal(folder / "journal")
    journal.add("refine/a/all/00000.parquet", path.parent.stat(), Entry.of(write_shard(path, table, footer()), table))
    journal.save()
    return [next((folder / "journal").glob("*.parquet")).read_bytes()]


def _read_journal(path: Path) -> None:
    journal = Journal(path.parent)
    for place in journal._rows:
        journal._entry(journal._rows[place])


PARQUET = (
    Reader(name="labels", suffix=".parquet", seeds=_labels, read=lambda path: read_shard(path, LABEL_SCHEMA)),
    Reader(
        name="footer",
        suffix=".parquet",
        seeds=_footers,
        read=lambda path: read_shard(path, LABEL_SCHEMA),
        packed=_with_footer,
    ),
    Reader(name="plan", suffix=".parquet", seeds=_plans, read=_read_plan),
    Reader(name="reviews", suffix=".parquet", seeds=_reviews, read=lambda path: read_verdicts(path.parent)),
    Reader(
        name="corrections",
        suffix=".parquet",
        seeds=_corrections,
        read=lambda path: read_corrections(path.parent.parent, path.parent.name),
    ),
    Reader(name="journal", suffix=".parquet", seeds=_journals, read=_read_journal),
)

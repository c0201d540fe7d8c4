"""What the report page says: counts, reasons, errors, whom to draw; from the scalar columns of all labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets_manifest.schema.error_codes import ERROR_SENTENCES, ErrorCode, Status
from datasets_manifest.schema.labels import PART_NAMES
from datasets_manifest.shards.footer import Footer
from tasks.report.figures import PART_TITLES, finite

TEXTS = ("sample_id", "dataset", "split", "status", "error_code", "error_detail")
NUMBERS = ("reproj_rel", "quality", *(f"reproj_{part}_px" for part in PART_NAMES))
FLAGS = tuple(f"{part}_valid" for part in PART_NAMES)

Columns = Mapping[str, np.ndarray]
"""Arrays (N,) by column: texts (object, None where null), numbers (float64, nan where null), flags (bool)."""


def read_scalars(shards: Sequence[Path]) -> Columns:
    """The scalar columns of all shards; ``shard`` and ``row`` say where each of the N people lies."""
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in (*TEXTS, *NUMBERS, *FLAGS, "shard", "row")}
    for index, path in enumerate(shards):
        with pq.ParquetFile(path) as file:
            table = file.read(columns=[*TEXTS, *NUMBERS, *FLAGS])
        for name in TEXTS:
            pieces[name].append(np.array(table[name].cast(pa.string()).to_pylist(), dtype=object))
        for name in NUMBERS:
            pieces[name].append(table[name].to_numpy().astype(np.float64))
        for name in FLAGS:
            pieces[name].append(table[name].to_numpy().astype(bool))
        pieces["shard"].append(np.full(table.num_rows, index))
        pieces["row"].append(np.arange(table.num_rows))
    return {name: np.concatenate(arrays) for name, arrays in pieces.items()}


def choose(
    people: Columns, *, num_worst: int, num_random: int, num_failed: int, seed: int
) -> tuple[list[int], list[int], list[int]]:
    """People to draw: the largest errors, random ones of the rest, failed ones of as many reasons as can be."""
    failed = people["status"] == Status.FAILED.value
    error = np.where(np.isfinite(people["reproj_rel"]), people["reproj_rel"], -1.0)
    labelled = sorted(np.flatnonzero(~failed).tolist(), key=lambda k: (-error[k], people["sample_id"][k]))
    worst, rest = labelled[:num_worst], sorted(labelled[num_worst:])
    random = np.random.default_rng(seed).permutation(np.array(rest, dtype=int))[:num_random].tolist()
    seen: Counter[str] = Counter()
    turns = []
    for k in sorted(np.flatnonzero(failed).tolist(), key=lambda k: people["sample_id"][k]):
        code = str(people["error_code"][k])
        turns.append((seen[code], code, k))
        seen[code] += 1
    return worst, random, [k for _, _, k in sorted(turns)[:num_failed]]


def count_states(people: Columns) -> dict[str, int]:
    """People by status."""
    return {status.value: int((people["status"] == status.value).sum()) for status in Status}


def list_reasons(people: Columns) -> list[dict[str, Any]]:
    """One entry an error code, the most frequent first: how many people, what it means, an example."""
    codes = people["error_code"]
    found = []
    for code, count in Counter(code for code in codes if code is not None).items():
        members = codes == code
        example = int(np.flatnonzero(members)[0])
        found.append(
            {
                "code": code,
                "sentence": ERROR_SENTENCES[ErrorCode(code)] if code in set(ErrorCode) else "",
                "count": count,
                "failed": int((members & (people["status"] == Status.FAILED.value)).sum()),
                "example": people["sample_id"][example],
                "detail": people["error_detail"][example] or "",
            }
        )
    return sorted(found, key=lambda entry: (-entry["count"], entry["code"]))


def list_datasets(people: Columns) -> list[dict[str, Any]]:
    """One entry a data set and split: people by status and the median relative error."""
    names = np.array([f"{d}/{s}" for d, s in zip(people["dataset"], people["split"], strict=True)], dtype=object)
    found = []
    for name in sorted(set(names)):
        members = names == name
        relative = finite(people["reproj_rel"][members])
        states = Counter(people["status"][members])
        found.append(
            {
                "name": name,
                "people": int(members.sum()),
                "median": float(np.median(relative)) if len(relative) else None,
                **{status.value: states[status.value] for status in Status},
            }
        )
    return found


def card(people: Columns, index: int) -> dict[str, Any]:
    """What the page says of one person; the picture is filled in later."""

    def number(name: str) -> float | None:
        value = float(people[name][index])
        return value if np.isfinite(value) else None

    return {
        "place": (int(people["shard"][index]), int(people["row"][index])),
        "sample_id": people["sample_id"][index],
        "status": people["status"][index],
        "code": people["error_code"][index],
        "detail": people["error_detail"][index] or "",
        "quality": number("quality"),
        "reproj_rel": number("reproj_rel"),
        "parts": [
            {"title": PART_TITLES[p], "px": number(f"reproj_{p}_px"), "valid": bool(people[f"{p}_valid"][index])}
            for p in PART_NAMES
        ],
        "image": None,
        "problem": "",
    }


def provenance(footers: Sequence[Footer]) -> dict[str, Any]:
    """What made the labels; where shards differ, every value is listed."""

    def distinct(values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [value for k, value in enumerate(values) if value not in values[:k]]

    return {
        "config_hashes": sorted({footer.config_hash for footer in footers}),
        "code_versions": sorted({footer.code_version for footer in footers}),
        "body_models": distinct([dict(footer.body_model) for footer in footers if footer.body_model]),
        "manifests": distinct([dict(footer.manifest) for footer in footers if footer.manifest]),
        "estimators": distinct([dict(e) for footer in footers for e in footer.estimators]),
        "schema_versions": sorted({footer.schema_version for footer in footers}),
        "created": (min(f.created_utc for f in footers), max(f.created_utc for f in footers)),
        "num_shards": len(footers),
    }

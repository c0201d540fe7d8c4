"""Figures gathered shard by shard are those of all rows at once, and do not grow with the shards."""

from collections import Counter

import numpy as np
import pytest
from label_shards import footer

from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.error_codes import ErrorCode, Status
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.store import shard_path, write_shard
from tasks.report.data import LabelStatistics
from tasks.report.settings import ReportConfig

COUNTS = (5, 0, 9, 30, 1)
CONFIG = ReportConfig(num_worst=6, num_random=5, num_failed=4)


def random_labels(folder, seed):
    """Shards of rows with random states, codes and errors, ties and absent values among them; all rows at once."""
    rng = np.random.default_rng(seed)
    tables = []
    for shard, count in enumerate(COUNTS):
        states = rng.choice([status.value for status in Status], count)
        codes = rng.choice(list(ErrorCode)[:3], count)
        errors = np.where(rng.uniform(size=count) < 0.2, np.nan, rng.integers(0, 8, count) / 64)
        errors[states == "failed"] = np.nan
        columns = {
            "sample_id": [f"demo/all/{rng.integers(10**6)}-{shard}-{n}#0" for n in range(count)],
            "dataset": ["demo" if shard < 3 else "other"] * count,
            "split": ["all"] * count,
            "image": ["a.jpg"] * count,
            "person": np.zeros(count, int),
            "status": states,
            "error_code": [None if state == "ok" else code for state, code in zip(states, codes, strict=True)],
            "error_detail": [None if state == "ok" else f"why {n}" for n, state in enumerate(states)],
            "reproj_rel": errors,
            "body_quality": rng.uniform(size=count),
            **{f"{part}_valid": (states != "failed") & (rng.uniform(size=count) < 0.5) for part in PART_NAMES},
        }
        tables.append(table_from_columns(columns, LABEL_SCHEMA))
        write_shard(shard_path(folder, columns["dataset"][0] if count else "demo", "all", shard), tables[-1], footer())
    return {
        name: np.concatenate([Columns(table)[name] for table in tables])
        for name in ("sample_id", "dataset", "status", "error_code", "error_detail", "reproj_rel")
    }


def chosen_at_once(people):
    """Whom to draw, from all rows at once."""
    failed = people["status"] == "failed"
    error = np.where(np.isfinite(people["reproj_rel"]), people["reproj_rel"], -1.0)
    labelled = sorted(np.flatnonzero(~failed).tolist(), key=lambda k: (-error[k], people["sample_id"][k]))
    worst, rest = labelled[: CONFIG.num_worst], sorted(labelled[CONFIG.num_worst :])
    random = np.random.default_rng(CONFIG.seed).permutation(np.array(rest))[: CONFIG.num_random].tolist()
    seen, turns = Counter(), []
    for k in sorted(np.flatnonzero(failed).tolist(), key=lambda k: people["sample_id"][k]):
        code = people["error_code"][k]
        turns.append((seen[code], code, k))
        seen[code] += 1
    return worst, random, [k for *_, k in sorted(turns)[: CONFIG.num_failed]], []


@pytest.mark.parametrize("seed", range(8))
def test_the_same_people_are_chosen_as_from_all_rows_at_once(tmp_path, seed):
    people = random_labels(tmp_path, seed)
    labels = LabelStatistics.of(tmp_path, CONFIG)
    assert labels.num_rows == sum(COUNTS)
    chosen = labels.choose()
    assert chosen == chosen_at_once(people)
    rows = labels.read([person for group in chosen for person in group])
    for person, row in rows.items():
        assert row["sample_id"] == people["sample_id"][person]


def test_counts_and_medians_are_those_of_all_rows(tmp_path):
    people = random_labels(tmp_path, 1)
    labels = LabelStatistics.of(tmp_path, CONFIG)
    assert {state.value: getattr(labels.count, state.value) for state in Status} == Counter(people["status"])
    for entry in labels.list_datasets():
        own = people["dataset"] == entry["name"].partition("/")[0]
        assert entry["count"].people == own.sum()
        assert entry["median"] == np.nanmedian(people["reproj_rel"][own].astype(np.float64))
    codes = [code for code in people["error_code"] if code is not None]
    assert {entry["code"]: entry["count"] for entry in labels.list_reasons()} == Counter(codes)
    for entry in labels.list_reasons():
        first = codes.index(entry["code"])
        assert entry["example"] == people["sample_id"][people["error_code"] != None][first]  # noqa: E711
    worst = labels.worst_of([("demo", "all")])
    assert people["reproj_rel"][worst] == np.nanmax(people["reproj_rel"][people["dataset"] == "demo"])
    assert labels.worst_of([]) is None


def test_provenance_lists_each_thing_once_however_many_shards_there_are(tmp_path):
    labels = LabelStatistics()
    for shard in range(20):
        path = shard_path(tmp_path, "demo", "all", shard)
        manifest = {"id": "demo", "version": "1", "hash": "00", "inputs_hash": str(shard)}
        write_shard(path, LABEL_SCHEMA.empty_table(), footer(shard=path.stem, manifest=manifest))
        with Shard(path) as opened:
            labels.add(opened, opened.table(LABEL_SCHEMA))
    stated = labels.provenance
    assert (stated.num_shards, len(stated.manifests), len(stated.estimators), len(stated.body_models)) == (20, 1, 1, 1)
    assert stated.created[0] <= stated.created[1]


def test_a_bad_hand_is_found_behind_a_good_body(tmp_path):
    """Of accepted hands and faces, by their quality; a refused one and a body do not count."""
    count = 5
    columns = {
        "sample_id": [f"demo/all/{n}#0" for n in range(count)],
        "dataset": ["demo"] * count,
        "split": ["all"] * count,
        "image": ["a.jpg"] * count,
        "person": np.zeros(count, int),
        "status": ["partial"] * count,
        "error_code": ["estimator_refused"] * count,
        "body_quality": [0.01] * count,
        "left_hand_quality": [0.3, 0.9, 0.1, 0.7, 0.8],
        "face_quality": [0.9, 0.9, 0.9, 0.2, 0.9],
        **{f"{part}_valid": np.ones(count, bool) for part in PART_NAMES},
        "left_hand_valid": np.array([True, True, False, True, True]),
    }
    write_shard(shard_path(tmp_path, "demo", "all", 0), table_from_columns(columns, LABEL_SCHEMA), footer())
    labels = LabelStatistics.of(tmp_path, ReportConfig(num_worst_of_part=1))
    assert labels.worst_parts() == [0, 3]

"""Errors beside labels: every known person and every label has a row, and what is off is measured."""

import numpy as np
from table_rows import table_from_rows
from whole_labels import person

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from tasks.body_model import full_body
from tasks.evaluate.each_person import EachPerson
from tasks.evaluate.matching import match_people, unmatched
from tasks.settings import BodyModelConfig


def labels(*rows, **changes):
    """Labels of (image id, box)."""
    count = len(rows)
    columns = {
        "sample_id": [f"demo/all/{image}#{k}" for k, (image, _) in enumerate(rows)],
        **{name: ["demo"] * count for name in ("dataset", "split")},
        "image": [f"{image}.jpg" for image, _ in rows],
        "person": np.arange(count),
        "bbox_xyxy": np.array([box for _, box in rows], np.float32),
        "status": ["ok"] * count,
        **{f"{part}_valid": np.ones(count, bool) for part in PART_NAMES},
    }
    return Columns(table_from_columns(columns | changes, LABEL_SCHEMA))


def test_who_is_in_no_pair_is_missed_or_of_nobody_known():
    rng = np.random.default_rng(0)
    for _ in range(20):
        people = {image: rng.integers(0, 4) for image in "abc"}
        records = [
            ImageRecord(
                image_id=image,
                path=f"{image}.jpg",
                people=tuple(PersonRecord(index=k, bbox_xyxy=box(rng)) for k in range(count)),
            )
            for image, count in people.items()
        ]
        rows = labels(*((str(rng.choice(list("abcd"))), box(rng)) for _ in range(8)))
        matching = match_people(rows, records)
        missed, false = unmatched(rows, records, matching)
        assert len(missed) == matching.num_known - matching.num_pairs
        assert len(false) == matching.num_labels - matching.num_pairs
        ids = set(matching.labels["sample_id"])
        assert ids.isdisjoint(rows.take(false)["sample_id"])
        assert len(ids) + len(false) == 8


def box(rng):
    corner = rng.integers(0, 20, 2)
    return np.array([*corner, *(corner + 10)], np.float32)


def test_whoever_stands_in_a_crowd_is_nobody_unknown():
    crowd = np.array([[0, 0], [50, 0], [50, 50], [0, 50]], float)
    record = ImageRecord(image_id="a", path="a.jpg", people=(), ignore_regions=(crowd,))
    rows = labels(("a", [10, 10, 20, 20]), ("a", [60, 60, 70, 70]))
    assert unmatched(rows, [record], match_people(rows, [record]))[1].tolist() == [1]


def test_a_label_that_is_the_truth_has_no_error():
    rng = np.random.default_rng(0)
    rows = [person(n, rng) for n in range(3)]
    known = Columns(table_from_rows(rows, LABEL_SCHEMA))
    box, points = np.array([60, 0, 90, 70], np.float32), rng.random((133, 3)).astype(np.float32)
    missed = PersonRecord(index=1, bbox_xyxy=box, keypoints=points)
    records = [
        ImageRecord(
            image_id=f"{n}.jpg",
            path=f"{n}.jpg",
            people=(
                PersonRecord(
                    index=0, bbox_xyxy=known["bbox_xyxy"][n], truth={name: known[name][n] for name in LABEL_PARAMETERS}
                ),
                *((missed,) if n == 1 else ()),
            ),
        )
        for n in range(2)
    ]
    found = EachPerson(full_body(BodyModelConfig())).errors(known, records).to_pylist()
    assert [row["found"] for row in found] == ["matched", "matched", "false", "missed"]
    assert [row["sample_id"] for row in found[2:]] == ["demo/train/2.jpg#0", "demo/train/1.jpg#missed-1"]
    assert found[3]["known_keypoints"] == points.ravel().tolist()
    assert all(row["pa_mpjpe_mm"] < 0.1 and row["head_pa_mm"] < 0.1 for row in found[:2])

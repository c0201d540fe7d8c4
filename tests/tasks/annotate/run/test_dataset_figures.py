"""The figures of a data set are of its labelled people; a part of which nothing is known has none."""

import numpy as np
import pyarrow as pa
from label_shards import footer, label_table

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.store import shard_path, write_shard
from tasks.annotate.run.dataset_figures import dataset_figures
from tasks.report.data import LabelStatistics

GIVEN = {
    "reproj_rel": [9.0, 0.01, 0.02, 0.03],
    "reproj_body_px": [9.0, 1.0, 2.0, 6.0],
    "body_quality": [9.0, 0.2, 0.4, 0.9],
    "face_quality": [9.0, 0.5, np.nan, 0.7],
    "converged": [True, True, True, False],
}
"""Of one person without a label and three with one."""


def with_values(table, given):
    """The table with some columns."""
    for name, values in given.items():
        field = LABEL_SCHEMA.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    return table


def figures_of(folder, table):
    path = shard_path(folder, "demo", "all", 0)
    write_shard(path, table, footer())
    labels = LabelStatistics()
    with Shard(path) as shard:
        labels.add(shard, shard.table(LABEL_SCHEMA))
    return dataset_figures(labels, ("demo", "all"))


def test_figures_are_of_the_people_with_a_label(tmp_path):
    figures = figures_of(tmp_path, with_values(label_table(count=4), GIVEN))
    assert (figures["people"], figures["failed"], figures["converged"]) == (4, 1, 0.6667)
    assert figures["accepted"] == {"body": 1.0, "left_hand": 0.0, "right_hand": 0.0, "face": 0.0}
    assert figures["reprojection_median_px"] == {"body": 2.0}
    assert figures["reprojection_rel"] == {"median": 0.02, "p95": 0.029}
    assert figures["quality_median"] == {"body": 0.4, "face": 0.6}


def test_who_is_bridged_is_counted_and_makes_no_figure_worse(tmp_path):
    alone = figures_of(tmp_path / "alone", with_values(label_table(count=4), GIVEN))
    table = with_values(label_table(count=6), {name: [*values, *values[:2]] for name, values in GIVEN.items()})
    code = ["fit_not_finite", None, None, None, "bridged", "bridged"]
    state = ["failed", "ok", "ok", "ok", "partial", "partial"]
    table = with_values(table, {"error_code": code, "status": state, "body_valid": [False, *[True] * 3, False, False]})
    figures = figures_of(tmp_path / "bridged", table)
    assert "bridged" not in alone
    changed = {"people": 6, "partial": 2, "bridged": 2}
    assert figures == alone | changed

"""pandas reads the folder of a data set with the columns of its first file: every file has all that one of them has."""

import numpy as np
import pandas as pd
import pytest
from whole_labels import failed, person, write

from datasets_manifest.schema.labels import label_schema
from datasets_manifest.schema.rle import Rle
from datasets_manifest.shards.shard import Shard, read_footer
from tasks.annotate.run.same_columns import SameColumns
from tasks.annotate.settings import OutputConfig
from tasks.annotate.workspace import Workspace, shard_paths


@pytest.fixture
def workspace(tmp_path):
    return Workspace.of(OutputConfig(labels=str(tmp_path / "labels"), work=str(tmp_path / "work")))


def collected(workspace):
    columns = SameColumns()
    for shard, path in shard_paths(workspace.labels):
        with Shard(path) as labels:
            columns.add(shard, labels)
    return columns


def test_files_without_a_column_get_it(workspace):
    rng = np.random.default_rng(0)
    lens = {"lens_model": "brown", "lens_coefficients": [0.1, 0, 0, 0, 0], "focal_xy_px": [500.0, 500.0]}
    mask = Rle.of_mask(np.eye(6, dtype=bool)).value
    rows = [[person(n, rng), failed(10 + n, rng)] for n in range(4)]
    rows[1][0] |= {"label_source": "points in 3D"}
    rows[2][0] |= lens
    rows[3][0] |= {"mask": mask, "label_source": "body in 3D"}
    schemas = ({}, {"has_truth": True}, {"has_lens": True}, {"has_truth": True, "has_mask": True})
    for shard, (own, has) in enumerate(zip(rows, schemas, strict=True)):
        write(workspace.labels, own, shard, label_schema(**has), created_utc="2026-01-01")
    others = person(0, rng, dataset="other", split="all")
    write(workspace.labels, [others])
    folder = workspace.labels / "demo" / "train"
    before = {path: (read_footer(path), pd.read_parquet(path)) for path in folder.iterdir()}
    untouched = (workspace.labels / "other/all/00000.parquet").read_bytes()
    assert "mask" not in pd.read_parquet(folder).columns  # as pandas is

    assert collected(workspace).give(workspace) == 4
    found = pd.read_parquet(folder)
    assert {"label_source", "lens_model", "lens_coefficients", "focal_xy_px", "mask"} <= set(found.columns)
    assert found["label_source"].astype(object).where(found["label_source"].notna(), None).tolist() == [
        "estimators", None, "points in 3D", None, "estimators", None, "body in 3D", None,
    ]  # fmt: skip
    assert found["lens_model"].isna().tolist() == [True] * 4 + [False] + [True] * 3
    assert found["mask"].isna().tolist() == [True] * 6 + [False, True]
    for path, (footer, table) in before.items():
        assert read_footer(path) == footer
        pd.testing.assert_frame_equal(pd.read_parquet(path)[table.columns], table)
        with Shard(path) as labels:
            labels.table(label_schema(has_lens=True, has_truth=True, has_mask=True))
    assert (workspace.labels / "other/all/00000.parquet").read_bytes() == untouched
    assert collected(workspace).give(workspace) == 0


def test_files_that_agree_stay(workspace):
    rng = np.random.default_rng(0)
    for shard in range(2):
        write(workspace.labels, [person(shard, rng)], shard)
    before = [path.stat().st_mtime_ns for _, path in shard_paths(workspace.labels)]
    assert collected(workspace).give(workspace) == 0
    assert [path.stat().st_mtime_ns for _, path in shard_paths(workspace.labels)] == before

"""The golden run names what changed, and nothing else."""

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.golden import differences, fitted


@pytest.fixture
def runs(tmp_path):
    """Two runs that are the same but for a hash in the name of a folder."""
    for name, settings in (("before", "0123456789ab"), ("after", "ba9876543210")):
        folder = tmp_path / name / "runs" / "train" / settings
        folder.mkdir(parents=True)
        table = pa.table({"id": ["a", "b"], "pose": [[0.5, math.nan], None]})
        pq.write_table(table, tmp_path / name / "labels.parquet")
        np.savez(tmp_path / name / "fit.npz", angle=np.array([1.0, 2.0]))
        (folder / "curve.jsonl").write_text(json.dumps({"step": 1, "loss": 0.5}) + "\n", encoding="utf-8")
    return tmp_path / "before", tmp_path / "after"


def test_equal_runs_have_no_difference(runs):
    assert list(differences(*runs)) == []


def test_a_changed_number_is_named_with_its_size(runs):
    np.savez(runs[1] / "fit.npz", angle=np.array([1.0, 2.25]))
    assert list(differences(*runs)) == ["fit.npz: angle: largest difference 0.25"]


def test_a_missing_file_and_other_text_are_named(runs):
    (runs[1] / "fit.npz").unlink()
    table = pq.ParquetFile(runs[1] / "labels.parquet").read()
    pq.write_table(table.set_column(0, "id", pa.array(["a", "c"])), runs[1] / "labels.parquet")
    found = list(differences(*runs))
    assert found[0].startswith("fit.npz: angle: only in ")
    assert found[1] == "labels.parquet: id: other rows or other text"


def test_the_refinement_is_recorded_whole():
    arrays = fitted(4)
    assert {".alone.parameters.body_pose", ".together.status"} <= set(arrays)
    assert all(len(array) == 4 for array in arrays.values())

"""Selections come back from their file as they were, without a copy of their rows."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from labelled_photos import labelled_photos

from datasets_manifest.shards.selection_columns import COLUMNS
from datasets_manifest.shards.selection_file import read_selections, write_selections


@pytest.fixture
def selections(tmp_path):
    return [labelled_photos(tmp_path / name, count, name=name).selection for name, count in (("a", 3), ("b", 5))]


def test_what_comes_back_is_what_went_in(tmp_path, selections):
    stamp = write_selections(tmp_path / "run" / "selection.arrow", selections)
    found = read_selections(tmp_path / "run" / "selection.arrow", stamp)
    assert len(found) == 2
    for one, other in zip(selections, found, strict=True):
        assert other.table.equals(one.table, check_metadata=True)
        for field in dataclasses.fields(one):
            if field.name != "table":
                assert getattr(one, field.name) == getattr(other, field.name), field.name
        for name in COLUMNS:
            np.testing.assert_array_equal(other.array(name), one.array(name))


def test_rows_stay_in_the_file(tmp_path, selections):
    """Columns of a large selection are views of the mapped file; flags alone, a bit each, are unpacked."""
    selection = selections[0]
    table = pa.concat_tables([selection.table] * 2000).combine_chunks()
    stamp = write_selections(tmp_path / "selection.arrow", [dataclasses.replace(selection, table=table)])
    nbytes = table.nbytes
    del table
    before = pa.total_allocated_bytes()
    (found,) = read_selections(tmp_path / "selection.arrow", stamp)
    arrays = [found.array(name) for name in ("keypoints_2d", "body_pose", "betas", "body_quality")]
    assert found.num_rows == 6000
    assert pa.total_allocated_bytes() - before < 0.01 * nbytes
    assert not any(array.flags.owndata or array.flags.writeable for array in arrays)


def test_a_selection_in_several_pieces_stays_one(tmp_path, selections):
    table = pa.concat_tables([selections[0].table] * 2)
    assert table["betas"].num_chunks == 2
    stamp = write_selections(
        tmp_path / "selection.arrow", [dataclasses.replace(selections[0], table=table), selections[1]]
    )
    found = read_selections(tmp_path / "selection.arrow", stamp)
    assert [one.num_rows for one in found] == [6, 5]
    assert found[0].table.equals(table)


def test_another_file_is_refused(tmp_path, selections):
    path = tmp_path / "selection.arrow"
    stamp = write_selections(path, selections)
    write_selections(path, selections[:1])
    with pytest.raises(ValueError, match="is not the selection of labels that was asked for; run the same command"):
        read_selections(path, stamp)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="is no selection of labels"):
        read_selections(path, stamp)
    path.unlink()
    with pytest.raises(ValueError, match="is no selection of labels"):
        read_selections(path, stamp)


def test_a_file_that_could_not_be_written_leaves_the_old_one(tmp_path, selections):
    path = tmp_path / "selection.arrow"
    stamp = write_selections(path, selections)
    other = dataclasses.replace(selections[1], table=selections[1].table.drop_columns(["betas"]))
    with pytest.raises(pa.ArrowInvalid):
        write_selections(path, [selections[0], other])
    assert len(read_selections(path, stamp)) == 2
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == [path.name]


def test_a_place_that_cannot_be_written_is_told(tmp_path, selections):
    (tmp_path / "run").write_text("a file where a folder is needed")
    with pytest.raises(ValueError, match=r"run.selection.arrow cannot be written, it needs \d+ MB"):
        write_selections(tmp_path / "run" / "selection.arrow", selections)

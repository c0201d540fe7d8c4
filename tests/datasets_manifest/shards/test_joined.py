"""A file of several shards has the rows of all, in their order, and says which are whose."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from whole_labels import failed, person, write

from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards import joined
from datasets_manifest.shards.joined import joined_name, joined_range, shard_numbers, shard_of_row, write_joined
from datasets_manifest.shards.shard import Shard, read_footer
from datasets_manifest.shards.snapshot import read_snapshot

SCHEMA = label_schema(has_lens=True)


@pytest.fixture
def shards(tmp_path):
    """Files of 1 to 4 people in turn, every fifth failed, with an optional column."""
    rng, number = np.random.default_rng(0), 0
    for shard in range(9):
        rows = []
        for _ in range(1 + shard % 4):
            rows.append((failed if number % 5 == 0 else person)(number, rng))
            number += 1
        write(tmp_path / "parts", rows, 3 * shard, SCHEMA)
    return sorted((tmp_path / "parts/demo/train").iterdir())


def joined_footer(footers):
    counts = {name: sum(getattr(own, name) for own in footers) for name in ("row_count", "failed_count", "empty_count")}
    manifest = {**footers[0].manifest, "shards": [[int(own.shard), own.row_count] for own in footers]}
    return replace(footers[0], manifest=manifest, shard=joined_name(0, 99), **counts)


def tables(paths):
    for path in paths:
        with Shard(path) as shard:
            yield shard.table(SCHEMA)


@pytest.mark.parametrize(("group_bytes", "num_groups"), [(1, 9), (25_000, 2), (1 << 30, 1)])
def test_rows_are_those_of_the_shards_one_after_the_other(shards, tmp_path, monkeypatch, group_bytes, num_groups):
    monkeypatch.setattr(joined, "_GROUP_BYTES", group_bytes)
    footers = [replace(read_footer(path), shard=path.stem) for path in shards]
    path = tmp_path / "labels/demo/train/00000-00099.parquet"
    write_joined(path, joined_footer(footers), SCHEMA, tables(shards))
    with Shard(path) as whole:
        assert whole.table(SCHEMA).to_pylist() == [row for table in tables(shards) for row in table.to_pylist()]
        assert whole.schema.equals(SCHEMA.remove_metadata())
        assert whole.footer == joined_footer(footers)
        assert whole.footer.config_hash == footers[0].config_hash
        owners = [int(own.shard) for own in footers for _ in range(own.row_count)]
        assert [shard_of_row(whole.footer, row) for row in range(whole.num_rows)] == owners
    stored = pq.read_metadata(path)
    assert stored.num_row_groups == num_groups
    columns = [stored.row_group(0).column(k) for k in range(stored.num_columns)]
    words = {one.path_in_schema for one in columns if "RLE_DICTIONARY" in one.encodings}
    assert words >= {"dataset", "status"}
    assert not words & {"sample_id", "image", "betas.list.element"}
    assert shard_numbers(path) == set(owners)
    found, expected = read_snapshot(tmp_path / "labels"), read_snapshot(tmp_path / "parts")
    assert not found.fault()
    assert (found.count, found.groups["demo", "train"].failures) == (
        expected.count,
        expected.groups["demo", "train"].failures,
    )
    assert found.groups["demo", "train"].shards == expected.groups["demo", "train"].shards


def test_what_goes_wrong_leaves_the_file_of_before(shards, tmp_path):
    path = tmp_path / "labels/demo/train/00000-00099.parquet"
    whole = joined_footer([replace(read_footer(own), shard=own.stem) for own in shards])
    write_joined(path, whole, SCHEMA, tables(shards))
    before = path.read_bytes()

    def broken():
        yield from tables(shards[:2])
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_joined(path, whole, SCHEMA, broken())
    assert path.read_bytes() == before
    assert [own.name for own in path.parent.iterdir()] == [path.name]


def test_names_sort_and_say_the_range(tmp_path):
    names = [joined_name(first, first + 255) for first in (0, 256, 99840)]
    assert names == sorted(names) == ["00000-00255", "00256-00511", "99840-100095"]
    assert [joined_range(tmp_path / f"{name}.parquet") for name in names] == [(0, 255), (256, 511), (99840, 100095)]
    assert joined_range(tmp_path / "00000.parquet") is joined_range(tmp_path / "a-b.parquet") is None


def test_a_damaged_file_names_no_shards(tmp_path):
    path = tmp_path / "00000-00099.parquet"
    path.write_bytes(b"PAR1")
    assert shard_numbers(path) == set()
    assert shard_numbers(tmp_path / "00007.parquet") == {7}

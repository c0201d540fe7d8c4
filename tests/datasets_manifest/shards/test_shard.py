"""A shard is opened once, and gives just the columns that are asked for."""

import numpy as np
import pyarrow as pa
import pytest
from label_shards import footer, label_table
from parquet_opens import watch_opens

from datasets_manifest.canonical import config_hash
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.evidence import pack_arrays, unpack_arrays
from datasets_manifest.schema.labels import LABEL_SCHEMA, SCHEMA_VERSION, label_schema
from datasets_manifest.shards import footer as footers
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import Shard, finished_footer
from datasets_manifest.shards.store import write_shard


def test_footer_schema_and_columns_take_one_open(tmp_path, monkeypatch):
    opens = watch_opens(monkeypatch)
    path = tmp_path / "a.parquet"
    written = write_shard(path, label_table(), footer())
    with Shard(path) as shard:
        assert shard.footer == written
        assert shard.num_rows == 3
        assert shard.schema.names == LABEL_SCHEMA.names
        poses = shard.columns(LABEL_SCHEMA, ["body_pose"])
        assert list(poses) == ["body_pose"]
        assert shard.table(LABEL_SCHEMA).equals(label_table())
    assert opens == [str(path)]
    assert np.isnan(poses["body_pose"][0]).all()
    assert (poses["body_pose"][1:] == 0.5).all()
    assert finished_footer(path, footer().config_hash) == written
    assert len(opens) == 2


def test_some_columns_of_an_older_version_are_upgraded_too(tmp_path):
    path = tmp_path / "a.parquet"
    write_shard(path, label_table().drop_columns(["joint_seen"]), footer(schema_version=1))
    with Shard(path) as shard:
        back = shard.columns(LABEL_SCHEMA, ["sample_id", "joint_seen"])
    assert not back.has("joint_seen").any()


def test_other_columns_are_refused_even_if_the_wanted_ones_are_there(tmp_path):
    path = tmp_path / "a.parquet"
    write_shard(path, label_table().drop_columns(["quality"]), footer())
    with Shard(path) as shard, pytest.raises(ShardError, match=r"absent \['quality'\]"):
        shard.table(LABEL_SCHEMA, ["sample_id"])


def _renamed(table):
    return table.rename_columns({"body_pose": "body_poses"})


def _written_out(table):
    """Parquet's own schema, which knows no dictionaries, stays the same."""
    place = table.schema.get_field_index("status")
    return table.set_column(place, table.schema.field(place).with_type(pa.string()), table["status"].cast(pa.string()))


@pytest.mark.parametrize("names", [["sample_id", "status"], ["sample_id"]])
@pytest.mark.parametrize(("changed", "told"), [(_renamed, "absent .'body_pose'."), (_written_out, "status is string")])
def test_a_file_unlike_the_ones_before_is_refused_as_the_first_would_be(tmp_path, changed, told, names):
    paths = [tmp_path / f"{name}.parquet" for name in "ab"]
    for path, table in zip(paths, (label_table(), changed(label_table())), strict=True):
        write_shard(path, table, footer())
    for _ in range(2):
        with Shard(paths[0]) as shard:
            assert shard.table(LABEL_SCHEMA, names).num_rows == 3
    with Shard(paths[1]) as shard, pytest.raises(ShardError, match=told):
        shard.table(LABEL_SCHEMA, names)


@pytest.mark.parametrize("version", [1, SCHEMA_VERSION])
def test_columns_of_pixels_are_null_where_a_file_lacks_them(tmp_path, version):
    path, schema = tmp_path / "a.parquet", label_schema(by_pixels=True)
    rows = label_table() if version > 1 else label_table().drop_columns(["joint_seen"])
    write_shard(path, rows, footer(schema_version=version))
    with Shard(path) as shard:
        assert shard.table(schema).schema.equals(schema)
        assert not shard.columns(schema, ["sample_id", "photometric_gain"]).has("photometric_gain").any()


def test_columns_of_pixels_are_there_for_who_asks_for_them(tmp_path):
    path, schema = tmp_path / "a.parquet", label_schema(by_pixels=True)
    columns = {name: label_table()[name] for name in LABEL_SCHEMA.names}
    said = {"photometric_gain": [[0.25, np.nan, 0.5]] * 3} | pack_arrays(
        [None, {"jaw_pose": np.ones(3)}, None], "before_pixels"
    )
    write_shard(path, table_from_columns(columns | said, schema), footer())
    with Shard(path) as shard:
        assert shard.table(LABEL_SCHEMA).equals(label_table())
        assert shard.columns(schema, ["photometric_gain"])["photometric_gain"][:, 0].tolist() == [0.25] * 3
        before = unpack_arrays(shard.table(schema), "before_pixels")
    np.testing.assert_array_equal(before["jaw_pose"][:, 0], [np.nan, 1, np.nan])


def test_the_hash_of_a_config_is_computed_once_a_footer_and_once_for_all_shards_of_a_step(tmp_path, monkeypatch):
    counted = []
    monkeypatch.setattr(footers, "config_hash", lambda config: counted.append(config) or config_hash(config))
    mine = footer(config={"only": "here"})
    assert mine.config_hash == mine.config_hash
    assert len(counted) == 1
    for number in range(3):
        write_shard(tmp_path / f"{number}.parquet", label_table(), mine)
    counted.clear()
    for number in range(3):
        with Shard(tmp_path / f"{number}.parquet") as shard:
            assert shard.footer.config_hash == mine.config_hash
    assert len(counted) == 1

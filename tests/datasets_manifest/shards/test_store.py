"""Footers, completion, versions, damage: what a shard on disk promises."""

import errno
import json
import logging
import os
import pickle
import subprocess
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_shards import footer, label_table

from datasets_manifest import stores
from datasets_manifest.files import sweep_temporary
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, SCHEMA_VERSION
from datasets_manifest.schema.part_files import BODY_SCHEMA
from datasets_manifest.schema.upgrades import UPGRADES
from datasets_manifest.shards import shard as shards
from datasets_manifest.shards.footer import FOOTER_KEYS, ShardError
from datasets_manifest.shards.shard import finished_footer, read_footer, read_shard
from datasets_manifest.shards.store import shard_path, write_shard


def dead_process_id():
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_rows_and_footer_come_back(tmp_path):
    path = shard_path(tmp_path, "demo", "all", 12)
    assert path == tmp_path / "demo/all/00012.parquet"
    written = write_shard(path, label_table(), footer())
    assert read_footer(path) == written
    assert (written.row_count, written.failed_count, written.schema_version) == (3, 1, SCHEMA_VERSION)
    back = read_shard(path, LABEL_SCHEMA)
    assert back.equals(label_table())
    assert back.schema.equals(LABEL_SCHEMA, check_metadata=True)


def test_numbers_and_names_are_stored_as_they_are(tmp_path):
    rng, count = np.random.default_rng(0), 64
    rows = {
        "sample_id": [f"demo/all/{k}.jpg#0" for k in range(count)],
        "dataset": ["demo"] * count,
        "status": ["ok"] * count,
        "global_orient": rng.normal(size=(count, 3)).astype(np.float32),
        "body_quality": rng.uniform(size=count),
    }
    schema = pa.schema([LABEL_SCHEMA.field(name) for name in rows])
    write_shard(tmp_path / "a.parquet", table_from_columns(rows, schema), footer())
    group = pq.read_metadata(tmp_path / "a.parquet").row_group(0)
    encodings = [group.column(k).encodings for k in range(group.num_columns)]
    assert ["RLE_DICTIONARY" in own for own in encodings] == [False, True, True, False, False]
    # Random numbers cannot be made smaller: pages of their own size, and their heads.
    assert group.column(3).total_compressed_size < count * 3 * 4 + 200


def test_the_footer_is_json_that_any_reader_can_use(tmp_path):
    write_shard(tmp_path / "a.parquet", label_table(), footer())
    raw = pq.read_metadata(tmp_path / "a.parquet").metadata
    values = {key: json.loads(raw[key.encode()]) for key in FOOTER_KEYS}
    assert values["config"] == dict(footer().config)
    assert values["config_hash"] == footer().config_hash
    assert values["failed_count"] == 1


def test_pandas_reads_a_folder_of_labels_without_our_code(tmp_path):
    write_shard(shard_path(tmp_path, "demo", "all", 0), label_table(image="a.jpg"), footer())
    write_shard(shard_path(tmp_path, "demo", "all", 1), label_table(image="b.jpg", failed=0), footer(shard="00001"))
    write_shard(shard_path(tmp_path, "other", "val", 0), label_table(image="c.jpg", failed=3), footer())
    (tmp_path / "demo/all/.00002.parquet.77.0123456789abcdef.partial").write_bytes(b"PAR1 half a shard")
    frame = pd.read_parquet(tmp_path)
    assert len(frame) == frame["sample_id"].nunique() == 9
    assert list(frame.columns) == LABEL_SCHEMA.names
    assert (frame["status"] == "failed").sum() == 4
    assert len(frame["body_pose"].dropna().iloc[0]) == 63


def test_complete_means_this_config_and_a_readable_file(tmp_path, caplog):
    path = tmp_path / "a.parquet"
    mine = footer().config_hash
    assert not finished_footer(path, mine)
    write_shard(path, label_table(), footer())
    assert finished_footer(path, mine)
    assert not finished_footer(path, footer(config={"solver": {"iterations": 21}}).config_hash)
    path.write_bytes(path.read_bytes()[:-5])
    with caplog.at_level(logging.WARNING):
        assert not finished_footer(path, mine)
    assert "counts as not done" in caplog.text
    write_shard(path, label_table(), footer())
    assert finished_footer(path, mine)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html>", bytes(5000)])
def test_a_file_that_is_no_parquet_is_named(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ShardError, match=r"a\.parquet cannot be read as Parquet"):
        read_footer(path)


def test_a_flipped_bit_in_the_rows_is_found(tmp_path):
    path = tmp_path / "a.parquet"
    write_shard(path, label_table(200, failed=0), footer())
    column = pq.read_metadata(path).row_group(0).column(0)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ShardError, match="damaged"):
        read_shard(path, LABEL_SCHEMA)


def test_a_parquet_file_of_others_is_refused(tmp_path):
    label_table().to_pandas().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ShardError, match="not written by this project"):
        read_footer(tmp_path / "a.parquet")


def rewrite(path, **values):
    """Change footer entries of a shard from outside."""
    table = pq.read_table(path)
    changed = {key.encode(): json.dumps(value).encode() for key, value in values.items()}
    pq.write_table(table.replace_schema_metadata({**pq.read_metadata(path).metadata, **changed}), path)


@pytest.mark.parametrize("values", [{"row_count": 4}, {"config": {"a": 1}}, {"config_hash": "00"}, {"estimators": 3}])
def test_a_footer_that_contradicts_itself_is_refused(tmp_path, values):
    path = tmp_path / "a.parquet"
    write_shard(path, label_table(), footer())
    rewrite(path, **values)
    with pytest.raises(ShardError, match=r"a\.parquet"):
        read_footer(path)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1])
def test_another_schema_version_is_refused_and_both_are_named(tmp_path, version):
    path = tmp_path / "a.parquet"
    write_shard(path, label_table(), footer(schema_version=version))
    with pytest.raises(ShardError, match=rf"version {version}, this program reads version {SCHEMA_VERSION}"):
        read_shard(path, LABEL_SCHEMA)
    assert not finished_footer(path, footer().config_hash)


def test_an_older_version_is_upgraded_where_there_is_a_way(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    older = label_table().rename_columns([{"quality": "score"}.get(n, n) for n in LABEL_SCHEMA.names])
    write_shard(path, older, footer(schema_version=SCHEMA_VERSION - 1))
    rename = {"score": "quality"}
    upgrade = lambda table: table.rename_columns([rename.get(n, n) for n in table.column_names])  # noqa: E731
    monkeypatch.setitem(UPGRADES, SCHEMA_VERSION - 1, upgrade)
    assert read_shard(path, LABEL_SCHEMA).equals(label_table())


def test_labels_of_version_1_are_read_without_the_flags_that_they_lack(tmp_path):
    path = tmp_path / "a.parquet"
    write_shard(path, label_table().drop_columns(["joint_seen"]), footer(schema_version=1))
    back = read_shard(path, LABEL_SCHEMA)
    assert back["joint_seen"].null_count == back.num_rows
    assert back.equals(label_table())


def test_other_columns_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    write_shard(path, label_table(), footer())
    with pytest.raises(ShardError, match=r"absent \['valid'.*unknown \['bbox_xyxy'"):
        read_shard(path, BODY_SCHEMA)


def test_the_sweep_takes_dead_writers_files_only(tmp_path):
    def partial(pid, number):
        path = tmp_path / f".0000{number}.parquet.{pid}.0123456789abcdef.partial"
        path.write_bytes(b"half")
        return path

    dead, alive, old = partial(dead_process_id(), 1), partial(os.getpid(), 2), partial(os.getpid(), 3)
    foreign = tmp_path / ".notes.partial"
    foreign.write_text("not ours")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    assert sweep_temporary(tmp_path) == [dead, old]
    assert alive.exists()
    assert foreign.exists()


def test_the_sweep_leaves_a_file_that_a_writer_elsewhere_still_holds(tmp_path):
    import fcntl

    path = tmp_path / f".00001.parquet.{dead_process_id()}.0123456789abcdef.partial"
    with open(path, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert sweep_temporary(tmp_path) == []
    assert sweep_temporary(tmp_path) == [path]


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_a_pickle_inside_a_shard_is_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.parquet"
    payload = pickle.dumps(Bomb())
    note = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": payload}
    hostile = pa.schema([pa.field("sample_id", pa.string(), metadata=note)])
    write_shard(path, pa.table({"sample_id": ["x"]}, schema=hostile), footer())
    with pytest.raises(ShardError):
        read_shard(path, LABEL_SCHEMA)
    path.write_bytes(payload)
    with pytest.raises(ShardError):
        read_footer(path)
    assert not (tmp_path / "executed").exists()


@pytest.fixture
def in_a_store(monkeypatch, tmp_path):
    """A shard that is asked for by ranges, in a store that can be made to answer no more."""
    write_shard(tmp_path / "00000.parquet", label_table(), footer())
    store = SimpleNamespace(data=(tmp_path / "00000.parquet").read_bytes(), error=None)

    def get(place, start=None, end=None):
        if store.error is not None:
            raise store.error
        return store.data[start:end]

    monkeypatch.setattr(stores, "get", get)
    monkeypatch.setattr(stores, "state_of", lambda _: SimpleNamespace(st_size=len(store.data)))
    monkeypatch.setattr(shards, "opened", partial(stores.opened, block_bytes=512))
    store.place = stores.place_of("s3://bucket/labels/demo/all/00000.parquet")
    return store


@pytest.mark.parametrize("number", [errno.EREMOTEIO, errno.EBUSY])
def test_a_store_that_does_not_answer_is_no_damage_of_the_shard(in_a_store, number):
    with shards.Shard(in_a_store.place) as shard:
        in_a_store.error = OSError(number, "no route to host")
        with pytest.raises(OSError, match="no route to host") as told:
            shard.table(LABEL_SCHEMA)
        assert told.value.errno == number
    with pytest.raises(OSError, match="no route to host"):
        finished_footer(in_a_store.place, footer().config_hash)


def test_damage_in_a_store_is_told_as_damage(in_a_store):
    whole = in_a_store.data
    in_a_store.data = whole[: len(whole) // 2]
    with pytest.raises(ShardError, match="cannot be read as Parquet"):
        shards.Shard(in_a_store.place)
    in_a_store.data = whole[:100] + bytes(100) + whole[200:]
    with pytest.raises(ShardError, match="is damaged"), shards.Shard(in_a_store.place) as shard:
        shard.table(LABEL_SCHEMA)

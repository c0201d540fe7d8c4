"""A snapshot is one config, whole files and every sample once; anything else is refused with its reason."""

import pytest
from label_shards import footer, label_table

from datasets_manifest.shards.snapshot import check_snapshot
from datasets_manifest.shards.store import shard_path, write_shard


@pytest.fixture
def labels(tmp_path):
    """Two good shards of three people each."""
    for shard in range(2):
        write_shard(shard_path(tmp_path, "demo", "all", shard), label_table(image=f"{shard}.jpg"), footer())
    return tmp_path


def test_every_row_is_counted(labels):
    (labels / "demo/all/.00003.parquet.1.0123456789abcdef.partial").write_bytes(b"half")
    snapshot = check_snapshot(labels, expected_rows=6)
    assert (snapshot.num_shards, snapshot.num_rows) == (2, 6)
    assert snapshot.num_ok + snapshot.num_partial + snapshot.num_failed == 6
    assert snapshot.failures == {"fit_not_finite": 2}
    assert snapshot.config_hash == footer().config_hash


def test_mixed_configs_are_refused(labels):
    write_shard(shard_path(labels, "demo", "all", 2), label_table(image="2.jpg"), footer(config={"weight": 2}))
    with pytest.raises(ValueError, match="2 configs are mixed"):
        check_snapshot(labels)


def test_a_sample_in_two_shards_is_refused(labels):
    write_shard(shard_path(labels, "demo", "all", 2), label_table(image="1.jpg"), footer())
    with pytest.raises(ValueError, match=r"1\.jpg#0 occurs in .*00001\.parquet and again in .*00002\.parquet"):
        check_snapshot(labels)


def test_a_lost_row_is_noticed(labels):
    with pytest.raises(ValueError, match="There are 6 rows, the plan has 7"):
        check_snapshot(labels, expected_rows=7)


def test_an_unreadable_shard_is_named(labels):
    path = shard_path(labels, "demo", "all", 1)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"00001\.parquet cannot be read"):
        check_snapshot(labels)


def test_an_empty_folder_is_no_snapshot(tmp_path):
    with pytest.raises(ValueError, match="no shard"):
        check_snapshot(tmp_path)

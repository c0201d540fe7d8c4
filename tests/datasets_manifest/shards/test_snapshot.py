"""A snapshot is one config, whole files and every sample once; anything else is refused with its reason."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from label_shards import footer, label_table

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.people import PeopleCount
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.shards.snapshot import check_snapshot, read_snapshot
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
    assert (snapshot.num_shards, snapshot.count) == (2, PeopleCount(ok=4, failed=2, photos=2))
    (own,) = snapshot.groups.values()
    assert (own.shards, own.failures) == ({0, 1}, {"fit_not_finite": 2})
    assert own.settings.keys() == {footer().config_hash}


def test_two_settings_in_a_data_set_are_refused_and_told_apart(labels):
    other = footer(config={"solver": {"iterations": 30}, "weights": [1.0, 0.25]})
    write_shard(shard_path(labels, "demo", "all", 2), label_table(image="2.jpg"), other)
    with pytest.raises(
        ValueError, match=r"demo/all are of 2 settings, 2 of .* and 1 of .*solver\.iterations is 30, not 20"
    ):
        check_snapshot(labels)


def test_every_data_set_has_settings_and_faults_of_its_own(labels):
    for split, image in (("val", "v.jpg"), ("test", "0.jpg")):
        write_shard(shard_path(labels, "demo", split, 0), label_table(image=image), footer(config={"weight": 2}))
    shard_path(labels, "more", "all", 0).parent.mkdir(parents=True)
    shard_path(labels, "more", "all", 0).write_bytes(b"PAR1")
    snapshot = read_snapshot(labels)
    assert not snapshot.fault([("demo", "all")])
    assert not snapshot.fault([("demo", "val")])
    assert "cannot be read" in snapshot.fault([("more", "all"), ("demo", "val")])
    assert "occurs in" in snapshot.fault([("demo", "all"), ("demo", "test")])
    assert "and again in" in snapshot.fault()


def test_foreign_files_are_passed_over_and_counted(labels):
    pq.write_table(pa.table({"x": [1]}), labels / "demo/all/mine.parquet")
    (labels / "demo/all/.ipynb_checkpoints").mkdir()
    shutil.copy(labels / "demo/all/00000.parquet", labels / "demo/all/.ipynb_checkpoints/00000-checkpoint.parquet")
    snapshot = check_snapshot(labels, expected_rows=6)
    assert snapshot.foreign == [labels / "demo/all/mine.parquet"]
    assert "1 Parquet file not written by this project" in snapshot.foreign_warning


def test_a_file_of_an_earlier_program_counts_its_photos_without_people(labels):
    path = shard_path(labels, "demo", "all", 2)
    field = LABEL_SCHEMA.field("error_code")
    codes = pa.array(["no_person_found", None, None]).cast(field.type)
    rows = label_table(image="2.jpg").set_column(LABEL_SCHEMA.names.index("error_code"), field, codes)
    write_shard(path, rows, footer())
    assert read_footer(path).num_people == 2
    whole = pq.read_table(path)
    older = {key: value for key, value in whole.schema.metadata.items() if key != b"empty_count"}
    pq.write_table(whole.replace_schema_metadata(older), path)
    found = read_footer(path)
    assert (found.empty_count, found.num_people, found.num_failed) == (1, 2, 0)
    assert check_snapshot(labels).count == PeopleCount(ok=6, failed=2, photos=3, empty_photos=1)


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

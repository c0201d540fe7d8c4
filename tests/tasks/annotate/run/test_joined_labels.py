"""Labels in files of several shards: each person in one of them, and only files of changed shards are written."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from whole_labels import person, write

from datasets_manifest.files import WriteError
from datasets_manifest.shards.shard import Shard, read_footer
from datasets_manifest.shards.snapshot import read_snapshot
from tasks.annotate.label_files import check_label_files, label_files, shard_of_label
from tasks.annotate.run import joined_labels
from tasks.annotate.run.joined_labels import JoinedLabels
from tasks.annotate.stale import set_shards_aside
from tasks.annotate.workspace import SplitShards, Workspace, shard_of

GROUP = ("demo", "train")


class Labels:
    """Shards of two people each."""

    def __init__(self, folder, size=3):
        self.folder, self.size = folder, size
        self.planned = list(range(8))
        for index in self.planned:
            self.write(index)

    @property
    def workspace(self):
        return Workspace(work=self.folder / "work", labels=self.folder / "labels", shards_per_file=self.size)

    @property
    def shards(self):
        return self.folder / "work/parts/refine"

    def write(self, index, seed=0, **stated):
        rng = np.random.default_rng([seed, index])
        manifest = {"id": "demo", "version": "1", "hash": "0", "licence": "none", "inputs_hash": f"{seed}-{index}"}
        rows = [person(2 * index + k, rng) for k in range(2)]
        write(self.shards, rows, index, manifest=manifest, created_utc="2026-01-01", **stated)

    def remove(self, *indices):
        for index in indices:
            (self.shards / f"demo/train/{index:05d}.parquet").unlink()
            self.planned.remove(index)

    def publish(self):
        """As ``publish`` does."""
        joined = JoinedLabels(self.workspace)
        found = read_snapshot(self.shards, visit=lambda shard, *_: joined.add(shard_of(shard.path), shard))
        return joined.publish(SplitShards(*GROUP, self.planned), found.fault([GROUP]))

    def files(self):
        return {
            path.stem: (path.stat().st_ino, path.stat().st_mtime_ns) for _, path in label_files(self.workspace, GROUP)
        }

    def people(self, folder):
        found = []
        for path in sorted((folder / "demo/train").glob("*.parquet")):
            with Shard(path) as shard:
                found += shard.table(shard.schema).to_pylist()
        return found

    def is_whole(self):
        """Whether everybody of the shards is in the labels, once, as they are there."""
        return (
            self.people(self.folder / "labels") == self.people(self.shards)
            and not read_snapshot(self.workspace.labels).fault()
        )


@pytest.fixture
def labels(tmp_path):
    labels = Labels(tmp_path)
    assert not labels.publish()
    assert list(labels.files()) == ["00000-00002", "00003-00005", "00006-00008"]
    assert labels.is_whole()
    return labels


def changed(labels, change):
    """The files that another publication writes after a change."""
    before = labels.files()
    change()
    assert not labels.publish()
    after = labels.files()
    return [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def test_only_files_of_changed_shards_are_written(labels):
    assert changed(labels, lambda: None) == []
    assert changed(labels, lambda: labels.write(4, seed=1)) == ["00003-00005"]
    assert labels.is_whole()


def test_new_shards_go_into_the_last_files(labels):
    def grow():
        for index in (8, 9):
            labels.write(index)
            labels.planned.append(index)

    assert changed(labels, grow) == ["00006-00008", "00009-00011"]
    assert labels.is_whole()


def test_a_file_without_shards_is_set_aside(labels):
    assert changed(labels, lambda: labels.remove(3, 4, 5, 7)) == ["00003-00005", "00006-00008"]
    assert list(labels.files()) == ["00000-00002", "00006-00008"]
    assert labels.is_whole()
    (kept,) = (labels.folder / "work/stale").rglob("*.parquet")
    assert kept.name == "00003-00005.parquet"


def test_a_file_stays_while_its_planned_shards_are_yet_to_be_made_again(labels):
    def lose():
        for index in (3, 4, 5):
            (labels.shards / f"demo/train/{index:05d}.parquet").unlink()

    assert changed(labels, lose) == []


def test_another_number_of_shards_gives_other_files(labels):
    labels.size = 4
    assert not labels.publish()
    assert list(labels.files()) == ["00000-00003", "00004-00007"]
    assert labels.is_whole()


def test_of_several_settings_the_earlier_files_stay(labels):
    before = labels.files()
    labels.write(4, config={"other": 1})
    assert "stay as they were, because of the fault" in labels.publish()
    assert labels.files() == before
    for index in range(8):
        labels.write(index, config={"other": 1})
    assert not labels.publish()
    assert {read_footer(path).config_hash for _, path in label_files(labels.workspace, GROUP)} == {
        read_footer(labels.shards / "demo/train/00000.parquet").config_hash
    }


def test_after_a_publication_that_was_killed_the_next_goes_on(labels, monkeypatch):
    labels.write(0, seed=1)
    labels.write(4, seed=1)
    before = labels.files()
    with monkeypatch.context() as patch:

        def write(path, *given, whole=joined_labels.write_joined):
            if path.stem == "00003-00005":
                raise WriteError(28, "The disk is full")
            whole(path, *given)

        patch.setattr(joined_labels, "write_joined", write)
        with pytest.raises(WriteError):
            labels.publish()
    between = labels.files()
    assert [name for name in before if between[name] != before[name]] == ["00000-00002"]
    assert not read_snapshot(labels.workspace.labels).fault()
    assert changed(labels, lambda: None) == ["00003-00005"]
    assert labels.is_whole()


KILLED = """
import os, sys
from pathlib import Path
from pyarrow.parquet import ParquetWriter
from datasets_manifest.shards import joined
from datasets_manifest.shards.snapshot import read_snapshot
from tasks.annotate.run.joined_labels import JoinedLabels
from tasks.annotate.workspace import SplitShards, Workspace, shard_of

def write_table(writer, table, whole=ParquetWriter.write_table):
    written.append(table)
    if len(written) == 5:
        os.kill(os.getpid(), 9)
    whole(writer, table)

written = []
joined._GROUP_BYTES, ParquetWriter.write_table = 1, write_table
folder = Path(sys.argv[1])
files = JoinedLabels(Workspace(work=folder / "work", labels=folder / "labels", shards_per_file=3))
visit = lambda shard, *_: files.add(shard_of(shard.path), shard)
read_snapshot(folder / "work/parts/refine", visit=visit)
files.publish(SplitShards("demo", "train", range(8)), "")
"""


@pytest.mark.long
def test_a_publication_killed_in_the_middle_of_a_file_leaves_whole_ones(labels):
    for index in range(8):
        labels.write(index, seed=1)
    before = labels.files()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(labels.folder)], check=False, timeout=120)
    assert killed.returncode == -9
    between = labels.files()
    assert [name for name in before if between[name] != before[name]] == ["00000-00002"]
    assert len(list((labels.folder / "labels/demo/train").glob(".*.partial"))) == 1
    assert not read_snapshot(labels.workspace.labels).fault()
    assert pd.read_parquet(labels.folder / "labels")["sample_id"].is_unique
    assert changed(labels, lambda: None) == ["00003-00005", "00006-00008"]
    assert labels.is_whole()


def test_a_shard_that_another_run_makes_meanwhile_is_left_to_it(labels, monkeypatch):
    before = labels.files()
    labels.write(4, seed=1)

    def write(path, footer, schema, tables, whole=joined_labels.write_joined):
        labels.write(5, seed=2)
        whole(path, footer, schema, tables)

    with monkeypatch.context() as patch:
        patch.setattr(joined_labels, "write_joined", write)
        assert not labels.publish()
    assert labels.files() == before
    assert changed(labels, lambda: None) == ["00003-00005"]


def test_a_label_is_traced_to_its_shard(labels):
    path = labels.folder / "labels/demo/train/00003-00005.parquet"
    for index in (3, 4, 5):
        for number in (2 * index, 2 * index + 1):
            assert shard_of_label(labels.workspace, path, f"demo/train/{number}.jpg#0").index == index
    assert shard_of_label(labels.workspace, path, "demo/train/99.jpg#0") is None
    elsewhere = Workspace(work=labels.folder / "work", labels=labels.folder / "others", shards_per_file=3)
    assert shard_of_label(elsewhere, path, "demo/train/8.jpg#0") is None


def test_one_begun_anew_sets_the_files_aside(labels):
    assert set_shards_aside(labels.workspace, GROUP).startswith("8 shards set aside")
    assert not labels.files()


def test_labels_of_another_kind_are_refused_until_they_are_moved(labels):
    check_label_files(labels.workspace, GROUP)
    labels.size = 1
    with pytest.raises(ValueError, match=r"files of several shards each, and output\.shards_per_file is 1"):
        check_label_files(labels.workspace, GROUP)
    for _, path in list(label_files(labels.workspace, GROUP)):
        path.unlink()
    (labels.folder / "labels/demo/train").rmdir()
    (labels.shards / "demo/train").rename(labels.folder / "labels/demo/train")
    check_label_files(labels.workspace, GROUP)
    labels.size = 2
    with pytest.raises(ValueError, match=r"files of one shard each, and output\.shards_per_file is 2"):
        check_label_files(labels.workspace, GROUP)
    (labels.folder / "labels/demo/train").rename(labels.shards / "demo/train")
    check_label_files(labels.workspace, GROUP)
    assert not labels.publish()
    assert labels.is_whole()


def test_files_whose_shards_and_plan_are_gone_are_refused(labels):
    for path in (labels.shards / "demo/train").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match="neither that nor the plan"):
        check_label_files(labels.workspace, GROUP)

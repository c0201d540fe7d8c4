"""A snapshot is the labels of one moment, whole and unchanged, and says what it is."""

import json
import os

import pytest
from label_shards import footer, label_table
from local_s3 import bucket  # noqa: F401 (a fixture)
from upath import UPath

from datasets_manifest.files import file_sha256
from datasets_manifest.shards.journal import Journal
from datasets_manifest.shards.snapshot import SnapshotError
from datasets_manifest.shards.store import write_shard
from datasets_manifest.stores import put
from tasks.lineage import lineage_of, lines
from tasks.snapshots import SUMS, check_name, differences, list_snapshots, read_facts, take_snapshot

BODY = {"name": "open", "sha256": "11", "licence": "CC0-1.0"}


def shard(project, index):
    return project / f"labels/demo/all/{index:05d}.parquet"


@pytest.fixture
def project(tmp_path):
    for index in range(3):
        write_shard(shard(tmp_path, index), label_table(image=f"{index}.jpg"), footer(body_model=BODY))
    write_shard(tmp_path / "reviews/demo/20260101.parquet", label_table(), footer())
    return tmp_path


def take(project, name="v1", **given):
    said = {"reviews": project / "reviews", "corrections": project / "corrections"}
    return take_snapshot(name, project, project / "labels", said, Journal(project / "work/state"), **given)


def test_it_has_the_files_and_says_what_they_are(project):
    taken = take(project, note="for the paper")
    folder = project / "snapshots/v1"
    assert (shard(folder, 1).read_bytes(), taken.files) == (shard(project, 1).read_bytes(), 4)
    assert read_facts(folder) == taken
    (labels,) = taken.datasets
    assert (labels.config_hash, labels.shards, labels.manifest["hash"]) == (footer().config_hash, 3, "00")
    assert (taken.people, dict(taken.said), taken.note) == (9, {"reviews": 1}, "for the paper")
    assert [own.name for own in list_snapshots(project)] == ["v1"]
    assert list(differences(folder)) == []


def test_its_sums_are_those_that_sha256sum_checks(project):
    take(project)
    for line in (project / "snapshots/v1" / SUMS).read_text().splitlines():
        sha256, name = line.split("  ")
        assert file_sha256(project / "snapshots/v1" / name) == sha256


def test_labels_that_are_made_again_leave_it_as_it_was(project):
    taken = take(project)
    write_shard(shard(project, 1), label_table(image="1.jpg", failed=3), footer(body_model=BODY))
    assert list(differences(project / "snapshots/v1")) == []
    again = take(project, "v2")
    assert again.hash != taken.hash
    assert take(project, "v3").hash == again.hash, "the same files have the same hash, whatever they are called"


def test_a_name_is_taken_once(project):
    take(project)
    with pytest.raises(ValueError, match="is there already"):
        take(project)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "-x", "a..b", "v1.", "v1.dvc", "é", "x" * 101])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match="cannot be called"):
        check_name(name)


def a_person_twice(project):
    write_shard(shard(project, 7), label_table(image="1.jpg"), footer(body_model=BODY))


def two_settings(project):
    write_shard(shard(project, 7), label_table(image="7.jpg"), footer(config={"x": 1}, body_model=BODY))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (a_person_twice, "occurs in .*labels.*00001.parquet and again in"),
        (two_settings, "are of 2 settings"),
        (lambda project: shard(project, 1).write_bytes(b"PAR1"), "cannot be read"),
        (lambda project: [shard(project, index).unlink() for index in range(3)], "There are no labels"),
    ],
)
def test_labels_that_cannot_be_trusted_make_none_and_leave_nothing(project, spoil, sentence):
    spoil(project)
    with pytest.raises(SnapshotError, match=sentence) as refused:
        take(project)
    assert ".partial" not in str(refused.value)
    assert list((project / "snapshots").iterdir()) == []


def test_what_a_killed_one_left_is_no_snapshot_and_is_replaced(project):
    left = project / "snapshots/.v1.partial/labels/demo/all"
    left.mkdir(parents=True)
    (left / "00009.parquet").write_bytes(b"PAR1")
    assert list(list_snapshots(project)) == []
    assert take(project).files == 4


@pytest.mark.parametrize("change", ["gone", "changed", "added"])
def test_a_change_is_told(project, change):
    take(project)
    folder = project / "snapshots/v1"
    path = shard(folder, 1)
    if change == "gone":
        path.unlink()
    elif change == "changed":
        content = path.read_bytes()
        path.unlink()  # A second name of the label: in place, both would change.
        path.write_bytes(content[:-1] + b"x")
    else:
        write_shard(shard(folder, 9), label_table(image="9.jpg"), footer())
    (told,) = differences(folder)
    assert change in told


def test_damaged_facts_are_told(project):
    take(project)
    (project / "snapshots/v1/snapshot.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(ValueError, match="is no snapshot of this project"):
        read_facts(project / "snapshots/v1")


def test_a_disk_without_links_gets_copies(project, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    take(project)
    assert shard(project / "snapshots/v1", 0).read_bytes() == shard(project, 0).read_bytes()


def test_labels_in_a_store_are_copied(project, bucket):  # noqa: F811
    for index in range(3):
        put(UPath(f"{bucket}/labels/demo/all/{index:05d}.parquet"), shard(project, index).read_bytes())
    taken = take_snapshot("v1", project, UPath(f"{bucket}/labels"), {}, Journal(project / "work/state"))
    assert (taken.people, taken.files) == (9, 3)
    assert shard(project / "snapshots/v1", 2).read_bytes() == shard(project, 2).read_bytes()


def test_its_lineage_leads_to_the_photos(project):
    taken = take(project)
    found = list(lines(lineage_of(project / "snapshots/v1", project)))
    assert found[0].startswith(f"snapshot v1 {taken.hash[:12]} (9 people, ")
    assert [line.split(" (")[0] for line in found[1:]] == [
        f"  labels demo {footer().config_hash[:12]}",
        "    photos demo 1 00",
        "    estimator mediapipe 0.10.21 22",
        "    body open 11",
    ]

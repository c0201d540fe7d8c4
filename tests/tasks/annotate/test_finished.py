"""Looking says the same with a journal as without, whatever became of the files or of the journal meanwhile."""

import dataclasses
import json
import os
import shutil

import pytest
from label_shards import footer, label_table
from local_s3 import bucket  # noqa: F401 (a fixture)
from parquet_opens import watch_opens

from datasets_manifest.shards.journal import file_key
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.shards.store import write_shard
from datasets_manifest.stores import place_of
from tasks.annotate.finished import finished_files, open_journal
from tasks.annotate.look.failures import list_failures
from tasks.annotate.look.status import dataset_states, seconds_left, status_lines
from tasks.annotate.look.verify import verify_labels
from tasks.annotate.plan_files import write_plan_file
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import STEPS, ShardRef, Workspace

SHARDS = [ShardRef(dataset="demo", split="all", index=index) for index in range(3)]


def plan(workspace, shards):
    plans = {shard.index: (label_table(image=f"{shard.index}.jpg"), footer()) for shard in shards}
    write_plan_file(workspace.plan_path(SHARDS[0]), plans)


@pytest.fixture
def workspace(tmp_path):
    found = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    plan(found, SHARDS)
    for shard in SHARDS:
        for step in STEPS:
            write_shard(found.step_path(step, shard), label_table(image=f"{shard.index}.jpg"), footer())
    (found.work / "plan/demo/all/source.json").write_text("{}")
    return found


def verified(workspace, **given):
    return verify_labels(workspace, Origin.of(workspace.work / "params.yaml"), **given)


def answers(workspace):
    origin = Origin.of(workspace.work / "params.yaml")
    try:
        failed = [failure.sample_id for failure in list_failures(workspace, origin)]
    except ValueError as error:
        failed = str(error)
    return dataset_states(workspace), failed, verified(workspace), verified(workspace, deep=True)


def labels_of(workspace, index):
    return workspace.step_path("refine", SHARDS[index])


def overwrite(path, data):
    path.write_bytes(data)


EVENTS = {
    "nothing": lambda own: None,
    "labels made again": lambda own: write_shard(
        labels_of(own, 1), label_table(image="1.jpg", failed=2), footer(config={"x": 1})
    ),
    "labels gone": lambda own: labels_of(own, 1).unlink(),
    "labels cut": lambda own: overwrite(labels_of(own, 1), b"PAR1"),
    "labels written over in place, with as many bytes": lambda own: overwrite(
        labels_of(own, 1), bytes(labels_of(own, 1).stat().st_size)
    ),
    "a person twice": lambda own: shutil.copy(labels_of(own, 1), labels_of(own, 2)),
    "a part gone": lambda own: own.step_path("body", SHARDS[0]).unlink(),
    "a part cut": lambda own: overwrite(own.step_path("body", SHARDS[0]), b""),
    "a plan gone": lambda own: plan(own, SHARDS[:2]),
    "all plans gone": lambda own: own.plan_path(SHARDS[0]).unlink(),
    "everything gone": lambda own: shutil.rmtree(own.work / "parts"),
    "the journal cut": lambda own: [overwrite(p, p.read_bytes()[:-9]) for p in (own.work / "state").iterdir()],
    "the journal gone": lambda own: shutil.rmtree(own.work / "state"),
}


USUAL = {"nothing", "labels made again", "labels cut", "a plan gone", "the journal gone"}


@pytest.mark.parametrize(
    "event", [event if event in USUAL else pytest.param(event, marks=pytest.mark.long) for event in EVENTS]
)
def test_the_same_is_said_with_a_journal_and_without(workspace, event):
    answers(workspace)
    EVENTS[event](workspace)
    with_journal = answers(workspace)
    shutil.rmtree(workspace.work / "state")
    assert answers(workspace) == with_journal


def test_what_was_looked_at_is_not_opened_again(workspace, monkeypatch):
    dataset_states(workspace)
    opened = watch_opens(monkeypatch, without="state")
    dataset_states(workspace)
    list(list_failures(workspace, Origin.of(workspace.work / "params.yaml")))
    verified(workspace)
    assert set(opened) == {str(workspace.plan_path(SHARDS[0]))}, "which shards there are is read off the plans"
    opened.clear()
    write_shard(labels_of(workspace, 0), label_table(image="0.jpg", failed=2), footer())
    dataset_states(workspace)
    assert opened == [str(workspace.plan_path(SHARDS[0])), str(labels_of(workspace, 0))]


def test_damage_that_leaves_size_and_time_is_found_by_a_deep_look(workspace):
    assert not verified(workspace).fault
    path = labels_of(workspace, 1)
    state, data = path.stat(), bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 64] = bytes(64)
    path.write_bytes(bytes(data))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert not verified(workspace).fault
    assert "00001.parquet" in verified(workspace, deep=True).fault


def test_labels_that_cannot_be_read_are_no_missing_ones(workspace):
    """What is to be done stands in the fault."""
    overwrite(labels_of(workspace, 1), b"PAR1" + labels_of(workspace, 1).read_bytes()[4:-40])
    labels_of(workspace, 2).unlink()
    found = verified(workspace)
    assert "00001.parquet" in found.fault
    assert "delete it and run again" in found.fault
    (gap,) = found.gaps
    assert gap.startswith(f"1 of {len(SHARDS)} planned shards of demo/all has no labels (00002)")


def test_a_deep_look_says_where_a_file_is_not_what_was_entered(workspace):
    path, journal = labels_of(workspace, 1), open_journal(workspace)
    verified(workspace)
    known = open_journal(workspace).get(file_key("refine", str(path)), path.stat())
    assert known is not None
    assert known.config_hash == read_footer(path).config_hash
    shutil.rmtree(workspace.work / "state")
    journal.add(file_key("refine", str(path)), path.stat(), dataclasses.replace(known, num_ok=99))
    journal.save()
    assert "00001.parquet has changed since it was written" in verified(workspace, deep=True).fault


def test_the_time_to_go_is_that_of_the_missing_files(workspace):
    times = {step: {"shards": 10, "seconds": 20.0 if step == "keypoints" else 5.0, "file_seconds": 0} for step in STEPS}
    (workspace.work / "run.json").write_text(json.dumps(times))
    assert seconds_left(dataset_states(workspace), workspace, 2) == 0
    workspace.step_path("keypoints", SHARDS[0]).unlink()
    labels_of(workspace, 0).unlink()
    labels_of(workspace, 1).unlink()
    states = dataset_states(workspace)
    assert seconds_left(states, workspace, 2) == pytest.approx((2.0 + 2 * 0.5) / 2)
    *_, last = status_lines(states, workspace, 2, Origin.of(workspace.work / "params.yaml"))
    labelled = len(SHARDS) - 2
    assert last.startswith(
        f"all: {labelled} of {len(SHARDS)} shards labelled ({100 * labelled // len(SHARDS)} %), about"
    )
    (workspace.work / "run.json").write_text(json.dumps({"refine": times["refine"]}))
    assert seconds_left(states, workspace, 2) is None, "nobody knows what keypoints cost"


def test_of_labels_in_a_store_hashes_are_known_without_reading_one(tmp_path, bucket, monkeypatch):  # noqa: F811
    own = Workspace(work=tmp_path / "work", labels=place_of(f"{bucket}/labels"))
    for shard in SHARDS:
        write_shard(own.step_path("refine", shard), label_table(image=f"{shard.index}.jpg"), footer())
    journal = open_journal(own)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.annotate.finished.Shard", None)  # Nothing is read.
        short = dict(finished_files(own, "refine", journal, SHARDS[1:], with_people=False))
    whole = dict(finished_files(own, "refine", journal))
    assert list(short) == SHARDS[1:]
    assert list(whole) == SHARDS
    for shard, entry in short.items():
        assert (entry.config_hash, entry.inputs_hash) == (whole[shard].config_hash, whole[shard].inputs_hash)
        assert (entry.row_count, entry.num_ok, whole[shard].num_ok) == (3, 0, 2)

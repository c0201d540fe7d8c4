"""A journal never changes an answer: it counts for the very file it was made from, and can be lost, cut or shared."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from datasets_manifest.shards.journal import Entry, Journal

PROGRAM = """
import os, sys
from pathlib import Path
from datasets_manifest.shards.journal import Entry, Journal
folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
journal = Journal(folder)
for k in range(count):
    entry = Entry(config_hash=name, inputs_hash=str(k), schema_version=1, row_count=k, failed_count=0, empty_count=0)
    journal.add(f"{name}/{k}", os.stat(sys.argv[0]), entry)
    journal.save()
    print(k, flush=True)
"""


def entry(**values):
    failed = {"sample_id": "a/b/c.jpg#0", "code": "image_corrupt", "detail": None}
    usual = {"config_hash": "c", "inputs_hash": "i", "schema_version": 2, "row_count": 3, "failed_count": 2}
    usual |= {"empty_count": 1, "num_ok": 1, "num_photos": 3, "failures": (failed,), "ids": b"\0" * 48}
    return Entry(**usual | values)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "00000.parquet"
    path.write_bytes(b"1234")
    return path


def start(tmp_path, folder, name, count):
    program = tmp_path / "program.py"
    if not program.exists():
        program.write_text(PROGRAM)
    words = [sys.executable, str(program), str(folder), name, str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True), program


def check(folder, name, count, program):
    """The first so many entries of a process are there, and none is another's."""
    journal = Journal(folder)
    for k in range(count):
        found = journal.get(f"{name}/{k}", program.stat())
        assert found is not None
        assert (found.config_hash, found.inputs_hash, found.row_count) == (name, str(k), k)


def test_what_is_entered_is_found_by_the_same_and_by_another_process(tmp_path, file):
    journal = Journal(tmp_path / "state")
    journal.add("labels/a", file.stat(), entry())
    assert journal.get("labels/a", file.stat()) == entry()
    journal.save()
    assert Journal(tmp_path / "state").get("labels/a", file.stat()) == entry()
    assert Journal(tmp_path / "state").get("labels/b", file.stat()) is None


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"12345"), lambda path: os.utime(path, ns=(1, 1))])
def test_an_entry_is_of_the_very_file_it_was_made_from(tmp_path, file, change):
    journal = Journal(tmp_path / "state")
    journal.add("labels/a", file.stat(), entry())
    journal.save()
    change(file)
    assert Journal(tmp_path / "state").get("labels/a", file.stat()) is None


def test_a_journal_that_is_cut_foreign_or_no_folder_is_as_if_it_were_empty(tmp_path, file):
    folder = tmp_path / "state"
    journal = Journal(folder)
    journal.add("labels/a", file.stat(), entry())
    journal.save()
    (written,) = folder.iterdir()
    whole = written.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        written.write_bytes(whole[:size])
        assert Journal(folder).get("labels/a", file.stat()) is None
    for k in random.Random(0).sample(range(len(whole)), 40):
        written.write_bytes(whole[:k] + bytes([whole[k] ^ 255]) + whole[k + 1 :])
        assert Journal(folder).get("labels/a", file.stat()) in (None, entry())
    other = tmp_path / "file"
    other.write_text("no folder")
    blocked = Journal(other)
    blocked.add("labels/a", file.stat(), entry())
    blocked.save()
    assert blocked.get("labels/a", file.stat()) == entry()


def test_many_files_become_one_that_has_the_latest_of_each(tmp_path, file):
    folder = tmp_path / "state"
    for k in range(20):
        file.write_bytes(b"x" * k)
        os.utime(file, ns=(k, k))
        journal = Journal(folder)
        journal.add("labels/a", file.stat(), entry(config_hash=str(k)))
        journal.save()
    assert len(list(folder.iterdir())) <= 9
    assert Journal(folder).get("labels/a", file.stat()) == entry(config_hash="19")


def test_without_people_the_counts_are_the_same_and_what_is_saved_is_whole(tmp_path, file):
    journal = Journal(tmp_path / "state")
    journal.add("labels/a", file.stat(), entry())
    journal.save()
    short = Journal(tmp_path / "state", with_people=False)
    assert short.get("labels/a", file.stat()) == entry(failures=(), ids=b"")
    short.add("labels/b", file.stat(), entry(config_hash="b"))
    assert short.get("labels/b", file.stat()) == entry(config_hash="b")
    short.save()
    whole = Journal(tmp_path / "state")
    assert [whole.get(f"labels/{name}", file.stat()).config_hash for name in "ab"] == ["c", "b"]
    assert whole.get("labels/b", file.stat()) == entry(config_hash="b")


@pytest.mark.long
def test_of_processes_that_write_at_once_no_entry_is_lost_or_mixed(tmp_path):
    folder = tmp_path / "state"
    started = [(name, *start(tmp_path, folder, name, 40)) for name in ("one", "two", "three")]
    for name, process, _ in started:
        process.communicate(timeout=120)
        assert process.returncode == 0, name
    for name, _, program in started:
        check(folder, name, 40, program)


@pytest.mark.long
def test_killed_at_any_moment_it_keeps_what_was_saved(tmp_path):
    for attempt in range(3):
        folder, name = tmp_path / f"state{attempt}", f"killed{attempt}"
        process, program = start(tmp_path, folder, name, 100_000)
        assert process.stdout is not None
        for _ in range(5 + 7 * attempt):
            process.stdout.readline()
        time.sleep(random.Random(attempt).uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        check(folder, name, int(rest[-1]) + 1 if rest else 5 + 7 * attempt, program)


def test_many_new_entries_are_written_before_they_are_saved(tmp_path, file, monkeypatch):
    monkeypatch.setattr("datasets_manifest.shards.journal._MANY_ROWS", 10)
    journal = Journal(tmp_path / "state")
    for k in range(9):  # an entry has 3 rows and a failure
        journal.add(f"refine/a/b/{k}.parquet", file.stat(), entry(inputs_hash=str(k)))
    assert len(list((tmp_path / "state").iterdir())) == 3
    journal.save()
    found = Journal(tmp_path / "state")
    assert [found.get(f"refine/a/b/{k}.parquet", file.stat()).inputs_hash for k in range(9)] == list("012345678")

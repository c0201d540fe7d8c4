"""A file is written whole under any name that a file may have, or not at all; records last as long as their holders."""

import errno
import os
import subprocess
import sys

import pytest
from pickling import sent

from datasets_manifest import files
from datasets_manifest.files import WriteError, held_record, whole_file, write_bytes


@pytest.mark.parametrize("name", ["a", "x" * 255, "画" * 85, "🖼" * 63, os.fsdecode(b"\xff" * 255)])
def test_any_name_that_a_file_may_have_can_be_written_and_swept(tmp_path, name):
    write_bytes(tmp_path / name, b"data")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with whole_file(tmp_path / name) as file:
        (temporary,) = (path for path in tmp_path.iterdir() if path.name != name)
        assert len(os.fsencode(temporary.name)) <= 255
        assert files._TEMPORARY.fullmatch(temporary.name), "nobody would sweep it"
        file.write(b"more")
    assert (tmp_path / name).read_bytes() == b"more"


def test_a_record_is_seen_while_its_block_lasts(tmp_path):
    seen = []
    with held_record(tmp_path, {"number": 1}, seen.append):
        with held_record(tmp_path, {"number": 2}, seen.append):
            assert seen == [{"number": 1}]
        with held_record(tmp_path, {"number": 3}, seen.append):
            assert seen == [{"number": 1}] * 2
    assert list(tmp_path.iterdir()) == []


def test_what_the_check_raises_is_raised_before_the_block(tmp_path):
    def refuse(other):
        raise ValueError(f"{other['name']} is at work")

    with held_record(tmp_path, {"name": "A"}, refuse):
        with pytest.raises(ValueError, match="A is at work"), held_record(tmp_path, {"name": "B"}, refuse):
            pytest.fail("two at work")
        assert len(list(tmp_path.iterdir())) == 1


def test_the_record_of_a_killed_process_is_gone(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from datasets_manifest.files import held_record\n"
        "with held_record(Path(sys.argv[1]), {'name': 'A'}, print): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    seen = []
    with held_record(tmp_path, {"name": "B"}, seen.append):
        assert seen == [{"name": "A"}]
    process.kill()
    process.wait()
    with held_record(tmp_path, {"name": "C"}, seen.append):
        assert seen == [{"name": "A"}]
        assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "The disk is full: "),
        (errno.EDQUOT, "The quota of the disk is used up: "),
        (errno.EROFS, "The disk may only be read: "),
        (errno.EIO, "Writing failed (Input/output error): "),
        (errno.EACCES, "Writing failed (Permission denied): "),
    ],
)
def test_what_a_disk_says_is_a_sentence_with_the_path_and_leaves_the_old_file(
    tmp_path, monkeypatch, call, number, sentence
):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    write_bytes(tmp_path / "a", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(*(("builtins.open", fail) if call == "open" else (files.os, call, fail)))
        with pytest.raises(WriteError) as caught:
            write_bytes(tmp_path / "a", b"new")
    assert str(caught.value).startswith(f"{sentence}{tmp_path / 'a'} was not written")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"
    assert str(sent(caught.value)) == str(caught.value)

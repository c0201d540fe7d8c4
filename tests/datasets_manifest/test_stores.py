"""A store: an object is there whole or not at all, one of many claims it, and an address never becomes a folder."""

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from local_s3 import bucket  # noqa: F401 (a fixture)
from pickling import sent

from datasets_manifest import store_answers, stores
from datasets_manifest.files import WriteError, sweep_temporary, whole_file, write_bytes
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.opening import open_images
from datasets_manifest.stores import (
    check_store,
    get,
    is_file,
    listed,
    place_in,
    place_of,
    put,
    put_if_absent,
    state_of,
    stated_of,
)


@pytest.mark.parametrize(
    "text",
    [
        *("s3:/b/x", "s3://", "s3:///x", "s3://b/../c", "s3://b/./c", "s3://b//c", "s3://key:secret@b/x", "s3://b/x?y"),
        *("az://b/x", "http://b/x", "file:///x", "memory://b", "S3://b/x", "s3://b/*"),
    ],
)
def test_what_is_no_address_of_a_store_is_refused(text):
    with pytest.raises(ValueError, match=r"^Expected (a path|an address as)"):
        place_in("/folder", text)


def test_an_address_needs_no_folder_and_a_path_is_absolute():
    assert place_in("/folder", "s3://b/x/y/") == "s3://b/x/y"
    assert place_in("/folder", "s3://b/") == "s3://b"
    assert place_in("/folder", "x") == "/folder/x"
    assert place_of("/folder/x") == Path("/folder/x")
    place = place_of("s3://b/x")
    assert str(place / "y") == "s3://b/x/y"
    assert sent(place) == place


def test_a_kind_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ValueError, match="pip install gcsfs"):
        place_in("", "gs://b/x")


def test_an_object_is_put_read_stated_and_listed(bucket):  # noqa: F811
    root = place_of(f"{bucket}/a")
    for name in ("z/1.parquet", "b/2.parquet", ".hidden/3", "b/.4", "5"):
        put(root / name, name.encode(), {"config-hash": "1"})
    assert get(root / "z/1.parquet") == b"z/1.parquet"
    assert stated_of(root / "5") == {"config-hash": "1"}
    assert [entry.path.removeprefix(f"{root}/") for entry in listed(root)] == ["5", "b/2.parquet", "z/1.parquet"]
    assert {entry.path: entry.stat() for entry in listed(root)}[f"{root}/5"] == state_of(root / "5")
    assert is_file(root / "5")
    assert not is_file(root / "b")
    assert not is_file(root / "6")
    assert sweep_temporary(root) == []
    assert list(listed(root / "none")) == []


def test_an_object_that_was_replaced_within_a_second_has_another_state(bucket):  # noqa: F811
    place = place_of(f"{bucket}/x")
    put(place, b"one")
    first = state_of(place)
    put(place, b"two")
    second = state_of(place)
    assert first.st_size == second.st_size
    assert first.st_mtime_ns != second.st_mtime_ns
    put(place, b"two")
    assert state_of(place).st_mtime_ns % 10**9 == second.st_mtime_ns % 10**9


def test_what_is_not_there_and_what_cannot_be_written_is_said(bucket):  # noqa: F811
    with pytest.raises(FileNotFoundError):
        get(place_of(f"{bucket}/x"))
    with pytest.raises(FileNotFoundError):
        stated_of(place_of(f"{bucket}/x"))
    nowhere = place_of("s3://no-such-bucket/x")
    for ask in (check_store, lambda place: list(listed(place))):
        with pytest.raises(ValueError, match=r"^s3://no-such-bucket/x cannot be .* see that the bucket is there"):
            ask(nowhere)
    with pytest.raises(WriteError, match="s3://no-such-bucket/x was not written") as told:
        write_bytes(nowhere, b"")
    assert not told.value.is_of_disk  # So that it is tried again, and other shards go on.


def test_an_error_in_the_middle_leaves_nothing(bucket):  # noqa: F811
    place = place_of(f"{bucket}/x")
    with pytest.raises(ZeroDivisionError), whole_file(place) as file:
        file.write(bytes(1 // (len(b"half") - 4)))
    assert not is_file(place)


def test_of_many_that_claim_an_object_one_succeeds(bucket):  # noqa: F811
    place = place_of(f"{bucket}/claim")
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: put_if_absent(place, str(number).encode()), range(16)))
    assert sum(taken) == 1
    assert get(place) == str(taken.index(True)).encode()


@pytest.mark.parametrize(
    ("code", "status"), [("PreconditionFailed", 412), ("412", 412), ("ConditionalRequestConflict", 409)]
)
def test_a_store_that_says_in_other_words_that_somebody_was_faster_is_understood(monkeypatch, code, status):
    assert not put_into_a_store_that_answers(monkeypatch, code, status)


@pytest.mark.parametrize(
    ("code", "status", "times"), [("SlowDown", 503, 4), ("AccessDenied", 403, 1), ("InvalidRequest", 400, 1)]
)
def test_other_answers_to_a_claim_are_errors_and_those_that_pass_are_asked_for_again(monkeypatch, code, status, times):
    asked = []
    with pytest.raises(OSError, match="as it is"):
        put_into_a_store_that_answers(monkeypatch, code, status, asked)
    assert len(asked) == times


def put_into_a_store_that_answers(monkeypatch, code, status, asked=None):
    errors = pytest.importorskip("s3fs.errors", reason="needs s3fs (extra s3)")
    from botocore.exceptions import ClientError

    monkeypatch.setattr(store_answers, "_WAITS_S", (0, 0, 0))

    class Store:
        def pipe_file(self, *_, **__):
            if asked is not None:
                asked.append(code)
            answer = {"Error": {"Code": code, "Message": "as it is"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise errors.translate_boto_error(ClientError(answer, "PutObject"))

    monkeypatch.setattr(stores, "store_of", lambda _: Store())
    return put_if_absent(place_of("s3://bucket/claim"), b"")


def test_a_forked_process_reads_too(bucket):  # noqa: F811
    place = place_of(f"{bucket}/x")
    put(place, b"1")
    child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(int(get(place))))
    child.start()
    child.join(30)
    assert child.exitcode == 1


def test_photos_of_a_store_are_listed_and_read(bucket):  # noqa: F811
    root = place_of(f"{bucket}/photos")
    for name in ("1.png", "in/2.png", ".3.png", "no.tar", "film.mp4", "a::b.png"):
        put(root / name, name.encode())
    photos = open_images(f"{bucket}/photos")
    found = photos.listing()
    assert found.names == ["1.png", "film.mp4", "in/2.png"]
    assert [name for name, _ in found.problems] == ["a::b.png", "no.tar"]
    assert photos.listing(recursive=False).names == ["1.png", "film.mp4"]
    for source in (photos, open_images(f"{bucket}/photos")):
        assert source.read("in/2.png") == b"in/2.png"
        assert source.missing(["1.png", "5.png", "in/2.png", ".3.png", "film.mp4::000001"]) == [
            "5.png",
            "film.mp4::000001",
        ]
        assert source.state("1.png") == (5, state_of(root / "1.png").st_mtime_ns)
        for name in ("5.png", "../photos/1.png", "/1.png", "film.mp4::000001"):
            with pytest.raises(ImageError):
                source.read(name)
        with pytest.raises(ImageError, match="copy it to a disk"):
            source.clip("film.mp4")
    with pytest.raises(ValueError, match="see that the bucket is there"):
        open_images("s3://no-such-bucket/photos")


def test_members_of_tar_files_are_those_that_a_disk_gives(bucket, tmp_path):  # noqa: F811
    """By ranges: one tar file is larger than what is asked for at once."""
    files = {
        "a.png": os.urandom(100_000),
        "in/b.png": b"",
        ".c.png": b"c",
        "../d.png": b"d",
        "e.txt": os.urandom(70_000),
    }
    for name, count in (("one.tar", 5), ("in/two.tar", 1)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with tarfile.open(tmp_path / name, "w") as archive:
            for member, data in [*files.items()][:count]:
                (info := tarfile.TarInfo(member)).size = len(data)
                archive.addfile(info, BytesIO(data))
        put(place_of(f"{bucket}/{name}"), (tmp_path / name).read_bytes())
    (tmp_path / "cut.tar").write_bytes((tmp_path / "one.tar").read_bytes()[:50_000])
    put(place_of(f"{bucket}/cut.tar"), (tmp_path / "cut.tar").read_bytes())
    here, there = open_images(tmp_path), open_images(bucket)
    assert there.listing().names == here.listing().names != []
    assert [name for name, _ in there.listing().problems] == [name for name, _ in here.listing().problems] != []
    for name in here.listing().names:
        assert there.read(name) == here.read(name)
        assert there.state(name)[0] == here.state(name)[0]
    assert there.missing(["one.tar::x", "none.tar::x", "one.tar::a.png"]) == ["none.tar::x", "one.tar::x"]
    alone = open_images(f"{bucket}/one.tar")
    assert alone.listing().names == open_images(tmp_path / "one.tar").listing().names
    assert alone.read("one.tar::a.png") == alone.read("a.png") == files["a.png"]
    put(place_of(f"{bucket}/one.tar"), (tmp_path / "in/two.tar").read_bytes())
    assert alone.missing(["a.png", "e.txt"]) == ["e.txt"]
    with pytest.raises(ValueError, match=r"/cut.tar cannot be read as an uncompressed tar file"):
        open_images(f"{bucket}/cut.tar")


@pytest.mark.long
def test_readers_see_whole_objects_while_writers_race(bucket):  # noqa: F811
    place = place_of(f"{bucket}/race")
    versions = [os.urandom(20_000), os.urandom(900_000)]
    known, until = {hashlib.md5(data).digest() for data in versions}, time.monotonic() + 4
    put(place, versions[0])

    def write(data):
        while time.monotonic() < until:
            put(place, data)

    def read(_):
        seen = []
        while time.monotonic() < until:
            seen.append(hashlib.md5(get(place)).digest())
        return seen

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, data) for data in versions]
        seen = [digest for found in pool.map(read, range(2)) for digest in found]
        for writer in writers:
            writer.result()
    assert set(seen) == known
    assert len(seen) > 20


_WRITER = """
import os, sys
from datasets_manifest.files import write_bytes
from datasets_manifest.stores import place_of
number = 0
while True:
    number += 1
    write_bytes(place_of(sys.argv[1]), bytes([number % 256]) * int(sys.argv[2]))
    print(number, flush=True)
"""


@pytest.mark.long
@pytest.mark.parametrize(("size", "waits"), [(3_000_000, (0.0, 0.02, 0.1)), (110_000_000, (0.0, 0.3))])
def test_a_writer_that_is_killed_leaves_a_whole_object_or_none(bucket, size, waits):  # noqa: F811
    """The smaller one is put by one request, the larger one by parts."""
    for number, wait in enumerate(waits):
        place = place_of(f"{bucket}/{number}")
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(place), str(size)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        if number:
            assert writer.stdout.readline()
        else:
            time.sleep(2)  # Some way into the first.
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        if number or is_file(place):
            data = get(place)
            assert len(data) == size
            assert data == data[:1] * size

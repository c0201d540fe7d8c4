"""A tar file read by byte ranges gives what tar gives; anything else is one sentence."""

import os
import tarfile

import numpy as np
import pytest
from pickling import sent
from tar_files import write_tar

from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive


def random_members(rng, count=30):
    return [
        (f"folder/{'x' * int(rng.integers(1, 200))}{k}.jpg", rng.bytes(int(rng.integers(0, 3000))))
        for k in range(count)
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_member_is_what_tar_extracts(tmp_path, form):
    members = random_members(np.random.default_rng(1))
    archive = TarArchive.index(write_tar(tmp_path / "a.tar", members, format=form))
    assert sorted(archive.members) == sorted(name for name, _ in members)
    for name, data in members:
        assert archive.read(name) == data


def test_a_leading_dot_is_left_out_and_the_later_of_two_counts(tmp_path):
    archive = TarArchive.index(write_tar(tmp_path / "a.tar", [("./a.jpg", b"1"), ("a.jpg", b"22")]))
    assert archive.read("a.jpg") == b"22"


def test_links_and_folders_are_no_photos(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("a.jpg", b"1")])
    with tarfile.open(path, "a") as file:
        for name, kind in (("link.jpg", tarfile.SYMTYPE), ("hard.jpg", tarfile.LNKTYPE), ("dir", tarfile.DIRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
    archive = TarArchive.index(path)
    assert list(archive.members) == ["a.jpg"]
    with pytest.raises(ImageError, match=r"link\.jpg is not a file in"):
        archive.read("link.jpg")


def test_damaged_tar_files_are_refused(tmp_path):
    whole = write_tar(tmp_path / "a.tar", [("a.jpg", b"a" * 5000), ("b.jpg", b"b" * 5000)]).read_bytes()
    cases = {
        "cut.tar": whole[:9000],
        "text.tar": b"no tar file at all " * 100,
        "empty.tar": b"",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=name):
            TarArchive.index(tmp_path / name)
    write_tar(tmp_path / "packed.tar", [("a.jpg", b"1")], mode="w:gz")
    with pytest.raises(ValueError, match=r"packed\.tar cannot be read as an uncompressed tar file"):
        TarArchive.index(tmp_path / "packed.tar")
    with pytest.raises(ValueError, match="does not exist"):
        TarArchive.index(tmp_path / "none.tar")


def test_a_changed_or_lost_tar_file_is_noticed(tmp_path):
    path = write_tar(tmp_path / "a.tar", [("a.jpg", b"1" * 100)])
    archive = TarArchive.index(path)
    write_tar(path, [("b.jpg", b"2" * 100), ("a.jpg", b"1" * 100)])
    with pytest.raises(ImageError, match="changed since it was indexed"):
        archive.read("a.jpg")
    path.unlink()
    with pytest.raises(ImageError, match="does not exist"):
        archive.read("a.jpg")


def test_an_archive_reads_in_a_forked_process_and_after_pickling(tmp_path):
    members = random_members(np.random.default_rng(2), 8)
    archive = TarArchive.index(write_tar(tmp_path / "a.tar", members))
    archive.read(members[0][0])
    child = os.fork()
    if child == 0:
        os._exit(0 if all(archive.read(name) == data for name, data in members) else 1)
    assert all(archive.read(name) == data for name, data in members)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    again = sent(archive)
    assert again.read(members[3][0]) == members[3][1]


MEMBER_BYTES = 512 + 1024


@pytest.mark.parametrize("kept", [MEMBER_BYTES, 2 * MEMBER_BYTES, 3 * MEMBER_BYTES, 2 * MEMBER_BYTES + 300])
def test_a_tar_file_that_is_cut_between_two_members_is_refused(tmp_path, kept):
    """It reads like a whole one, of fewer members."""
    path = write_tar(tmp_path / "a.tar", [(f"{k}.jpg", b"1" * 700) for k in range(3)])
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    with pytest.raises(ValueError, match=r"a\.tar is cut short or damaged: .* no mark of its end"):
        TarArchive.index(path)
    path.write_bytes(whole[: 3 * MEMBER_BYTES + 512])  # Of two blocks of zeros some writers leave out the second.
    assert len(TarArchive.index(path).members) == 3


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path):
    path = write_tar(tmp_path / "a.tar", [(f"{k}.jpg", b"1" * 700) for k in range(3)])
    data = bytearray(path.read_bytes())
    data[MEMBER_BYTES + 150] ^= 1  # Of its checksum.
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.tar is cut short or damaged"):
        TarArchive.index(path)

"""Photos from folders and tar files: the same names give the same bytes, and no name leads outside."""

import os
from pathlib import Path
from typing import get_args

import pytest
from pickling import sent
from tar_files import write_tar

from datasets_manifest.paths import Links
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.files import read_file
from datasets_manifest.sources.image_source import check_images, problem_of
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.opening import open_images

PHOTOS = {"a.jpg": b"first", "deep/b.jpg": b"second", "deep/er/c.jpg": b"third"}


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for name, data in PHOTOS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return root


def outcome(read, name):
    """The bytes, or the sentence."""
    try:
        return read(name)
    except ImageError as error:
        return str(error)


def exists(source, name):
    return problem_of(source, name) is None


def test_a_folder_gives_its_files(folder):
    source = open_images(folder)
    for name, data in PHOTOS.items():
        assert exists(source, name)
        assert source.read(name) == data
    assert not exists(source, "d.jpg")
    with pytest.raises(ImageError, match=r"d\.jpg in .* does not exist") as caught:
        source.read("d.jpg")
    assert caught.value.code == ErrorCode.IMAGE_MISSING


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "deep/../../secret.jpg", "link.jpg", "dir/secret.jpg"]
)
def test_no_name_leads_outside_the_folder(folder, name):
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "dir").symlink_to(folder.parent)
    source = open_images(folder, links="refuse")
    assert not exists(source, name)
    assert source.missing([name]) == [name]
    with pytest.raises(ImageError):
        source.read(name)


def test_no_tar_file_outside_the_folder_is_read(folder):
    write_tar(folder.parent / "out.tar", [("a.jpg", b"secret")])
    source = open_images(folder)
    for name in ("../out.tar::a.jpg", f"{folder.parent}/out.tar::a.jpg"):
        assert source.missing([name]) == [name]
        with pytest.raises(ImageError, match="not a plain path"):
            source.read(name)


def test_members_of_tar_files_by_archive_and_name(folder):
    write_tar(folder / "deep/p.tar", [("x/a.jpg", b"member"), ("b.jpg", b"other")])
    source = open_images(folder)
    assert source.read("deep/p.tar::x/a.jpg") == b"member"
    assert exists(source, "deep/p.tar::b.jpg")
    assert source.missing(["deep/p.tar::b.jpg", "deep/p.tar::no.jpg", "q.tar::b.jpg", "a.jpg"]) == [
        "deep/p.tar::no.jpg",
        "q.tar::b.jpg",
    ]
    with pytest.raises(ImageError, match=r"no\.jpg is not a file in .*p\.tar"):
        source.read("deep/p.tar::no.jpg")
    with pytest.raises(ImageError, match=r"q\.tar does not exist"):
        source.read("q.tar::b.jpg")


def test_a_folder_of_tar_files_is_one_set_of_members(folder):
    write_tar(folder / "000.tar", [("0.jpg", b"zero"), ("a.jpg", b"hidden by the file")])
    write_tar(folder / "001.tar", [("1.jpg", b"one"), ("0.json", b"{}")])
    source = open_images(folder)
    assert (source.read("0.jpg"), source.read("1.jpg"), source.read("000.tar::0.jpg")) == (b"zero", b"one", b"zero")
    assert source.read("a.jpg") == PHOTOS["a.jpg"]
    assert source.missing(["0.jpg", "1.jpg", "2.jpg", *PHOTOS]) == ["2.jpg"]


def test_a_member_in_two_tar_files_is_ambiguous(folder):
    for name in ("000.tar", "001.tar"):
        write_tar(folder / name, [("0.jpg", b"zero")])
    source = open_images(folder)
    with pytest.raises(ImageError, match=r"000\.tar and 001\.tar in .* both hold 0\.jpg"):
        source.read("0.jpg")
    assert source.missing(["0.jpg", "000.tar::0.jpg"]) == ["0.jpg"]
    assert source.read("001.tar::0.jpg") == b"zero"


def test_one_tar_file_is_a_root(folder):
    path = write_tar(folder / "all.tar", list(PHOTOS.items()))
    source = open_images(path)
    assert source.read("deep/b.jpg") == source.read("all.tar::deep/b.jpg") == b"second"
    assert source.missing(["deep/b.jpg", "z.jpg"]) == ["z.jpg"]


def test_a_source_survives_fork_and_pickle(folder):
    write_tar(folder / "000.tar", [("0.jpg", b"zero")])
    source = open_images(folder)
    assert source.read("0.jpg") == b"zero"
    child = os.fork()
    if child == 0:
        os._exit(0 if source.read("0.jpg") == b"zero" and source.read("a.jpg") == b"first" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sent(source).read("0.jpg") == b"zero"


def test_a_missing_root_and_a_broken_tar_are_one_sentence(folder):
    with pytest.raises(ValueError, match="There is no folder, tar file or video"):
        open_images(folder / "none")
    (folder / "broken.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ValueError, match=r"broken\.tar cannot be read as an uncompressed tar file"):
        open_images(folder / "broken.tar")
    source = open_images(folder)
    assert source.read("a.jpg") == PHOTOS["a.jpg"]
    for name in ("0.jpg", "broken.tar::0.jpg"):
        with pytest.raises(ImageError, match=r"broken\.tar cannot be read as an uncompressed tar file"):
            source.read(name)
    assert [(name, error.code) for name, error in source.listing().problems] == [
        ("broken.tar", ErrorCode.LISTING_INCOMPLETE)
    ]


def test_many_at_once_are_those_one_by_one(folder):
    (folder / "inner.jpg").symlink_to(folder / "a.jpg")
    (folder / "e.jpg").mkdir()
    source = open_images(folder)
    names = [*PHOTOS, "inner.jpg", "e.jpg", "./a.jpg", "deep//b.jpg", "nowhere/f.jpg", "", "..", "a.jpg/x"]
    assert source.missing(names) == sorted(name for name in names if not exists(source, name))
    assert "inner.jpg" not in source.missing(names)


def test_vanished_photos_stop_before_training(folder):
    source = open_images(folder)
    check_images([*PHOTOS], source, labels=Path("labels/demo"))
    (folder / "deep/b.jpg").unlink()
    with pytest.raises(ValueError, match=r"1 of 3 photos that the labels in labels/demo .* such as deep/b\.jpg"):
        check_images([*PHOTOS], source, labels=Path("labels/demo"))


def test_pipes_folders_and_huge_files_are_no_photos(folder, monkeypatch):
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    source = open_images(folder)
    for name in ("pipe.jpg", "folder.jpg"):
        with pytest.raises(ImageError, match="is not a file but a"):
            source.read(name)
    monkeypatch.setattr("datasets_manifest.sources.files.MAX_FILE_BYTES", 3)
    with pytest.raises(ImageError, match="has 5 bytes, allowed are 3"):
        source.read("a.jpg")


def test_a_link_inside_the_folder_is_followed(folder):
    (folder / "link.jpg").symlink_to("deep/b.jpg")
    (folder / "other").symlink_to("deep")
    source = open_images(folder)
    assert source.read("link.jpg") == source.read("other/b.jpg") == b"second"


@pytest.mark.parametrize("links", get_args(Links))
def test_the_cheap_way_to_a_file_is_as_strict_as_the_careful_one(folder, links):
    (folder.parent / "beside").mkdir()
    (folder.parent / "beside/s.jpg").write_bytes(b"secret")
    (folder / "out").symlink_to(folder.parent / "beside")
    (folder / "s.jpg").symlink_to("out/s.jpg")
    source = open_images(folder, links)
    names = ["out/s.jpg", "deep/../a.jpg", "..", ".", "", "a.jpg/", "a\\b.jpg", "deep/x\0.jpg", "/a.jpg", "//a.jpg"]
    for name in [*names, *PHOTOS, "s.jpg", "./a.jpg", "deep//b.jpg"]:
        expected = outcome(lambda name: read_file(folder, name, links), name)
        assert [outcome(source.read, name) for _ in range(2)] == [expected] * 2


def test_links_to_a_store_outside_are_photos_unless_they_are_refused(folder):
    store = folder.parent / "store"
    store.mkdir()
    for name in ("1", "2"):
        (store / name).write_bytes(name.encode())
        (folder / f"{name}.jpg").symlink_to(f"../store/{name}")
    (folder / "lost.jpg").symlink_to("../store/3")
    (folder / "whole").symlink_to("../store")
    source, names = open_images(folder), ["1.jpg", "2.jpg", "whole/1", "lost.jpg"]
    assert source.missing(names) == ["lost.jpg"]
    assert [source.read(name) for name in names[:3]] == [b"1", b"2", b"1"]
    assert source.state("1.jpg") == (1, (store / "1").stat().st_mtime_ns)
    assert open_images(folder, "refuse").missing(names) == sorted(names)


def test_a_listing_names_what_can_be_read(folder):
    write_tar(folder / "deep/p.tar", [("x/d.jpg", b"member"), ("x/.hidden.jpg", b""), ("notes.txt", b"text")])
    for name in (".hidden.jpg", ".cache/c.jpg", "odd::name.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    source = open_images(folder)
    listing = source.listing()
    assert listing.names == sorted([*PHOTOS, "deep/p.tar::x/d.jpg", "deep/p.tar::notes.txt"])
    assert source.missing(listing.names) == []
    assert [(name, error.code) for name, error in listing.problems] == [("odd::name.jpg", ErrorCode.SOURCE_ROW_INVALID)]
    assert source.listing(recursive=False).names == ["a.jpg"]
    assert open_images(folder / "deep/p.tar").listing().names == ["notes.txt", "x/d.jpg"]


def test_a_member_whose_name_leads_outside_is_refused_and_listed_as_such(folder):
    bad = ("../secret.jpg", "/etc/x.jpg", "a\\b.jpg")
    path = write_tar(folder / "t.tar", [(name, b"1") for name in ("ok.jpg", *bad)])
    for source, mark in ((open_images(path), ""), (open_images(folder), "t.tar::")):
        listing = source.listing()
        assert [name for name in listing.names if "ok" in name] == [f"{mark}ok.jpg"]
        refused = [name for name, error in listing.problems if error.code == ErrorCode.SOURCE_ROW_INVALID]
        assert refused == [f"{mark}{name}" for name in bad]
        for name in refused:
            with pytest.raises(ImageError):
                source.read(name)


def test_the_state_of_a_photo_changes_with_it(folder):
    path = write_tar(folder / "t.tar", [("m.jpg", b"12345")])
    source = open_images(folder)
    assert source.state("a.jpg") == ((folder / "a.jpg").stat().st_size, (folder / "a.jpg").stat().st_mtime_ns)
    assert source.state("t.tar::m.jpg") == source.state("m.jpg") == (5, path.stat().st_mtime_ns)
    with pytest.raises(ImageError):
        source.state("gone.jpg")


def test_a_tar_file_that_was_replaced_is_read_anew(folder):
    path = write_tar(folder / "t.tar", [("m.jpg", b"first")])
    sources = [(open_images(path), "m.jpg"), (open_images(folder), "m.jpg"), (open_images(folder), "t.tar::m.jpg")]
    assert [source.read(name) for source, name in sources] == [b"first"] * 3
    write_tar(path, [("longer name.jpg", b"x" * 3000), ("m.jpg", b"second")])
    for source, name in sources:
        assert source.read(name) == b"second"
        assert source.state(name) == (6, path.stat().st_mtime_ns)
        assert source.missing([name, name.replace("m.jpg", "longer name.jpg"), "n.jpg"]) == ["n.jpg"]

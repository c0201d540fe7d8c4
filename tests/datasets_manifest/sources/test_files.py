"""Reading a file of a data set: the bytes, or an image error with a code."""

import errno
import os
import socket

import pytest

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources import files
from datasets_manifest.sources.files import find_file, read_file, read_regular
from datasets_manifest.sources.images import ImageError


@pytest.fixture
def root(tmp_path):
    """A root with a file, a folder, a pipe, and a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "root"
    (folder / "sub.jpg").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"bytes")
    (folder / "link.jpg").symlink_to(tmp_path / "secret")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "gone_link.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket.jpg"))
    return folder


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "change its permissions"),
        (errno.ENOENT, "does not exist"),
        (errno.ENAMETOOLONG, "cannot be looked at"),
    ],
)
def test_what_the_system_says_of_one_file_is_a_row_not_a_crash(root, monkeypatch, number, code):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    for call in ("open", "stat"):
        monkeypatch.setattr(files.os, call, refuse)
        with pytest.raises(ImageError, match=code) as caught:
            read_file(root, "a.jpg")
        assert caught.value.code == ErrorCode.IMAGE_MISSING


def test_a_disk_that_fails_while_it_is_read_is_no_fault_of_the_photo(root, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files.os, "open", fail)
    with pytest.raises(OSError, match="Input/output error"):
        read_file(root, "a.jpg")


def test_a_file_is_read(root):
    assert read_file(root, "a.jpg") == b"bytes"
    assert find_file(root, "a.jpg") == (root / "a.jpg").resolve()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("gone.jpg", ErrorCode.IMAGE_MISSING),
        ("sub.jpg", ErrorCode.IMAGE_MISSING),
        ("pipe.jpg", ErrorCode.IMAGE_MISSING),
        ("socket.jpg", ErrorCode.IMAGE_MISSING),
        ("gone_link.jpg", ErrorCode.IMAGE_MISSING),
        ("a.jpg/b.jpg", ErrorCode.IMAGE_MISSING),
        ("loop.jpg", ErrorCode.SOURCE_ROW_INVALID),
        ("../secret", ErrorCode.SOURCE_ROW_INVALID),
        ("link.jpg", ErrorCode.SOURCE_ROW_INVALID),
        ("/etc/passwd", ErrorCode.SOURCE_ROW_INVALID),
        ("x" * 5000, ErrorCode.SOURCE_ROW_INVALID),
    ],
)
def test_anything_else_is_an_image_error(root, path, code):
    for ask in (read_file, find_file):
        with pytest.raises(ImageError) as caught:
            ask(root, path)
        assert caught.value.code == code


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/tty", "pipe.jpg", "socket.jpg", "loop.jpg", "sub.jpg", "a.jpg\0"])
def test_only_a_regular_file_is_read_whatever_leads_to_it(root, path):
    with pytest.raises(ImageError) as caught:
        read_regular(root / path, path)
    assert caught.value.code == ErrorCode.IMAGE_MISSING


def test_a_link_that_leads_outside_is_followed_where_it_may_be(root):
    assert read_file(root, "link.jpg", "follow") == b"secret"
    with pytest.raises(ImageError, match="links: refuse"):
        read_file(root, "link.jpg", "refuse")


def test_a_huge_file_is_refused_unread(root, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 4)
    with pytest.raises(ImageError) as caught:
        read_file(root, "a.jpg")
    assert caught.value.code == ErrorCode.IMAGE_TOO_LARGE

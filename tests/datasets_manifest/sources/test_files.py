"""Reading a file of a data set: the bytes, or an image error with a code."""

import os
from pathlib import Path

import pytest

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources import files
from datasets_manifest.sources.files import find_file, read_file
from datasets_manifest.sources.images import ImageError


@pytest.fixture
def root(tmp_path):
    """A root with a file, a folder, a pipe, and a secret beside it."""
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "root"
    (folder / "sub.jpg").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"bytes")
    (folder / "link.jpg").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe.jpg")
    return folder


def test_a_file_that_may_not_be_read_is_a_row_not_a_crash(root, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ImageError, match="change its permissions") as caught:
        read_file(root, "a.jpg")
    assert caught.value.code == ErrorCode.IMAGE_MISSING
    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(ImageError, match="change its permissions"):
        find_file(root, "a.jpg")


def test_a_file_is_read(root):
    assert read_file(root, "a.jpg") == b"bytes"
    assert find_file(root, "a.jpg") == (root / "a.jpg").resolve()


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("gone.jpg", ErrorCode.IMAGE_MISSING),
        ("sub.jpg", ErrorCode.IMAGE_MISSING),
        ("pipe.jpg", ErrorCode.IMAGE_MISSING),
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


def test_a_huge_file_is_refused_unread(root, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 4)
    with pytest.raises(ImageError) as caught:
        read_file(root, "a.jpg")
    assert caught.value.code == ErrorCode.IMAGE_TOO_LARGE

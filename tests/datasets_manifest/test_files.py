"""A file is written whole under any name that a file may have, or there is nothing of it."""

import os

import pytest

from datasets_manifest import files
from datasets_manifest.files import whole_file, write_bytes


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

"""A path from data never leads outside the root."""

from pathlib import Path

import pytest

from datasets_manifest.paths import inside, placed


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/passwd", "", "..", "a\0b", "..\\x", "a/..", "link/x", "linkfile", "loop/x"]
)
def test_a_hostile_path_is_refused(tmp_path, path):
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "x").write_text("secret")
    (root / "link").symlink_to(tmp_path)
    (root / "linkfile").symlink_to(tmp_path / "x")
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(ValueError, match="path"):
        inside(root, path)


def test_a_plain_path_and_a_link_within_the_root_are_allowed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_text("1")
    (tmp_path / "link").symlink_to("a/x")
    assert inside(tmp_path, "a/x") == inside(tmp_path, "link") == tmp_path.resolve() / "a/x"


@pytest.mark.parametrize("text", ["s3://b/x", "gs://b", "https://a.b/c", "file:///x", "s3a:/b", "memory://x"])
def test_an_address_becomes_no_folder(text):
    for given in (text, Path(text)):
        with pytest.raises(ValueError, match="address '"):
            placed(given)


@pytest.mark.parametrize("text", ["/data/s3:/x", "a:b", "x/s3://y", "s3:", "./s3:/x", "package:skimage/data"])
def test_a_path_with_a_colon_is_a_path(text):
    assert placed(text) == Path(text)

"""A path from data never leads outside the root."""

import pytest

from datasets_manifest.paths import inside


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

"""What lies elsewhere, is gone or is cut short is counted and listed by every adapter, before anything else is done."""

import pytest
from inventories import inventory_of

from benchmarks.listing import FORMATS, manifest_of
from benchmarks.listing_sets import WRITERS
from datasets_manifest.manifest import open_adapter
from datasets_manifest.schema.error_codes import ErrorCode

PEOPLE = 12
IN_TARS = [name for name, own in FORMATS.items() if "images" not in own.layout]
IN_FOLDERS = [name for name in FORMATS if name not in IN_TARS]


def written(root, name):
    WRITERS[name](root, PEOPLE)
    return root


def listed(root, name):
    return inventory_of(open_adapter(manifest_of(name, root)))


def photo_in(root):
    """The second photo below the folder, for AVA takes the size of a film from its first."""
    return sorted(path for path in (root / "images").rglob("*.jpg"))[1]


def to_another_folder(photo):
    (photo.parent.parent / "elsewhere").mkdir()
    photo.rename(photo.parent.parent / "elsewhere" / photo.name)


def to_a_folder(photo):
    photo.unlink()
    photo.mkdir()


@pytest.mark.parametrize(
    "lose", [lambda photo: photo.unlink(), to_another_folder, to_a_folder], ids=["gone", "moved", "a folder"]
)
@pytest.mark.parametrize("name", IN_FOLDERS)
def test_a_photo_that_is_gone_or_elsewhere_is_listed(tmp_path, name, lose):
    before = listed(written(tmp_path, name), name)
    assert before.missing == ()
    photo = photo_in(tmp_path)
    lose(photo)
    after = listed(tmp_path, name)
    (missing,) = after.missing
    assert (missing.path, missing.code, missing.has_row) == (
        photo.relative_to(tmp_path).as_posix(), ErrorCode.IMAGE_MISSING, True,
    )  # fmt: skip
    assert [record.path for record in after.records] == [record.path for record in before.records]
    assert after.num_people == before.num_people
    assert after.summary.endswith("1 x image_missing")


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_a_whole_folder_of_photos_that_moved_is_listed_photo_by_photo(tmp_path, name):
    count = len(listed(written(tmp_path, name), name).records)
    (tmp_path / "images").rename(tmp_path / "photos")
    after = listed(tmp_path, name)
    assert [m.code for m in after.missing] == [ErrorCode.IMAGE_MISSING] * count
    assert len({m.path for m in after.missing}) == count


@pytest.mark.parametrize("name", IN_TARS)
def test_a_tar_file_that_is_cut_short_is_told_before_the_first_photo(tmp_path, name):
    (tar,) = written(tmp_path, name).glob("*.tar")
    data = tar.read_bytes()
    (tmp_path / "000001.tar").write_bytes(data[: len(data) // 3])
    first = next(iter(open_adapter(manifest_of(name, tmp_path)).entries()))
    assert (first.path, first.code) == ("000001.tar", ErrorCode.LISTING_INCOMPLETE)
    assert [m.path for m in listed(tmp_path, name).missing] == ["000001.tar"]


@pytest.mark.parametrize("name", IN_TARS)
def test_a_photo_that_a_tar_file_lacks_is_listed(tmp_path, name):
    (tar,) = written(tmp_path, name).glob("*.tar")
    tar.write_bytes(tar.read_bytes().replace(b"set/00000001.jpg", b"set/00000001.bak"))
    tar.write_bytes(with_checksums(tar.read_bytes()))
    after = listed(tmp_path, name)
    assert [(m.path, m.code, m.has_row) for m in after.missing] == [
        ("000000.tar::set/00000001.jpg", ErrorCode.IMAGE_MISSING, True)
    ]
    assert len(after.records) == 3


def with_checksums(data):
    """A tar file whose headers add up again."""
    data = bytearray(data)
    for at in range(0, len(data), 512):
        if data[at : at + 4] == b"set/":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)

"""A folder of photos: stable ids, nothing lost silently, nothing from outside."""

import os

import pytest
from inventories import inventory_of
from tar_files import write_tar

from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_sources import open_images
from datasets_manifest.sources.images import ImageError


def adapter_of(root, **layout):
    return open_adapter(
        Manifest(
            id="mine", version="1", licence="own", access="here", adapter="folder", root=str(root), split="all",
            boxes="detector", keypoints="none", purpose="test", layout=layout,
        )
    )  # fmt: skip


@pytest.fixture
def photos(tmp_path):
    """Photos at two levels among other files."""
    root = tmp_path / "photos"
    for name in ("b.JPG", "a.png", "a.jpg", "deep/er/c.webp", "notes.txt", ".hidden.jpg", ".cache/d.jpg", "deep/x.mp4"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def ids(inventory):
    return [record.image_id for record in inventory.records]


def test_photos_are_listed_by_their_path_and_others_counted(photos):
    inventory = inventory_of(adapter_of(photos))
    assert ids(inventory) == ["a.jpg", "a.png", "b.JPG", "deep/er/c.webp"]
    assert inventory.notes == {"other files left out": 2}
    assert inventory.missing == ()


def test_ids_do_not_change_when_photos_are_added(photos):
    before = ids(inventory_of(adapter_of(photos)))
    (photos / "aa.jpg").write_bytes(b"new")
    assert set(before) < set(ids(inventory_of(adapter_of(photos))))


def test_bytes_are_those_of_the_file(photos):
    source = open_images(photos)
    assert [source.read(record.path) for record in inventory_of(adapter_of(photos)).records][3] == b"deep/er/c.webp"


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ({"recursive": False}, ["a.jpg", "a.png", "b.JPG"]),
        ({"include": ["*.png", "deep/*"]}, ["a.png", "deep/er/c.webp"]),
        ({"include": ["b.JPG"]}, ["b.JPG"]),
    ],
)
def test_the_layout_chooses(photos, layout, expected):
    assert ids(inventory_of(adapter_of(photos, **layout))) == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("gone.jpg", ErrorCode.IMAGE_MISSING),
        ("../secret.jpg", ErrorCode.SOURCE_ROW_INVALID),
        ("/etc/passwd", ErrorCode.SOURCE_ROW_INVALID),
    ],
)
def test_a_named_photo_that_cannot_be_had_stays_and_is_reported(photos, name, code):
    inventory = inventory_of(adapter_of(photos, include=["a.jpg", name]))
    assert ids(inventory) == sorted(["a.jpg", name])
    assert [(m.path, m.code) for m in inventory.missing] == [(name, code)]
    with pytest.raises(ImageError) as caught:
        open_images(photos).read(next(r.path for r in inventory.records if r.path == name))
    assert caught.value.code == code


def test_a_link_that_leads_outside_is_reported_and_not_read(photos, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (photos / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (photos / "linked").symlink_to(tmp_path)
    inventory = inventory_of(adapter_of(photos))
    assert [(m.path, m.code) for m in inventory.missing] == [("link.jpg", ErrorCode.SOURCE_ROW_INVALID)]
    assert not any(record.path.startswith("linked") for record in inventory.records)
    with pytest.raises(ImageError):
        open_images(photos).read("link.jpg")


def test_a_name_that_is_not_text_is_reported(photos):
    with open(os.fsencode(photos) + b"/\xff.jpg", "wb"):
        pass
    missing = inventory_of(adapter_of(photos)).missing
    assert [(m.path, m.code) for m in missing] == [("\\xff.jpg", ErrorCode.SOURCE_ROW_INVALID)]


def test_photos_in_tar_files_are_listed_by_archive_and_member(photos):
    write_tar(photos / "shard-00.tar", [("person/2.jpg", b"2"), ("person/1.jpg", b"1"), ("person/1.json", b"{}")])
    inventory = inventory_of(adapter_of(photos, include=["*.jpg"]))
    assert ids(inventory) == ["a.jpg", "shard-00.tar::person/1.jpg", "shard-00.tar::person/2.jpg"]
    assert ids(inventory_of(adapter_of(photos / "shard-00.tar"))) == ["person/1.jpg", "person/2.jpg"]
    assert ids(inventory_of(adapter_of(photos, include=["shard-00.tar::person/1.jpg"]))) == [
        "shard-00.tar::person/1.jpg"
    ]


def test_a_tar_file_that_cannot_be_read_is_reported(photos):
    (photos / "bad.tar").write_bytes(b"no tar file")
    inventory = inventory_of(adapter_of(photos))
    assert ids(inventory) == ["a.jpg", "a.png", "b.JPG", "deep/er/c.webp"]
    assert [(m.path, m.code) for m in inventory.missing] == [("bad.tar", ErrorCode.IMAGE_MISSING)]

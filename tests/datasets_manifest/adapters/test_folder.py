"""A folder of photos: stable ids, nothing lost silently, nothing from outside."""

import os

import pytest
from inventories import inventory_of
from permissions import permissions_hold
from tar_files import write_tar
from video_files import write_clip, write_video

from datasets_manifest.adapters.base import ImageRecord, Missing
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.opening import open_images


def adapter_of(root, links="follow", **layout):
    return open_adapter(
        Manifest(
            id="mine", version="1", licence="own", access="here", adapter="folder", root=str(root), split="all",
            boxes="detector", keypoints="none", purpose="test", layout=layout, links=links,
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
    assert inventory.notes == {
        "other files left out": 1,
        "videos left out, whose frames layout.frames would list": 1,
    }
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


def test_a_link_that_leads_outside_is_reported_and_not_read_where_links_are_refused(photos, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (photos / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (photos / "linked").symlink_to(tmp_path)
    inventory = inventory_of(adapter_of(photos, links="refuse"))
    assert [(m.path, m.code) for m in inventory.missing] == [("link.jpg", ErrorCode.SOURCE_ROW_INVALID)]
    assert not any(record.path.startswith("linked") for record in inventory.records)
    assert "linked folders left out: 1" in inventory.summary
    with pytest.raises(ImageError):
        open_images(photos, links="refuse").read("link.jpg")


def test_linked_folders_are_looked_into_once_each_and_counted(photos, tmp_path):
    store = tmp_path / "store"
    (store / "in").mkdir(parents=True)
    (store / "in/s.jpg").write_bytes(b"s")
    for name in ("deep/back", "deep/er/up"):
        (photos / name).symlink_to(photos)
    (photos / "again").symlink_to("deep")
    (photos / "first").symlink_to(store)
    (photos / "second").symlink_to(store)
    (store / "in/home").symlink_to(photos)
    inventory = inventory_of(adapter_of(photos))
    assert ids(inventory) == ["a.jpg", "a.png", "b.JPG", "deep/er/c.webp", "first/in/s.jpg"]
    assert "linked folders looked into: 1, linked folders left out: 5" in inventory.summary
    assert inventory.missing == ()


def test_a_link_to_a_folder_around_the_photos_ends(photos, tmp_path):
    (photos / "out").symlink_to(tmp_path)
    (tmp_path / "beside.jpg").write_bytes(b"beside")
    assert ids(inventory_of(adapter_of(photos))) == ["a.jpg", "a.png", "b.JPG", "deep/er/c.webp", "out/beside.jpg"]


def test_a_folder_that_may_not_be_read_is_a_problem_of_its_own(photos):
    (photos / "deep").chmod(0o000)
    with permissions_hold():
        inventory = inventory_of(adapter_of(photos))
    (photos / "deep").chmod(0o755)
    assert ids(inventory) == ["a.jpg", "a.png", "b.JPG"]
    (problem,) = inventory.missing
    assert problem.path == "deep"
    assert problem.code == ErrorCode.LISTING_INCOMPLETE
    assert "deep cannot be listed (Permission denied)" in problem.reason


def test_photos_in_a_folder_that_may_be_listed_but_not_entered_are_rows_that_fail(photos):
    (photos / "deep/d.jpg").write_bytes(b"d")
    (photos / "deep").chmod(0o444)
    with permissions_hold():
        inventory = inventory_of(adapter_of(photos))
    (photos / "deep").chmod(0o755)
    assert {(m.path, m.code) for m in inventory.missing} == {
        ("deep/er", ErrorCode.LISTING_INCOMPLETE),
        ("deep/d.jpg", ErrorCode.IMAGE_MISSING),
    }
    assert "deep/d.jpg" in ids(inventory)


def test_odd_files_are_rows_that_fail(photos):
    os.mkfifo(photos / "pipe.jpg")
    os.mkfifo(photos / "pipe.tar")
    (photos / "loop.jpg").symlink_to("loop.jpg")
    (photos / "lost.jpg").symlink_to("nowhere")
    inventory = inventory_of(adapter_of(photos))
    assert [(m.path, m.code) for m in inventory.missing] == [
        ("loop.jpg", ErrorCode.SOURCE_ROW_INVALID),
        ("lost.jpg", ErrorCode.IMAGE_MISSING),
        ("pipe.jpg", ErrorCode.IMAGE_MISSING),
        ("pipe.tar", ErrorCode.LISTING_INCOMPLETE),
    ]
    assert {"loop.jpg", "lost.jpg", "pipe.jpg"} < set(ids(inventory))


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
    assert [(m.path, m.code) for m in inventory.missing] == [("bad.tar", ErrorCode.LISTING_INCOMPLETE)]


@pytest.fixture
def clips(tmp_path):
    root = tmp_path / "clips"
    root.mkdir()
    write_video(root / "b.avi", 6)
    write_video(root / "a.mp4", 4, "mp4v")
    (root / "a.jpg").write_bytes(b"photo")
    return root


def frames(video, *numbers):
    return [f"{video}::{number:06d}" for number in numbers]


@pytest.mark.parametrize(
    ("chosen", "first", "second"),
    [({}, range(4), range(6)), ({"every": 3}, (0, 3), (0, 3)), ({"fps": 5}, (0, 2), (0, 2, 4))],
)
def test_frames_of_videos_are_listed_in_order_where_that_is_asked_for(clips, chosen, first, second):
    inventory = inventory_of(adapter_of(clips, frames=chosen))
    assert ids(inventory) == ["a.jpg", *frames("a.mp4", *first), *frames("b.avi", *second)]
    assert [record.path for record in inventory.records] == ids(inventory)
    num_frames = len(first) + len(second)
    assert inventory.notes == {"other files left out": 0, "frames of 2 videos of 1.0 s": num_frames}
    assert ids(inventory_of(adapter_of(clips / "b.avi", frames=chosen))) == frames("b.avi", *second)


def places(inventory):
    return {r.image_id: (r.place.group, r.place.frame, round(r.place.time_s, 6)) for r in inventory.records}


def test_a_video_is_a_group_and_a_photo_beside_it_one_of_its_own(clips):
    found = places(inventory_of(adapter_of(clips, frames={"every": 3})))
    assert found == {
        "a.jpg": ("a.jpg", 0, 0.0),
        "a.mp4::000000": ("a.mp4", 0, 0.0),
        "a.mp4::000003": ("a.mp4", 3, 0.3),
        "b.avi::000000": ("b.avi", 0, 0.0),
        "b.avi::000003": ("b.avi", 3, 0.3),
    }


def test_photos_without_videos_stand_alone(photos):
    (photos / "deep/x.mp4").unlink()
    assert [r.place for r in inventory_of(adapter_of(photos, frames={})).records] == [None] * 4


def test_the_time_of_a_frame_is_that_of_the_video(clips):
    times = [0.0, 0.04, 0.1, 0.5, 0.52, 1.5]
    write_clip(clips / "v.mkv", 6, times_s=times)
    found = places(inventory_of(adapter_of(clips, frames={}, include=["v.mkv"])))
    assert list(found.values()) == [("v.mkv", number, time_s) for number, time_s in enumerate(times)]


def test_a_frame_of_a_long_video_is_in_the_same_group_whichever_are_chosen(clips):
    write_video(clips / "long.avi", 22)
    layout = {"group_frames": 5, "include": ["long.avi"]}
    every = places(inventory_of(adapter_of(clips, frames={}, **layout)))
    groups = [group for group, _, _ in every.values()]
    assert groups == [
        f"long.avi::{first:06d}" for first, count in ((0, 5), (5, 5), (10, 5), (15, 7)) for _ in range(count)
    ]
    few = places(inventory_of(adapter_of(clips, frames={"fps": 3}, **layout)))
    assert few.items() <= every.items()
    assert len(few) == 7


def test_the_lost_frames_of_a_cut_video_are_of_its_groups(clips):
    whole = write_video(clips / "c.mkv", 20, "mp4v").read_bytes()
    (clips / "c.mkv").write_bytes(whole[: len(whole) // 2])
    found = places(inventory_of(adapter_of(clips, frames={}, include=["c.mkv"], group_frames=10)))
    assert list(found.values()) == [
        (f"c.mkv::{n // 10 * 10:06d}", n, pytest.approx(n / 10, abs=1e-3)) for n in range(20)
    ]


def test_of_one_video_named_its_frames_are_listed(clips):
    assert ids(inventory_of(adapter_of(clips, frames={}, include=["a.mp4"]))) == frames("a.mp4", *range(4))


def test_a_clip_that_was_cut_lists_what_it_states_and_one_that_is_unreadable_one_frame(clips):
    whole = write_video(clips / "c.mkv", 20, "mp4v").read_bytes()
    (clips / "c.mkv").write_bytes(whole[: len(whole) // 2])
    (clips / "d.mp4").write_bytes(b"no video")
    inventory = inventory_of(adapter_of(clips, frames={"every": 2}, include=["c.mkv", "d.mp4", "e.mp4"]))
    assert ids(inventory) == [*frames("c.mkv", *range(0, 20, 2)), *frames("d.mp4", 0)]
    assert [(m.path, m.code) for m in inventory.missing] == [
        ("c.mkv", ErrorCode.VIDEO_TRUNCATED),
        ("d.mp4", ErrorCode.VIDEO_UNREADABLE),
        ("e.mp4", ErrorCode.LISTING_INCOMPLETE),
    ]
    entries = list(adapter_of(clips, frames={}).entries())
    first = next(i for i, entry in enumerate(entries) if isinstance(entry, ImageRecord))
    assert not any(isinstance(entry, Missing) for entry in entries[first:])
    source = open_images(clips)
    for name, code in (("c.mkv::000018", ErrorCode.VIDEO_TRUNCATED), ("d.mp4::000000", ErrorCode.VIDEO_UNREADABLE)):
        with pytest.raises(ImageError) as caught:
            source.read(name)
        assert caught.value.code == code

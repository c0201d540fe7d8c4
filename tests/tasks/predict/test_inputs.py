"""What prediction finds to work on: every file once, whatever way it is named, and names for what is written."""

import errno
import os

import cv2
import numpy as np
import pytest
from permissions import permissions_hold
from video_files import write_video

from datasets_manifest.files import write_bytes
from datasets_manifest.sources.frame_choice import FrameChoice
from tasks.predict.inputs import count_frames, decode_frames, find_sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder: photos, a video, a text, hidden files, results of an earlier run."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.png", "in/a.jpg", "in/deep/a.JPG", "in/.hidden.png", "in/.cache/c.png", "in/out/overlays/a.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "in/notes.txt").write_text("no photo")
    write_video(tmp_path / "in/walk.avi", 6)
    return tmp_path


def names(sources):
    return [source.name for source in sources]


def test_a_folder_gives_photos_and_videos_below_it_but_not_the_results(folder):
    found = find_sources(["in"], without=folder / "in/out")
    assert names(found) == ["in/a.jpg", "in/b.png", "in/walk.avi", "in/deep/a.JPG"]
    assert [source.is_video for source in found] == [False, False, True, False]


def test_a_file_that_is_named_is_taken_from_the_folder_of_the_results(folder):
    assert names(find_sources(["in/a.jpg"], without=folder / "in")) == ["in/a.jpg"]
    assert names(find_sources(["in"], without=folder / "in")) == [
        "in/a.jpg",
        "in/b.png",
        "in/walk.avi",
        "in/deep/a.JPG",
        "in/out/overlays/a.jpg",
    ]
    assert names(find_sources(["in/out/overlays/a.jpg"], without=folder / "in/out")) == ["in/out/overlays/a.jpg"]
    for given in ("in/out", "in/out/**/*.jpg"):
        with pytest.raises(
            ValueError, match=r"^all 1 photos and videos in .* are results of an earlier run in .*in/out;"
        ):
            find_sources([given], without=folder / "in/out")


def test_patterns_files_and_folders_give_each_file_once(folder):
    assert names(find_sources(["in/*.jpg", str(folder / "in/a.jpg"), "in/deep/a.JPG", "in/deep"])) == [
        "in/a.jpg",
        "in/deep/a.JPG",
    ]


def test_a_file_that_is_named_is_taken_whatever_it_is_called(folder):
    (source,) = find_sources(["in/notes.txt"])
    (frame,) = decode_frames(source, FrameChoice())
    assert frame.rgb is None
    assert frame.error.code == "image_unsupported"
    assert "or a video with one of the suffixes .3gp, .avi" in frame.error.detail


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["gone.jpg"], r"input 'gone\.jpg' does not exist"),
        (["in/*.webp"], r"input 'in/\*\.webp' matches no file"),
        (["in/.cache/none"], "does not exist"),
        (["empty"], "no photo or video in empty: expected files of the kinds .*jpg.*mp4"),
    ],
)
def test_nothing_found_is_one_sentence(folder, inputs, message):
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=message):
        find_sources(inputs)


def test_names_of_what_is_written_are_unique_and_stay_in_the_output_folder(folder):
    cv2.imwrite(str(folder / "in/a.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(folder / "in/deep/b.png"), np.zeros((8, 8, 3), np.uint8))
    (folder / "in/deep/in").mkdir()
    cv2.imwrite(str(folder / "in/deep/in/b.png"), np.zeros((8, 8, 3), np.uint8))
    found = find_sources(["in/a.jpg", "in/a.png", "in/deep/../b.png", str(folder / "in/deep/b.png")])
    labels = [source.label for source in found]
    assert labels[:2] == ["in/a.jpg", "in/a.png"]
    assert len(set(labels)) == len(labels)
    for label in labels:
        assert (folder / "out" / label).resolve().is_relative_to(folder / "out")


def test_frames_of_a_video_do_not_fall_among_the_photos_of_a_folder_of_its_name(folder):
    (folder / "in/walk").mkdir()
    for name in ("000000.jpg", "000001.jpg"):
        cv2.imwrite(str(folder / "in/walk" / name), np.zeros((8, 8, 3), np.uint8))
    found = find_sources(["in"], without=folder / "in/out")
    labels = [frame.label for source in found for frame in decode_frames(source, FrameChoice())]
    assert len(set(labels)) == len(labels) == 3 + 2 + 6
    assert "in/walk.avi/000000" in labels
    (folder / "in/walk.avi.d").mkdir()
    found = find_sources(["in/walk.avi", "in/walk/000000.jpg"])
    assert [source.label for source in found] == ["in/walk.avi", "in/walk/000000"]


def test_messages_name_a_photo_by_its_name_and_a_frame_by_its_number(folder):
    sources = find_sources(["in/walk.avi", "in/a.jpg"])
    told = [frame.name for source in sources for frame in decode_frames(source, FrameChoice(every=5))]
    assert told == ["in/walk.avi, frame 0", "in/walk.avi, frame 5", "in/a.jpg"]


def test_frames_come_with_number_and_time_and_are_counted_before(folder):
    sources = find_sources(["in/walk.avi", "in/a.jpg"])
    for choice, expected in ((FrameChoice(), [0, 1, 2, 3, 4, 5, None]), (FrameChoice(every=3), [0, 3, None])):
        seen = [frame for source in sources for frame in decode_frames(source, choice)]
        assert [frame.frame for frame in seen] == expected
        assert count_frames(sources, choice) == len(expected)
    assert seen[1].time_s == pytest.approx(0.3)
    assert [frame.label for frame in seen] == ["in/walk/000000", "in/walk/000003", "in/a"]


def test_a_photo_that_vanished_is_an_error_of_that_photo(folder):
    source = find_sources(["in/b.png"])[0]
    (folder / "in/b.png").unlink()
    (frame,) = decode_frames(source, FrameChoice())
    assert frame.error.code == "image_missing"
    assert frame.error.detail == "in/b.png does not exist."


def outcomes(sources):
    """What is said of each photo, the empty text of one that is read."""
    frames = [frame for source in sources for frame in decode_frames(source, FrameChoice())]
    return {frame.name: "" if frame.error is None else f"{frame.error.code}: {frame.error.detail}" for frame in frames}


def test_odd_files_are_rows_that_fail_and_keep_nobody_waiting(folder):
    (folder / "odd").mkdir()
    for name in ("pipe.jpg", "pipe.mp4", "pipe.tar"):
        os.mkfifo(folder / "odd" / name)
    (folder / "odd/loop.jpg").symlink_to("loop.jpg")
    (folder / "odd/lost.jpg").symlink_to("nowhere.jpg")
    (folder / "odd/zero.jpg").symlink_to("/dev/zero")
    (folder / "odd/bad.tar").write_bytes(b"no tar file")
    (folder / "odd/linked").symlink_to(folder / "in/deep")
    (folder / "odd/up").symlink_to(folder / "odd")
    sources = find_sources(["odd"])
    assert count_frames(sources, FrameChoice()) == len(sources)
    said = outcomes(sources)
    assert said.pop("odd/linked/a.JPG") == ""
    codes = {name: sentence.partition(":")[0] for name, sentence in said.items()}
    tars = dict.fromkeys(("odd/pipe.tar", "odd/bad.tar"), "listing_incomplete")
    photos = ("pipe.jpg", "pipe.mp4", "loop.jpg", "lost.jpg", "zero.jpg")
    assert codes == tars | {f"odd/{name}": "image_missing" for name in photos}


def test_a_folder_that_may_not_be_read_has_a_row(folder):
    (folder / "in/deep").chmod(0o000)
    with permissions_hold():
        sources = find_sources(["in"], without=folder / "in/out")
        said = outcomes([source for source in sources if not source.is_video])
    (folder / "in/deep").chmod(0o755)
    assert said.pop("in/deep").startswith("listing_incomplete: the folder in/deep cannot be listed (Permission denied)")
    assert said == {"in/a.jpg": "", "in/b.png": ""}


def test_photos_that_may_be_listed_but_not_opened_are_rows_that_fail(folder):
    (folder / "in/deep").chmod(0o444)
    with permissions_hold():
        said = outcomes(find_sources(["in/deep"]))
        with pytest.raises(ValueError, match=r"input 'in/deep/a\.JPG' cannot be looked at \(Permission denied\)"):
            find_sources(["in/deep/a.JPG"])
    (folder / "in/deep").chmod(0o755)
    assert "may not be read by this user" in said["in/deep/a.JPG"]


def test_an_input_that_is_no_name_is_one_sentence(folder):
    for given in ("x" * 300, "a\0"):
        with pytest.raises(ValueError, match=r"input .* cannot be looked at"):
            find_sources([given])


def test_a_disk_that_fails_takes_one_photo_not_the_run(folder, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sources = find_sources(["in/a.jpg"])
    monkeypatch.setattr("datasets_manifest.sources.files.os.open", fail)
    assert outcomes(sources) == {"in/a.jpg": "image_missing: in/a.jpg cannot be read (Input/output error)."}


@pytest.mark.parametrize("name", ["x" * 251, "画" * 83, "\udcff" * 251])
def test_what_is_written_for_the_longest_names_has_names_of_its_own(folder, name):
    (folder / "long" / name).mkdir(parents=True)
    for suffix in (".jpg", ".png"):
        (folder / "long" / (name + suffix)).write_bytes(b"no photo")
        (folder / "long" / name / (name + suffix)).write_bytes(b"no photo")
    sources = find_sources(["long"])
    assert len({source.label for source in sources}) == 4
    for source in sources:
        write_bytes(folder / "out" / f"{source.label}.jpg", b"picture")
    assert len([path for path in (folder / "out").rglob("*") if path.is_file()]) == 4

"""What prediction finds to work on: every file once, whatever way it is named, and names for what is written."""

import cv2
import numpy as np
import pytest
from video_files import write_video

from datasets_manifest.sources.video import FrameChoice
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
    assert "in/b.png cannot be read" in frame.error.detail

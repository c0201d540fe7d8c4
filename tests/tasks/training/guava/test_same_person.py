"""Which photos show one person."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from tasks.training.guava.same_person import SamePerson

NAMES = [f"{actor}/cam{camera}.mp4::{frame:06d}" for actor in "ab" for camera in (1, 2) for frame in (0, 1)]


def found(pattern, names=NAMES, *, first=False, **columns):
    """Names of photos to the names of others of the person."""
    selection = SimpleNamespace(path=Path("labels/two"), table=pa.table({"image": names, **columns}))
    rows = SamePerson(pattern).photos(SimpleNamespace(selection=selection), first=first)
    assert all(isinstance(others, np.ndarray) for others in rows.values())
    return {names[row]: [names[other] for other in others] for row, others in rows.items()}


def test_without_a_rule_they_are_frames_of_a_clip():
    assert found(None)["a/cam2.mp4::000001"] == ["a/cam2.mp4::000000"]
    assert found(None, first=True) == {f"{clip}::000001": [f"{clip}::000000"] for clip in (
        "a/cam1.mp4", "a/cam2.mp4", "b/cam1.mp4", "b/cam2.mp4"
    )}  # fmt: skip


def test_those_of_a_track_are_one_person_through_whichever_camera_and_beside_whomever():
    """Of who has no track, the clip decides."""
    names = ["cam1/0.jpg", "cam1/0.jpg", "cam2/0.jpg", "cam2/1.jpg", "a.mp4::000000", "a.mp4::000001"]
    known = {"group": ["scene"] * 4 + ["a.mp4"] * 2, "track": [0, 1, 0, None, None, None]}
    assert found(None, names, **known) == {
        "cam1/0.jpg": ["cam2/0.jpg"], "cam2/0.jpg": ["cam1/0.jpg"],
        "a.mp4::000000": ["a.mp4::000001"], "a.mp4::000001": ["a.mp4::000000"],
    }  # fmt: skip


def test_what_the_groups_of_a_rule_say_alike_are_views_of_one_moment():
    views = found(r"(.*)/cam\d+\.mp4(::\d+)")
    assert views["a/cam1.mp4::000001"] == ["a/cam2.mp4::000001"]
    assert len(views) == len(NAMES)


def test_without_groups_all_that_matches_alike_is_one_person():
    frames_and_views = found("[^/]+")
    assert frames_and_views["b/cam2.mp4::000000"] == [
        "b/cam1.mp4::000000", "b/cam1.mp4::000001", "b/cam2.mp4::000001"
    ]  # fmt: skip
    photos = found(r"\d+", ["7_front.jpg", "7_back.jpg", "8_front.jpg"])
    assert photos == {"7_front.jpg": ["7_back.jpg"], "7_back.jpg": ["7_front.jpg"]}


def test_two_people_in_one_photo_make_their_group_useless():
    assert list(found("[^/]+", [*NAMES, "a/cam1.mp4::000000"])) == [name for name in NAMES if name.startswith("b")]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (None, "no two photos with one person each are of one clip or track, and a renderer is learnt from pairs"),
        (r".*", r"no two photos with one person each are of one person by same_person: \.\*"),
        (r"actor(\d+)", r"same_person: actor.* does not match the photo 1\.jpg; it must match all of them"),
    ],
)
def test_nobody_twice_is_told(pattern, said):
    with pytest.raises(ValueError, match=said):
        found(pattern, ["1.jpg", "2.jpg"])

"""Rows that are held out by the name of their photo: everybody goes one way, and goes it whatever is added later."""

import dataclasses

import pyarrow as pa
import pytest
from labelled_photos import labelled_photos

from datasets_manifest.shards.held_out import hold_out
from datasets_manifest.sources.video import clip_of


def ids(selection):
    return selection.table["sample_id"].to_pylist()


def test_every_row_is_in_one_part_and_people_of_a_photo_stay_together(tmp_path):
    whole = labelled_photos(tmp_path, 120, people=2).selection
    learnt, held_out = hold_out(whole, 0.25, str)
    assert sorted(ids(learnt) + ids(held_out)) == sorted(ids(whole))
    assert not set(learnt.table["image"].to_pylist()) & set(held_out.table["image"].to_pylist())
    assert 0.25 * 240 - 3 * 13.5 < held_out.num_rows < 0.25 * 240 + 3 * 13.5, "three standard errors of 120 photos"
    assert len({learnt.snapshot_hash, held_out.snapshot_hash, whole.snapshot_hash}) == 3


def test_who_is_held_out_does_not_change_with_the_data_that_are_added(tmp_path):
    few, many = (hold_out(labelled_photos(tmp_path / str(n), n).selection, 0.3, str)[1] for n in (40, 80))
    assert set(ids(few)) <= set(ids(many))
    assert set(ids(many)) - set(ids(few)) == {name for name in ids(many) if int(name.split("/")[2][:3]) >= 40}


def test_a_larger_share_holds_out_the_same_and_more(tmp_path):
    whole = labelled_photos(tmp_path, 60).selection
    small, large = (set(ids(hold_out(whole, share, str)[1])) for share in (0.1, 0.4))
    assert small < large
    assert not ids(hold_out(whole, 0.0, str)[1])
    assert not ids(hold_out(whole, 1.0, str)[0])


def test_frames_of_a_clip_stay_together(tmp_path):
    whole = labelled_photos(tmp_path, 60).selection
    clips = [f"clips/{number // 6}.mp4::{number:06d}" for number in range(60)]
    named = whole.table.set_column(whole.table.schema.get_field_index("image"), "image", pa.array(clips))
    learnt, held_out = hold_out(dataclasses.replace(whole, table=named), 0.5, clip_of)
    names = [{clip_of(image) for image in part.table["image"].to_pylist()} for part in (learnt, held_out)]
    assert names[0] | names[1] == {clip_of(clip) for clip in clips}
    assert not names[0] & names[1]


def test_views_of_a_scene_and_the_pieces_of_a_long_one_stay_together(tmp_path):
    """Whatever the photos are called; who is in no group is held out by their photo."""
    whole = labelled_photos(tmp_path, 80).selection
    scenes = [f"scene{number // 8}::{number % 8 // 4 * 512:06d}" for number in range(64)] + [None] * 16
    grouped = dataclasses.replace(whole, table=whole.table.append_column("group", pa.array(scenes, pa.string())))
    learnt, held_out = hold_out(grouped, 0.5, clip_of)
    names = [{clip_of(g) for g in part.table["group"].to_pylist() if g is not None} for part in (learnt, held_out)]
    assert names[0] | names[1] == {f"scene{number}" for number in range(8)}
    assert all(names)
    assert not names[0] & names[1]
    alone = set(ids(hold_out(whole, 0.5, clip_of)[1])) & {
        name for name in ids(whole) if int(name.split("/")[2][:3]) >= 64
    }
    assert alone == {name for name in ids(held_out) if int(name.split("/")[2][:3]) >= 64}
    assert alone


@pytest.mark.parametrize(
    "image", ["a/b.jpg", "photos.tar::b.jpg", "photos.tar::clip.mp4/b.jpg", "photos.tar::000512.jpg"]
)
def test_a_photo_is_a_group_of_its_own(image):
    assert clip_of(image) == image

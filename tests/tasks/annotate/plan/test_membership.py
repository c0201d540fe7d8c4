"""A photo stays in its shard: what is added or taken away costs the shards that it concerns, and no other."""

import shutil

import numpy as np
import pytest
from manifests import write_manifest
from plans import plan_of, read_plan

from datasets_manifest.adapters.base import ImageRecord, Place
from datasets_manifest.shards.store import write_shard
from tasks.annotate import workspace as places
from tasks.annotate.datasets import Dataset
from tasks.annotate.plan import membership
from tasks.annotate.plan import plan as planning
from tasks.annotate.plan_files import plan_files, planned_footers, planned_shards
from tasks.annotate.settings import AnnotateConfig, RunConfig
from tasks.annotate.workspace import ShardRef, Workspace

MANY = [f"{2 * number + 1:05d}.jpg" for number in range(2_000)]
"""Between any two of them, before and behind them is room for one more."""


def place_of(name):
    """Frames are of a clip, photos of nothing."""
    clip, mark, frame = name.partition("::")
    return Place(group=clip, frame=int(frame), time_s=int(frame) / 30) if mark else None


class Photos:
    """A data set of photos that are nowhere."""

    def __init__(self, names):
        self.names = names

    def entries(self):
        return (ImageRecord(image_id=name, path=name, place=place_of(name)) for name in sorted(self.names))

    def state(self, _image):
        return 1, 1


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """A function that plans photos of some names, and gives the numbers of the shards whose plan is new."""
    (tmp_path / "photos").mkdir()
    source = str(write_manifest(tmp_path / "many.yaml", "many", tmp_path / "photos"))
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")

    def plan(names, size=100):
        monkeypatch.setattr(Dataset, "open", lambda _: Photos(names))
        monkeypatch.setattr(planning, "open_adapter", lambda _, images: images)
        made = plan_of(AnnotateConfig(datasets=(source,), run=RunConfig(images_per_shard=size)), workspace)
        before, plan.states = plan.states, states()
        assert sorted(plan.states) == [shard.index for shard in made.shards]
        return [index for index, state in plan.states.items() if before.get(index) != state]

    def states():
        """What each shard says of its photos."""
        return {shard.index: footer.manifest["inputs_hash"] for shard, footer in planned_footers(workspace)}

    plan.workspace, plan.states = workspace, {}  # pyright: ignore[reportFunctionMemberAccess]
    return plan


def names_of(workspace, index):
    shard = ShardRef(dataset="many", split="all", index=index)
    return [str(name) for name in read_plan(workspace, shard)["image"].to_pylist()]


@pytest.mark.parametrize("added", ["00000.jpg", "02000.jpg", "99999.jpg"], ids=["first", "middle", "last"])
def test_a_photo_that_is_added_anywhere_costs_one_shard(planned, added):
    planned(MANY)
    assert planned([*MANY, added]) == [20]
    assert names_of(planned.workspace, 20) == [added]
    assert planned([*MANY, added]) == []


def test_a_photo_that_is_gone_costs_its_shard(planned, caplog):
    planned(MANY)
    assert planned([name for name in MANY if name != MANY[1321]]) == [13]
    assert len(names_of(planned.workspace, 13)) == 99
    assert "1 planned photo gone" in caplog.text


def test_a_folder_grows_in_steps_and_is_planned_anew_from_nothing(planned):
    few = MANY[:250]
    assert planned(few) == [0, 1, 2]
    assert planned([*few, "00000.jpg", "00002.jpg"]) == [3]
    assert planned([*few, "00000.jpg", "00002.jpg", "00004.jpg", "99999.jpg"]) == [4]
    assert names_of(planned.workspace, 3) == ["00000.jpg", "00002.jpg"]
    assert names_of(planned.workspace, 4) == ["00004.jpg", "99999.jpg"]


def test_a_number_is_not_given_twice(planned):
    planned(MANY[:300])
    assert planned([*MANY[:200], "00000.jpg"]) == [3]


def test_the_order_of_growth_decides_nothing_but_the_shards(planned):
    random = np.random.default_rng(0)
    order = random.permutation(MANY[:1000]).tolist()
    for end in (300, 650, 1000):
        planned(order[:end])
    shards = [names_of(planned.workspace, shard.index) for shard in planned_shards(planned.workspace)]
    assert sorted(name for shard in shards for name in shard) == MANY[:1000]
    assert all(shard == sorted(shard) for shard in shards)


def test_a_plan_file_that_is_lost_or_broken_is_made_again_and_no_other(planned, monkeypatch, caplog):
    monkeypatch.setattr(places, "_SHARDS_A_PLAN", 1)
    planned(MANY[:300])
    lost = planned.workspace.work / "plan/many/all/00001-00001.parquet"
    lost.write_bytes(b"no plan")
    assert planned(MANY[:300]) == [3]  # Nothing says any more what was in it.
    assert "00001-00001.parquet cannot be read" in caplog.text
    assert not lost.exists()
    assert [path.name for path in (planned.workspace.work / "stale").rglob("*.parquet")] == [lost.name]
    shutil.rmtree(planned.workspace.work)
    planned.states = {}
    assert planned(MANY[:300]) == [0, 1, 2]


def files_of(workspace):
    """When each file was written."""
    return {path.name: path.stat().st_mtime_ns for path in plan_files(workspace, ("many", "all"))}


def test_files_of_which_no_shard_changes_are_not_written(planned, monkeypatch):
    monkeypatch.setattr(places, "_SHARDS_A_PLAN", 4)
    planned(MANY[:1000])
    before = files_of(planned.workspace)
    assert list(before) == ["00000-00003.parquet", "00004-00007.parquet", "00008-00011.parquet"]
    # A photo of shard 1 is gone, and new ones open shards 10 to 12.
    assert planned([*MANY[:150], *MANY[151:1250]]) == [1, 10, 11, 12]
    after = files_of(planned.workspace)
    assert [name for name in before if after[name] == before[name]] == ["00004-00007.parquet"]
    assert [len(names_of(planned.workspace, index)) for index in (0, 1, 2, 10, 12)] == [100, 99, 100, 100, 50]
    # All of a shard that was alone in its file, and of one that was not.
    assert planned([*MANY[:150], *MANY[151:800], *MANY[900:1200]]) == []
    assert [shard.index for shard in planned_shards(planned.workspace)] == [*range(8), 9, 10, 11]
    assert list(files_of(planned.workspace)) == list(before)


def test_plans_of_an_earlier_program_say_which_photo_is_in_which_shard(planned):
    planned(MANY[:300])
    workspace = planned.workspace
    for shard, footer in list(planned_footers(workspace)):
        table = read_plan(workspace, shard)
        write_shard(workspace.work / f"plan/many/all/{shard.index:05d}.parquet", table, footer)
    (path,) = plan_files(workspace, ("many", "all"))
    path.unlink()
    planned([*MANY[:300], "00000.jpg"])
    assert names_of(workspace, 2) == MANY[200:300]
    assert names_of(workspace, 3) == ["00000.jpg"]
    assert list(path.parent.glob("*.parquet")) == [path]


def frames(clip, count):
    return [f"{clip}::{number:03d}" for number in range(count)]


def test_a_group_is_in_one_shard_however_long(planned):
    clips = [*frames("a.mp4", 5), *frames("b.mp4", 25), *frames("c.mp4", 3)]
    assert planned(clips, size=10) == [0, 1]
    assert names_of(planned.workspace, 0) == [*frames("a.mp4", 5), *frames("b.mp4", 25)]
    assert names_of(planned.workspace, 1) == frames("c.mp4", 3)


def test_more_frames_of_a_clip_go_where_the_others_are(planned):
    planned([*frames("a.mp4", 5), *frames("b.mp4", 5)], size=5)
    assert planned([*frames("a.mp4", 9), *frames("b.mp4", 5)], size=5) == [0]
    assert names_of(planned.workspace, 0) == frames("a.mp4", 9)


def test_a_clip_of_which_every_frame_is_another_stays_in_its_shard(planned):
    clips = [*frames("a.mp4", 5), *frames("b.mp4", 5)]
    planned(clips, size=5)
    assert planned([*clips[:5], *(f"b.mp4::{number:03d}" for number in range(5, 9))], size=5) == [1]


def test_a_clip_that_an_earlier_plan_cut_comes_together(planned, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setitem(globals(), "place_of", lambda _: None)
        planned([*frames("a.mp4", 12), *frames("b.mp4", 2)], size=5)
    planned([*frames("a.mp4", 12), *frames("b.mp4", 2)], size=5)
    assert names_of(planned.workspace, 0) == frames("a.mp4", 12)
    assert names_of(planned.workspace, 2) == frames("b.mp4", 2)


def test_photos_between_those_of_a_group_are_refused():
    photos = [ImageRecord(image_id=name, path=name, place=place_of(name)) for name in ("a::0", "b::0", "a::1")]
    with pytest.raises(ValueError, match="group 'a': its photos do not follow each other, 'a::1' comes after"):
        list(membership._by_group(photos))


def test_photos_that_are_looked_for_together_go_where_they_would_one_by_one(planned, monkeypatch):
    names = [*MANY[:90], *frames("a.mp4", 5), *MANY[90:100], *frames("b.mp4", 9)]
    planned([*names[:40], *names[60:95], *names[100:110]], size=7)
    photos = [ImageRecord(image_id=name, path=name, place=place_of(name)) for name in names]

    def cut(at_once):
        monkeypatch.setattr(membership, "_PHOTOS_AT_ONCE", at_once)
        members = membership.Membership(planned.workspace, ("many", "all"))
        return [(index, [photo.image_id for photo in own]) for index, own in members.cut(photos, 7)], members.missing

    assert cut(1) == cut(3) == cut(1024)
    homes = {name: index for index, own in cut(1024)[0] for name in own}
    planned(names, size=7)
    shards = [shard.index for shard in planned_shards(planned.workspace)]
    assert homes == {name: index for index in shards for name in names_of(planned.workspace, index)}

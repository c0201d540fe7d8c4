"""Machines that share a store and no disk cut a data set alike, whenever they begin, and take no label away."""

import pytest
from label_shards import footer, label_table
from local_s3 import bucket  # noqa: F401 (a fixture)
from manifests import write_manifest
from plans import read_plan

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.shards.store import write_shard
from datasets_manifest.stores import delete, listed, place_of, put
from tasks.annotate.datasets import Dataset, find_datasets
from tasks.annotate.plan import plan as planning
from tasks.annotate.plan.shared_plan import OpenPlan, set_plan_back, shared_plan
from tasks.annotate.settings import AnnotateConfig, Origin, RunConfig
from tasks.annotate.workspace import ShardRef, Workspace

PHOTOS = [f"{number:02d}.jpg" for number in range(12)]
GROUP = "many", "all"


class Photos:
    """A data set of photos that are nowhere."""

    def __init__(self, names):
        self.names = names

    def entries(self):
        return (ImageRecord(image_id=name, path=name) for name in self.names)

    def state(self, _image):
        return 1, 1


class Machine:
    """A work folder of its own, and labels and parts in a bucket."""

    def __init__(self, tmp_path, monkeypatch, bucket, name):  # noqa: F811
        self.workspace = Workspace(
            work=tmp_path / name, labels=place_of(f"{bucket}/labels"), parts=place_of(f"{bucket}/parts")
        )
        self.tmp_path, self.monkeypatch = tmp_path, monkeypatch

    def plan(self, names=PHOTOS, is_shared=False):
        """Plans photos, as ``pear work`` does, and gives those of each shard."""
        self.monkeypatch.setattr(Dataset, "open", lambda _: Photos(names))
        self.monkeypatch.setattr(planning, "open_adapter", lambda _, images: images)
        config = AnnotateConfig(datasets=(str(self.tmp_path / "many.yaml"),), run=RunConfig(images_per_shard=2))
        (dataset,) = find_datasets(config, self.workspace, self.tmp_path)
        origin = Origin(params=self.tmp_path / "params.yaml")
        plan = shared_plan(dataset, self.workspace, config, origin, is_shared=is_shared)
        return {shard.index: self.photos_of(shard) for shard in plan.shards}

    def photos_of(self, shard):
        return [str(name) for name in read_plan(self.workspace, shard)["image"].to_pylist()]

    def label(self, index):
        shard = ShardRef(dataset="many", split="all", index=index)
        write_shard(self.workspace.step_path("refine", shard), label_table(image=self.photos_of(shard)[0]), footer())


@pytest.fixture
def machine(tmp_path, monkeypatch, bucket):  # noqa: F811
    (tmp_path / "photos").mkdir()
    write_manifest(tmp_path / "many.yaml", "many", tmp_path / "photos")
    return lambda name: Machine(tmp_path, monkeypatch, bucket, name)


def labels_of(one):
    return [entry.path.rpartition("/")[2] for entry in listed(one.workspace.labels)]


@pytest.mark.long
def test_who_comes_later_cuts_as_the_first_did_and_takes_no_label_away(machine):
    one, two = machine("one"), machine("two")
    cut = one.plan()
    assert cut == {index: PHOTOS[2 * index : 2 * index + 2] for index in range(6)}
    one.label(3)
    assert two.plan() == cut
    # What is new opens new shards, for the first machine too, once it looks.
    grown = cut | {6: ["99.jpg"]}
    assert two.plan([*PHOTOS, "99.jpg"]) == grown
    assert one.plan([*PHOTOS, "99.jpg"]) == grown
    assert labels_of(one) == ["00003.parquet"]
    assert not list(one.tmp_path.rglob("stale"))


@pytest.mark.long
def test_photos_that_are_not_here_take_no_label_of_another_machine_away(machine):
    one, two = machine("one"), machine("two")
    cut = one.plan()
    one.label(5)
    for names in (PHOTOS[:-2], PHOTOS[:-1]):
        for _ in range(2):
            with pytest.raises(ValueError, match=r"photos? of the plan that another machine made cannot be found"):
                two.plan(names)
    assert two.plan() == cut
    assert one.plan() == cut
    two.plan([*PHOTOS, "99.jpg"])
    with pytest.raises(ValueError, match="1 photo of the plan that another machine made"):
        one.plan()
    assert labels_of(one) == ["00005.parquet"]
    assert two.plan(PHOTOS) == cut, "it goes where its plan was agreed to"


def test_labels_whose_plan_is_nowhere_are_refused(machine):
    one, two = machine("one"), machine("two")
    cut = one.plan()
    one.label(3)
    stored = one.workspace.labels / ".plans/many/all.tar"
    put(stored, b"no tar file")
    with pytest.raises(ValueError, match="got what is no tar file"):
        two.plan()
    delete(stored)
    with pytest.raises(ValueError, match=r"Expected the plan of what is in s3://.*/labels/many/all, found none in"):
        two.plan()
    assert one.plan() == cut
    assert two.plan() == cut


def test_a_plan_that_is_begun_is_no_plan_that_others_take(machine):
    one = machine("one")
    one.plan()
    path = one.workspace.record_path(GROUP).with_name("planned.json")
    assert path.is_file()
    assert one.plan([*PHOTOS, "99.jpg"], is_shared=True).keys() == set(range(6))
    set_plan_back(one.workspace, GROUP)
    assert OpenPlan.begin(one.workspace, GROUP).is_own
    assert not OpenPlan.begin(one.workspace, GROUP).is_own
    assert not path.exists()
    assert one.plan([*PHOTOS, "99.jpg"], is_shared=True)[6] == ["99.jpg"]

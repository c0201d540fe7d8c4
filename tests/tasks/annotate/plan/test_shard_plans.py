"""Plans that are made together are those that are made one by one, in files too."""

from dataclasses import replace

import numpy as np
import pytest

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.manifest import load_manifest
from datasets_manifest.shards.footer import ShardError
from tasks.annotate import plan_files
from tasks.annotate.plan import shard_plans as module
from tasks.annotate.plan.plan_rows import plan_footer, plan_table
from tasks.annotate.plan.shard_plans import shard_plans
from tasks.annotate.plan_files import is_planned, planned_shard, planned_shards, write_plan_file
from tasks.annotate.workspace import ShardRef, Workspace

RNG = np.random.default_rng(0)


class Photos:
    """A source that knows the state of every photo."""

    def state(self, image):
        return len(image), 7


class Mask:
    value = None

    def __call__(self):
        return self


def person(index, **given):
    known = {"bbox_xyxy": RNG.uniform(0, 9, 4), "keypoints": RNG.uniform(0, 9, (133, 3))}
    return PersonRecord(index=index, **known | given)


def photo(number, *people):
    return ImageRecord(image_id=f"{number}.jpg", path=f"photos/{number}.jpg", width=640, height=480, people=people)


def failed(index):
    return PersonRecord(index=index, error_code="box_invalid", error_detail="the box has no area")


SHARDS = [
    [photo(0, person(0)), photo(1, person(0), failed(1))],
    [photo(2, failed(0))],
    [photo(3, person(0, trusted=frozenset({"body"})))],
    [photo(4, person(0, other_points={"neck": np.ones(3)})), photo(5, person(0))],
    [photo(6, person(0)), photo(7, person(0, truth={"stature": np.float32(1)}))],
    [photo(8, person(0, mask=Mask()), person(1))],
    [photo(9, person(0, mask=Mask()))],
    [photo(10, person(0))],
]


@pytest.mark.parametrize("boxes", ["manifest", "detector"])
@pytest.mark.parametrize("at_once", [1, 3, 2048])
def test_plans_are_the_same(monkeypatch, boxes, at_once):
    monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", at_once)
    manifest = replace(load_manifest("demo_people"), boxes=boxes)
    shards = [(ShardRef(dataset="d", split="s", index=k), own) for k, own in enumerate(SHARDS)]
    found = list(shard_plans(iter(shards), manifest, Photos()))
    assert [plan.shard for plan in found] == [shard for shard, _ in shards]
    for plan, (shard, records) in zip(found, shards, strict=True):
        table = plan_table(records, manifest)
        footer = plan_footer(shard, table, records, manifest, Photos())
        assert plan.footer == footer
        assert plan.table.schema.equals(table.schema, check_metadata=True)
        assert plan.table.to_pylist() == table.to_pylist()


@pytest.mark.parametrize("boxes", ["manifest", "detector"])
def test_each_is_read_from_a_file_of_all_as_it_was_made(tmp_path, monkeypatch, boxes):
    monkeypatch.setattr(plan_files, "_ROWS_A_GROUP", 3)
    manifest, workspace = replace(load_manifest("demo_people"), boxes=boxes), Workspace(work=tmp_path, labels=tmp_path)
    shards = [(ShardRef(dataset="d", split="s", index=k), own) for k, own in enumerate(SHARDS)]
    made = list(shard_plans(iter(shards), manifest, Photos()))
    write_plan_file(workspace.plan_path(shards[0][0]), {plan.shard.index: (plan.table, plan.footer) for plan in made})
    assert list(planned_shards(workspace)) == [shard for shard, _ in shards]
    for plan in made:
        found = planned_shard(workspace, plan.shard)
        read = found.columns().table
        absent = set(read.column_names) - set(plan.table.column_names)
        assert all(read[name].null_count == read.num_rows for name in absent)
        assert read.select(plan.table.column_names).to_pylist() == plan.table.to_pylist()
        failed = plan.table["status"].to_pylist().count("failed")
        assert (found.footer.row_count, found.footer.failed_count) == (plan.table.num_rows, failed)
        assert found.footer.created_utc
        for name in ("config", "config_hash", "code_version", "manifest", "shard"):
            assert getattr(found.footer, name) == getattr(plan.footer, name)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: b"no plan", lambda data: data.replace(b'"each"', b'"eech"')]
)
def test_a_broken_file_is_told_by_its_name(tmp_path, damage):
    manifest, workspace = load_manifest("demo_people"), Workspace(work=tmp_path, labels=tmp_path)
    shard = ShardRef(dataset="d", split="s", index=0)
    (made,) = shard_plans([(shard, SHARDS[0])], manifest, Photos())
    path = workspace.plan_path(shard)
    write_plan_file(path, {0: (made.table, made.footer)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ShardError, match=r"00000-00255\.parquet"):
        list(planned_shards(workspace))
    assert not is_planned(workspace, shard)


def test_what_is_wrong_with_one_is_told_of_it_alone():
    manifest = replace(load_manifest("demo_people"), boxes="manifest")
    shards = [(ShardRef(dataset="d", split="s", index=k), [photo(1, person(0))]) for k in range(2)]
    assert len(list(shard_plans(shards, manifest, Photos()))) == 2, "another file says that a person is in two shards"
    wrong = [(shards[0][0], [photo(1, person(0, bbox_xyxy=np.ones(3)))])]
    with pytest.raises(ValueError, match=r"1\.jpg#0'?: bbox_xyxy must have 4 numbers"):
        list(shard_plans([*wrong, shards[1]], manifest, Photos()))

"""Plans that are made together are, byte for byte, those that are made one by one."""

from dataclasses import replace

import numpy as np
import pytest

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.manifest import load_manifest
from datasets_manifest.shards.store import write_shard
from tasks.annotate.plan import shard_plans as module
from tasks.annotate.plan.plan_file import plan_footer, plan_table
from tasks.annotate.plan.shard_plans import shard_plans
from tasks.annotate.workspace import ShardRef

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
def test_files_are_the_same(tmp_path, monkeypatch, boxes, at_once):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", at_once)
    manifest = replace(load_manifest("demo_people"), boxes=boxes)
    shards = [(ShardRef(dataset="d", split="s", index=k), own) for k, own in enumerate(SHARDS)]
    found = list(shard_plans(iter(shards), manifest, Photos()))
    assert [plan.shard for plan in found] == [shard for shard, _ in shards]
    for plan, (shard, records) in zip(found, shards, strict=True):
        table = plan_table(records, manifest)
        footer = plan_footer(shard, table, records, manifest, Photos())
        assert plan.footer == footer
        for name, rows in (("together", plan.table), ("alone", table)):
            write_shard(tmp_path / name, rows, footer)
        assert (tmp_path / "together").read_bytes() == (tmp_path / "alone").read_bytes()


def test_what_is_wrong_with_one_is_told_of_it_alone():
    manifest = replace(load_manifest("demo_people"), boxes="manifest")
    shards = [(ShardRef(dataset="d", split="s", index=k), [photo(1, person(0))]) for k in range(2)]
    assert len(list(shard_plans(shards, manifest, Photos()))) == 2, "another file says that a person is in two shards"
    wrong = [(shards[0][0], [photo(1, person(0, bbox_xyxy=np.ones(3)))])]
    with pytest.raises(ValueError, match=r"1\.jpg#0'?: bbox_xyxy must have 4 numbers"):
        list(shard_plans([*wrong, shards[1]], manifest, Photos()))

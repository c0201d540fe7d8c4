"""Files in COCO's form are joined without being held, whatever order their lists are in."""

import json
import tracemalloc
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest
from coco_files import coco_image, coco_person
from hypothesis import given, settings
from hypothesis import strategies as st
from inventories import inventory_of

from datasets_manifest.adapters.coco_index import CocoIndex
from datasets_manifest.manifest import Manifest, open_adapter

IDS = st.integers(0, 6) | st.just(-(2**62))


def index_of(path, every_nth=1, state=lambda _: 0):
    return CocoIndex(path, "a.json", state, state, every_nth)


def adapter_of(root, **layout):
    return open_adapter(
        Manifest(
            id="group", version="1", licence="x", access="x", adapter="coco", root=str(root), split="val",
            layout={"annotations": "a.json", **layout}, boxes="manifest", keypoints="coco", purpose="test",
        )
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    images=st.lists(IDS, max_size=6), people=st.lists(st.tuples(IDS, IDS), max_size=12), every_nth=st.integers(1, 3),
    is_reversed=st.booleans(),
)  # fmt: skip
def test_rows_are_joined_as_by_a_dict(tmp_path_factory, images, people, every_nth, is_reversed):
    path = tmp_path_factory.mktemp("coco") / "a.json"
    rows = [{"id": number, "image_id": image, "place": k} for k, (number, image) in enumerate(people)]
    content = {"images": [coco_image(number, f"ü{k}.jpg") for k, number in enumerate(images)], "annotations": rows}
    path.write_text(
        json.dumps(dict(reversed(content.items())) if is_reversed else content, ensure_ascii=False), "utf-8"
    )
    first = {}
    for row in content["images"]:
        first.setdefault(row["id"], row)
    taken = rows[every_nth - 1 :: every_nth]
    with index_of(path, every_nth) as index:
        assert index.image_ids.tolist() == sorted(first)
        assert len(index.missing) == len(images) - len(first)
        assert index.names.keys() == {number for number, count in Counter(images).items() if count > 1}
        assert index.num_passed == len(rows) - len(taken)
        assert index.positions.tolist() == [row["place"] for row in taken]
        for number, image in enumerate(index.image_ids.tolist()):
            own = [k for k, of in enumerate(index.images_of.tolist()) if of == number]
            assert index.rows(number, own) == (first[image], [row for row in taken if row["image_id"] == image])
        strange = [k for k, of in enumerate(index.images_of.tolist()) if of < 0]
        assert [taken[k]["image_id"] in first for k in strange] == [False] * len(strange)


def test_categories_may_stand_behind_the_people_and_lists_in_any_order(tmp_path):
    people = [coco_person(k, k % 3, category_id=1 + k % 2) for k in range(12)]
    content = {
        "info": {"by": ["ü"]},
        "images": [coco_image(k) for k in range(3)],
        "annotations": people,
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    }
    found = []
    for order in (list(content), list(reversed(content))):
        (tmp_path / "a.json").write_text(json.dumps({name: content[name] for name in order}, ensure_ascii=False))
        listed = inventory_of(adapter_of(tmp_path, check_order=False))
        found.append([(r.image_id, [p.bbox_xyxy.tolist() for p in r.people]) for r in listed.records])
        assert listed.notes["annotations of other categories left out"] == 6
    assert found[0] == found[1]
    assert [len(people) for _, people in found[0]] == [2, 2, 2]


def test_of_two_lists_of_one_name_the_later_counts(tmp_path):
    images = json.dumps([coco_image(1)])
    text = f'{{"images": 3, "annotations": [{{"id": 9}}], "images": {images}, "annotations": []}}'
    (tmp_path / "a.json").write_text(text)
    with index_of(tmp_path / "a.json") as index:
        assert (index.image_ids.tolist(), len(index.positions), index.problems) == ([1], 0, [])


@pytest.mark.parametrize("field", ["id", "image_id"])
def test_an_id_that_no_file_has_is_told(tmp_path, field):
    content = {"images": [coco_image(1)], "annotations": [coco_person(1) | {field: 2**63}, coco_person(2)]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    listed = inventory_of(adapter_of(tmp_path, check_order=False))
    assert listed.num_people == 1
    assert [m.path for m in listed.missing if m.path != "1.jpg"] == ["a.json annotations[0]"]


def test_neither_annotations_nor_parameters_are_held(tmp_path, monkeypatch):
    """However long rows are, the peak grows by the few numbers of the index alone."""
    monkeypatch.setattr("datasets_manifest.adapters.json_values._PIECE", 1 << 14)
    parameters = {"root_pose": 3, "body_pose": 63, "shape": 10, "trans": 3, "lhand_pose": 45, "rhand_pose": 45}
    parameters |= {"jaw_pose": 3, "expr": 10}
    entry = {"smplx_param": {name: [0.125] * count for name, count in parameters.items()}}
    peaks = {}
    for count in (150, 900):
        content = {
            "images": [coco_image(k) for k in range(count // 3)],
            "annotations": [coco_person(k, k % (count // 3), segmentation=[[1.5] * 60]) for k in range(count)],
        }
        (tmp_path / "a.json").write_text(json.dumps(content))
        (tmp_path / "b.json").write_text(json.dumps({str(k): entry for k in range(count)}))
        del content
        adapter = adapter_of(tmp_path, check_order=False, smplx="b.json")
        monkeypatch.setattr("datasets_manifest.adapters.point_checks._PEOPLE", 8)
        entries = adapter.entries()
        tracemalloc.start()
        assert next(entries)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (peaks[900] - peaks[150]) / 750 < 200 < (tmp_path / "a.json").stat().st_size / 900 / 3


@pytest.mark.parametrize("said", ['{"1": {}}', '{"1": {}', "[]"])
def test_no_file_stays_open_whether_it_can_be_read_or_not(tmp_path, said):
    (tmp_path / "a.json").write_text(json.dumps({"images": [coco_image(1)], "annotations": [coco_person(1)]}))
    (tmp_path / "b.json").write_text(said)
    with pytest.raises(ValueError, match="SMPL-X") if said != '{"1": {}}' else nullcontext() as held:
        list(adapter_of(tmp_path, smplx="b.json").entries())
    (tmp_path / "a.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match="is not in COCO's format") as also_held:
        index_of(tmp_path / "a.json")
    opened = {Path(file.path).parent for file in psutil.Process().open_files()}
    assert tmp_path not in opened, (held, also_held)  # which hold the frames of what failed

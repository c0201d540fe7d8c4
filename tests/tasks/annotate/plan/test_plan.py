"""A plan is made photo by photo, recognised when nothing changed, and made again when a photo did."""

import json
import os
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from coco_files import coco_image, coco_person, write_coco
from manifests import write_manifest
from permissions import permissions_hold
from plans import plan_footer_of, plan_of, read_plan
from table_rows import table_from_rows

from datasets_manifest.adapters.base import CalibratedLens, ImageRecord, PersonRecord, Place
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.schema.part_files import PLAN_SCHEMA, plan_schema
from datasets_manifest.schema.truth_3d import Truth3d, truth_3d_of
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.store import write_shard
from tasks.annotate.plan import membership, shard_plans
from tasks.annotate.plan import plan as planning
from tasks.annotate.plan.plan_rows import plan_footer, plan_table
from tasks.annotate.plan_files import planned_footers, planned_shards
from tasks.annotate.settings import AnnotateConfig, RunConfig
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.lenses import lens_of


@pytest.fixture
def project(tmp_path):
    """A function that plans seven files, three a shard, and gives plan and workspace."""
    (tmp_path / "photos").mkdir()
    for number in range(7):
        (tmp_path / f"photos/{number}.jpg").write_bytes(bytes(number + 1))
    write_manifest(tmp_path / "few.yaml", "few", tmp_path / "photos")
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")

    def planned(images_per_shard=3):
        config = AnnotateConfig(
            datasets=(str(tmp_path / "few.yaml"),), run=RunConfig(images_per_shard=images_per_shard)
        )
        return plan_of(config, workspace)

    return planned, workspace, tmp_path


PLACE = Place(group="clip", frame=0, time_s=0.5, camera="left", world_to_camera=np.eye(3, 4) + 1)

LENS = CalibratedLens(model="brown", coefficients=(0.1, 0.0, 0.0, 0.0), focal_xy_px=(510.0, 490.0))


class Nowhere:
    def state(self, _image):
        return 1, 1


def inputs(workspace, count):
    refs = [ShardRef(dataset="few", split="all", index=index) for index in range(count)]
    return [plan_footer_of(workspace, ref).manifest["inputs_hash"] for ref in refs]


def test_photos_are_cut_into_shards_in_order(project):
    planned, workspace, _ = project
    plan = planned()
    assert [shard.name for shard in plan.shards] == ["few/all/00000", "few/all/00001", "few/all/00002"]
    assert len(plan.shards) == 3
    assert ShardRef(dataset="few", split="all", index=2) in plan.shards
    assert ShardRef(dataset="few", split="all", index=3) not in plan.shards
    assert "7 photos" in plan.summary
    rows = [plan_footer_of(workspace, shard).row_count for shard in plan.shards]
    assert rows == [3, 3, 1]


def test_an_unchanged_plan_stays_and_a_changed_photo_changes_its_shard_alone(project):
    planned, workspace, folder = project
    planned()
    before, written = inputs(workspace, 3), [p.stat().st_mtime_ns for p in sorted(workspace.work.rglob("*.parquet"))]
    planned()
    assert inputs(workspace, 3) == before
    assert [p.stat().st_mtime_ns for p in sorted(workspace.work.rglob("*.parquet"))] == written
    (folder / "photos/4.jpg").write_bytes(b"another photo")
    planned()
    np.testing.assert_array_equal(np.array(inputs(workspace, 3)) == np.array(before), [True, False, True])


def test_a_shard_whose_photos_are_gone_is_set_aside(project, caplog):
    planned, workspace, folder = project
    planned()
    shard = ShardRef(dataset="few", split="all", index=1)
    write_shard(workspace.step_path("body", shard), read_plan(workspace, shard), plan_footer_of(workspace, shard))
    for name in "345":
        (folder / f"photos/{name}.jpg").unlink()
    assert [shard.index for shard in planned().shards] == [0, 2]
    assert [shard.index for shard in planned_shards(workspace)] == [0, 2]
    assert len(list((workspace.work / "stale").rglob("*.parquet"))) == 1
    (line,) = [line for line in caplog.messages if "no longer planned" in line]
    assert "1 shard set aside" in line
    assert "work/stale/" in line


def test_another_size_is_for_new_shards_alone(project):
    planned, workspace, folder = project
    planned()
    before = inputs(workspace, 3)
    for number in range(7, 10):
        (folder / f"photos/{number}.jpg").write_bytes(bytes(number + 1))
    assert len(planned(images_per_shard=2).shards) == 5
    assert inputs(workspace, 3) == before


def test_no_more_photos_are_listed_than_the_shards_in_work_need(project, monkeypatch):
    for module in (membership, shard_plans):  # Else some thousand photos are made into shards together.
        monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", 1)
    planned, _, _ = project
    listed, seen = [], []
    whole = planning.open_adapter

    class Watched:
        def __init__(self, manifest, images):
            self._adapter = whole(manifest, images)

        def entries(self):
            for entry in self._adapter.entries():
                listed.append(entry)
                yield entry

    def write(*arguments, whole=planning._unseen_of):
        seen.append(len(listed))
        return whole(*arguments)

    monkeypatch.setattr(planning, "open_adapter", Watched)
    monkeypatch.setattr(planning, "_unseen_of", write)
    planned()
    assert np.diff([*seen, len(listed)]).tolist() == [3, 1, 0]


def shut(folder, planned, mode=0o000):
    """What a plan says while a folder of photos may not be read."""
    folder.chmod(mode)
    try:
        with permissions_hold():
            return planned()
    finally:
        folder.chmod(0o755)


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_photos_that_cannot_be_seen_keep_their_plan_and_their_labels(project):
    planned, workspace, folder = project
    for name in ("a", "z"):
        (folder / "photos" / name).mkdir()
        (folder / "photos" / name / "1.jpg").write_bytes(b"more")
    planned()
    label = workspace.labels / "few/all/00002.parquet"
    label.parent.mkdir(parents=True)
    label.write_bytes(b"a label")
    before = files_of(folder)
    for name in ("photos/a", "photos/z", "photos"):
        plan = shut(folder / name, planned)
        assert f"{name} cannot be listed (Permission denied)" in plan.problem
        assert len(plan.shards) == 3
        assert files_of(folder) == before
    assert planned().problem == ""


def test_photos_that_are_listed_but_not_to_be_looked_at_keep_their_shard(project):
    planned, workspace, folder = project
    (folder / "photos/a").mkdir()
    (folder / "photos/a/1.jpg").write_bytes(b"more")
    planned()
    before = inputs(workspace, 3)
    (folder / "photos/new.jpg").write_bytes(b"new")
    plan = shut(folder / "photos/a", planned, mode=0o644)
    assert "a/1.jpg" in plan.problem
    assert "may not be read by this user" in plan.problem
    assert len(plan.shards) == 4
    assert inputs(workspace, 3) == before
    assert planned().problem == ""
    assert inputs(workspace, 3) == before


def test_labels_without_their_plan_are_not_replaced_while_photos_may_not_be_looked_at(project):
    planned, workspace, folder = project
    planned()
    for shard, footer in list(planned_footers(workspace)):
        ids = read_plan(workspace, shard)["sample_id"].to_pylist()
        key = {"dataset": "few", "split": "all", "image": "-", "person": 0, "status": "ok"}
        key |= {f"{part}_valid": True for part in PART_NAMES}
        rows = [key | {"sample_id": name} for name in ids]
        write_shard(workspace.step_path("refine", shard), table_from_rows(rows, LABEL_SCHEMA), footer)
    workspace.plan_path(shard).unlink()
    with pytest.raises(ValueError, match=r"may not be read by this user.* Labels of the data set are in"):
        shut(folder / "photos", planned, mode=0o644)


def test_a_first_plan_takes_what_can_be_seen_and_says_so(project):
    planned, _, folder = project
    (folder / "photos/a").mkdir()
    plan = shut(folder / "photos/a", planned)
    assert "cannot be listed" in plan.problem
    assert "7 photos" in plan.summary
    assert "1 x listing_incomplete" in plan.summary


def test_labels_without_their_plan_are_not_replaced_while_photos_cannot_be_seen(project):
    planned, workspace, folder = project
    (folder / "photos/a").mkdir()
    planned()
    label = workspace.labels / "few/all/00002.parquet"
    label.parent.mkdir(parents=True)
    label.write_bytes(b"a label")
    shutil.rmtree(workspace.work)
    with pytest.raises(ValueError, match=r"photos/a cannot be listed .* Labels of the data set are in"):
        shut(folder / "photos/a", planned)


def test_a_root_that_may_not_be_read_is_said_to_be_that(project):
    planned, _, folder = project
    with pytest.raises(ValueError, match=r"no photo was found .*photos cannot be listed \(Permission denied\)"):
        shut(folder / "photos", planned)


def test_odd_names_in_annotations_are_no_end_of_a_plan(project):
    _, workspace, folder = project
    names = ["0.jpg", "x" * 300 + ".jpg", "loop.jpg", "pipe.jpg", "../out.jpg", "/../etc/passwd"]
    (folder / "photos/loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "photos/pipe.jpg")
    images = [{"id": i, "file_name": name, "width": 9, "height": 9} for i, name in enumerate(names)]
    people = [{"id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 8, 8]} for i in range(len(names))]
    categories = [{"id": 1, "name": "person"}]
    content = {"images": images, "annotations": people, "categories": categories}
    (folder / "photos/all.json").write_text(json.dumps(content))
    layout = "{annotations: all.json, images: .}"
    manifest = write_manifest(folder / "few.yaml", "few", folder / "photos", layout=layout)
    manifest.write_text(
        manifest.read_text().replace("detector", "manifest").replace("adapter: folder", "adapter: coco")
    )
    plan = plan_of(AnnotateConfig(datasets=(str(folder / "few.yaml"),)), workspace)
    assert "6 photos" in plan.summary
    assert "2 x image_missing" not in plan.summary


def test_a_data_set_that_is_refused_as_a_whole_says_why(tmp_path):
    images = [coco_image(f"photo {number}", "1.jpg") for number in range(5)]
    manifest = write_coco(tmp_path, images, [coco_person(1)])
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    sentence = (
        r"6 x source_row_invalid\); a\.json images\[0\]: id must be a whole number, got \"photo 0\"\. .* 3 more\."
    )
    with pytest.raises(ValueError, match=sentence):
        plan_of(AnnotateConfig(datasets=(str(manifest),)), workspace)


def test_where_cameras_stand_is_no_input_of_the_parts():
    def hashes(**changed):
        said = {"focal_px": 500.0, "principal_px": (50.0, 50.0), "place": PLACE} | changed
        record = ImageRecord(image_id="a", path="a.jpg", people=(PersonRecord(index=0, track=3),), **said)
        manifest = load_manifest("demo_people")
        table = plan_table([record], replace(manifest, boxes="manifest"))
        images: Any = Nowhere()
        return plan_footer(ShardRef(dataset="d", split="s", index=0), table, [record], manifest, images).manifest

    usual = hashes()
    for changed in (
        {"focal_px": 600.0},
        {"principal_px": (40.0, 50.0)},
        {"place": replace(PLACE, time_s=1.0)},
        {"place": replace(PLACE, world_to_camera=np.eye(3, 4))},
        {"lens": LENS},
        {"lens": replace(LENS, model="fisheye")},
    ):
        other = hashes(**changed)
        assert other["parts_hash"] == usual["parts_hash"]
        assert other["inputs_hash"] != usual["inputs_hash"]
    assert hashes(place=replace(PLACE, frame=1))["parts_hash"] != usual["parts_hash"]
    assert "parts_hash" not in hashes(place=None)
    assert hashes(place=None)["inputs_hash"] != hashes(place=None, focal_px=600.0)["inputs_hash"]


def test_the_plan_of_photos_is_that_of_before_there_were_groups(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.png"):
        path = tmp_path / "photos" / name
        path.write_bytes(name.encode())
        os.utime(path, ns=(10**18, 10**18))
    write_manifest(tmp_path / "few.yaml", "few", tmp_path / "photos", layout="{frames: {}}")
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    plan_of(AnnotateConfig(datasets=(str(tmp_path / "few.yaml"),)), workspace)
    assert inputs(workspace, 1) == ["e60a4d635937c8e90e10b412c507e4d7bf08ed1e052d87b3df17116246601428"]
    assert "group" not in pq.read_schema(workspace.plan_path(ShardRef(dataset="few", split="all", index=0))).names


def test_a_plan_states_what_a_person_has_and_no_more_columns():
    truth = Truth3d(frame="world", keypoints_m=np.linspace(0, 1, 532, dtype=np.float32).reshape(133, 4))
    said = {"other_points": {"neck": np.array([3.0, 4.0, 1.0])}, "truth_3d": truth}
    records = [
        ImageRecord(image_id=str(i), path="a", people=(PersonRecord(index=0, **own),), lens=lens)
        for i, (own, lens) in enumerate([({}, None), (said, LENS)])
    ]
    manifest = replace(load_manifest("demo_people"), boxes="manifest")
    rows = plan_table(records, manifest).to_pylist()
    assert [row["other_points"] for row in rows] == [None, [("neck", [3, 4, 1])]]
    assert [row["lens_model"] for row in rows] == [None, "brown"]
    found = truth_3d_of(rows[1])
    assert found
    np.testing.assert_array_equal(found.keypoints_m, truth.keypoints_m)
    assert plan_table(records[:1], manifest).schema.names == PLAN_SCHEMA.names


def test_a_plan_states_the_lens_of_a_camera_that_is_no_pinhole():
    lenses = (LENS, CalibratedLens(model="fisheye", coefficients=(1.0, 2.0, 3.0, 4.0), focal_xy_px=(5.0, 5.0)), None)
    records = [
        ImageRecord(
            image_id=str(i), path="a", people=(PersonRecord(index=0),), lens=lens, place=replace(PLACE, frame=i)
        )
        for i, lens in enumerate(lenses)
    ]
    rows = plan_table(records, replace(load_manifest("demo_people"), boxes="manifest")).to_pylist()
    assert [row["lens_model"] for row in rows] == ["brown", "fisheye", None]
    np.testing.assert_allclose(rows[0]["lens_coefficients"], [0.1, 0, 0, 0, 0])
    assert [row["lens_coefficients"] for row in rows[1:]] == [[1, 2, 3, 4, 0], None]
    assert [row["focal_xy_px"] for row in rows] == [[510, 490], [5, 5], None]


def test_lenses_of_glasses_make_the_column_of_their_shard_wider_and_of_no_other(tmp_path):
    glasses = CalibratedLens(model="fisheye624", coefficients=tuple(np.arange(12.0).tolist()), focal_xy_px=(5.0, 5.0))
    manifest = replace(load_manifest("demo_people"), boxes="manifest")
    widths = {}
    for name, lenses in {"plain": (LENS, None), "wide": (LENS, glasses, None)}.items():
        records = [
            ImageRecord(image_id=str(i), path="a", people=(PersonRecord(index=0),), lens=lens, principal_px=(9.0, 9.0))
            for i, lens in enumerate(lenses)
        ]
        footer = Footer(config={}, code_version="1", manifest={}, shard="00000")
        write_shard(tmp_path / name, plan_table(records, manifest), footer)
        read = Columns(read_shard(tmp_path / name, plan_schema(optional=None)))
        widths[name] = read["lens_coefficients"].shape[1]
        assert [None if lens is None else lens.model for lens in map(lens_of, read.table.to_pylist())] == [
            None if lens is None else lens.model for lens in lenses
        ]
    assert widths == {"plain": 5, "wide": 12}
    assert lens_of(read.table.to_pylist()[1]).coefficients == glasses.coefficients

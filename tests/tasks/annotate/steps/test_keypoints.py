"""The first step of a shard: every image and every person that is planned has a row, with keypoints or a reason."""

from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import stub_estimators
from coco_files import HEIGHT, WIDTH, coco_image, coco_person, write_coco
from manifests import write_manifest
from permissions import permissions_hold
from PIL import Image
from plans import plan_footer_of, plan_of, write_plan
from scenes import camera_file, write_cameras, write_photo, write_scene_manifest
from table_rows import table_from_rows
from video_files import write_video

from datasets_manifest.adapters.base import ImageRecord, PersonRecord, Place
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, ErrorCode
from datasets_manifest.shards.store import write_shard
from model.estimators.base import EstimatorInfo, KeypointsOutput
from tasks.annotate.plan.plan_rows import plan_table
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps import keypoints as step
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.settings import EstimatorConfig

STUB = stub_estimators.StubKeypoints.info.name


def rows_of(folder, *data, **options):
    """Rows of the first shard of a COCO data set, with its own keypoints."""
    workspace = Workspace(work=folder / "work", labels=folder / "labels")
    source = str(write_coco(folder, *data, **options))
    config = AnnotateConfig(datasets=(source,), keypoints=EstimatorConfig(backend="annotations"))
    plan_of(config, workspace)
    return step.annotate_keypoints(ShardJob(ShardRef(dataset="group", split="val", index=0), workspace, config))


def sentence(table: pa.Table) -> Any:
    (detail,) = table["error_detail"].to_pylist()
    return detail


class Nobody:
    """Finds nobody and remembers where it looked."""

    info = EstimatorInfo(name="nobody", version="1")

    def __init__(self):
        self.seen = []

    def estimate(self, image, boxes, annotated):
        self.seen.append(image.image_id)
        return KeypointsOutput(
            boxes_xyxy=np.zeros((0, 4)), box_source=[], scores=np.zeros(0), keypoints=np.zeros((0, 133, 3)),
            sigma_px=np.zeros((0, 133)), part_valid=np.zeros((0, 4), bool), part_details=[], limb_details=[],
            valid=np.zeros(0, bool), reasons=[], evidence={},
        )  # fmt: skip


@pytest.fixture
def estimator(monkeypatch):
    nobody = Nobody()

    @contextmanager
    def lent(*_):
        yield nobody

    monkeypatch.setattr(step, "borrowed", lent)
    return nobody


def test_two_images_that_share_a_file_have_a_row_each(tmp_path, estimator):
    images = [coco_image(1, "same.jpg"), coco_image(2, "same.jpg"), coco_image(3, "other.jpg")]
    people = [coco_person(number, number) for number in (1, 2, 3)]
    table = rows_of(tmp_path, images, people, boxes="detector", keypoints="none")
    assert table["sample_id"].to_pylist() == ["group/val/1#0", "group/val/2#0", "group/val/3#0"]
    assert estimator.seen == ["group/val/1", "group/val/2", "group/val/3"]


def test_people_of_two_images_that_share_a_file_keep_their_rows(tmp_path):
    images = [coco_image(1, "same.jpg"), coco_image(2, "same.jpg")]
    table = rows_of(tmp_path, images, [coco_person(1, 1), coco_person(2, 1), coco_person(3, 2)])
    assert table["sample_id"].to_pylist() == ["group/val/1#0", "group/val/1#1", "group/val/2#0"]
    assert set(table["status"].to_pylist()) == {"ok"}


def test_annotations_on_a_photo_of_another_size_are_refused_with_both_sizes(tmp_path):
    table = rows_of(tmp_path, [coco_image(1, width=800, height=600)], [coco_person(1)])
    assert table["error_code"].to_pylist() == [ErrorCode.SOURCE_ROW_INVALID]
    assert sentence(table).startswith("1.jpg: the data set states 800 x 600 px, the photo has 80 x 120 px; give")
    assert (table["image_width"].to_pylist(), table["image_height"].to_pylist()) == ([WIDTH], [HEIGHT])


def test_a_photo_of_another_size_than_its_calibrated_camera_is_refused(tmp_path, estimator):
    for name in ("left/1", "left/2", "right/1"):
        write_photo(tmp_path / f"rig/{name}.jpg", (48, 32) if name == "left/2" else (96, 64))
    write_cameras(tmp_path / "rig/cameras.yaml", camera_file())
    source = write_scene_manifest(tmp_path / "rig", images="{camera}/{frame}.jpg", cameras="cameras.yaml", fps=10)
    config = AnnotateConfig(datasets=(str(source),))
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    plan_of(config, workspace)
    table = step.annotate_keypoints(ShardJob(ShardRef(dataset="rig", split="all", index=0), workspace, config))
    assert table["error_code"].to_pylist() == ["no_person_found", ErrorCode.SOURCE_ROW_INVALID, "no_person_found"]
    assert table["error_detail"][1].as_py() == (
        "left/2.jpg: the data set states 96 x 64 px, the photo has 48 x 32 px; give the photo that was annotated or "
        "calibrated, or correct what the data set states."
    )


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_annotations_on_a_photo_before_it_is_turned_are_refused_with_the_turn(tmp_path, orientation):
    table = rows_of(tmp_path, [coco_image(1)], [coco_person(1)], orientation=orientation)
    assert f"states 80 x 120 px, the photo has 120 x 80 px once it is turned as its EXIF orientation {orientation}" in (
        sentence(table)
    )


def test_annotations_on_the_turned_photo_are_taken(tmp_path):
    upright = coco_image(1, width=HEIGHT, height=WIDTH)
    table = rows_of(tmp_path, [upright], [coco_person(1, bbox=[5, 5, 100, 70])], orientation=6)
    assert (table["image_width"].to_pylist(), table["image_height"].to_pylist()) == ([HEIGHT], [WIDTH])
    assert sentence(table) is None


@pytest.mark.parametrize("stated", [{"width": ..., "height": ...}, {"width": ...}, {"height": ...}])
def test_a_size_that_is_not_stated_is_the_photos_own(tmp_path, stated):
    table = rows_of(tmp_path, [coco_image(1, **stated)], [coco_person(1)])
    assert (table["image_width"].to_pylist(), table["image_height"].to_pylist()) == ([WIDTH], [HEIGHT])
    assert sentence(table) is None


@pytest.mark.parametrize(("film_mm", "focal_px"), [(50, 50 * np.hypot(80, 120) / np.hypot(36, 24)), (None, 1.2 * 120)])
def test_the_focal_length_is_what_the_photo_states_or_else_assumed(tmp_path, film_mm, focal_px):
    table = rows_of(tmp_path, [coco_image(1)], [coco_person(1)], film_mm=film_mm)
    assert table["focal_px"].to_pylist() == [pytest.approx(focal_px)]


def test_a_stated_size_does_not_matter_where_nobody_is_annotated(tmp_path, estimator):
    table = rows_of(tmp_path, [coco_image(1, width=800)], [coco_person(1)], boxes="detector", keypoints="none")
    assert table["error_code"].to_pylist() == [ErrorCode.NO_PERSON_FOUND]
    assert estimator.seen == ["group/val/1"]


@pytest.mark.parametrize("status", ["ok", "failed"])
def test_a_photo_that_may_not_be_read_costs_no_good_label(tmp_path, status):
    rows_of(tmp_path, [coco_image(1), coco_image(2)], [coco_person(1, 1), coco_person(2, 2)])
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    shard = ShardRef(dataset="group", split="val", index=0)
    config = AnnotateConfig(keypoints=EstimatorConfig(backend="annotations"))
    key = {"dataset": "group", "split": "val", "person": 0} | {f"{part}_valid": True for part in PART_NAMES}
    code = None if status == "ok" else ErrorCode.IMAGE_MISSING
    labels = [
        key | {"sample_id": "group/val/1#0", "image": "1.jpg", "status": status, "error_code": code},
        key | {"sample_id": "group/val/2#0", "image": "2.jpg", "status": "ok"},
    ]
    footer = plan_footer_of(workspace, shard)
    write_shard(workspace.step_path("refine", shard), table_from_rows(labels, LABEL_SCHEMA), footer)
    (tmp_path / "1.jpg").chmod(0o000)
    with permissions_hold():
        if status == "ok":
            with pytest.raises(RuntimeError, match=r"1\.jpg .* may not be read by this user.* label stays"):
                step.annotate_keypoints(ShardJob(shard, workspace, config))
        else:
            table = step.annotate_keypoints(ShardJob(shard, workspace, config))
            assert table["error_code"].to_pylist() == [ErrorCode.IMAGE_MISSING, None]


def test_a_video_has_tracks_and_photos_beside_it_each_their_own(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    write_video(photos / "clip.avi", 4)
    (photos / "broken.jpg").write_bytes(b"no photo")
    Image.new("RGB", (WIDTH, HEIGHT), "grey").save(photos / "photo.jpg")
    manifest = write_manifest(tmp_path / "few.yaml", "few", photos, layout="{frames: {every: 1}}")
    config = AnnotateConfig(datasets=(str(manifest),), keypoints=EstimatorConfig(backend=STUB))
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    shard = ShardRef(dataset="few", split="all", index=0)
    plan_of(config, workspace)
    job = ShardJob(shard, workspace, config)
    table = step.annotate_keypoints(job)
    tracks = dict(zip(table["image"].to_pylist(), table["track"].to_pylist(), strict=True))
    assert tracks == {f"clip.avi::{frame:06d}": 0 for frame in range(4)} | {"photo.jpg": 0, "broken.jpg": None}
    write_shard(workspace.step_path("keypoints", shard), table, job.footer("keypoints"))
    assert job.columns("keypoints").has("track").tolist() == [track is not None for track in table["track"].to_pylist()]


def in_clip(number, *tracks, alone=False, refused=()):
    """Photo ``number`` of a clip, backwards: people beside each other, whose tracks the data set may know."""
    people = []
    for index, track in enumerate(tracks):
        box = np.array([25.0 * index, 5, 25 * index + 20, 105])
        points = np.linspace([*box[:2], 1], [*box[2:], 1], 133)
        code = ErrorCode.SOURCE_ROW_INVALID if index in refused else None
        people.append(
            PersonRecord(index=index, bbox_xyxy=box, keypoints=points, track=track, error_code=code, error_detail=code)
        )
    place = None if alone else Place(group="clip", frame=9 - number, time_s=0.1 * (9 - number))
    return ImageRecord(image_id=str(number), path=f"{number}.jpg", people=tuple(people), place=place)


def test_tracks_of_the_data_set_are_kept_and_who_is_not_known_has_a_number_beyond(tmp_path):
    records = [
        in_clip(1, None, 4),
        in_clip(2, None, 4, refused=[0, 1]),
        in_clip(3, None, 4),
        in_clip(4, None, 4),
        in_clip(5, None, None, alone=True),
    ]
    manifest = write_coco(tmp_path, [coco_image(number) for number in range(1, 6)], [coco_person(1)])
    (tmp_path / "3.jpg").write_bytes(b"no photo")
    config = AnnotateConfig(datasets=(str(manifest),), keypoints=EstimatorConfig(backend="annotations"))
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")
    shard = ShardRef(dataset="group", split="val", index=0)
    plan_of(config, workspace)
    write_plan(workspace, shard, plan_table(records, load_manifest(manifest)), plan_footer_of(workspace, shard))
    table = step.annotate_keypoints(ShardJob(shard, workspace, config))
    assert table["track"].to_pylist() == [5, 4, None, 4, None, 4, 5, 4, None, None]
    assert [code is None for code in table["error_code"].to_pylist()] == [True] * 2 + [False] * 4 + [True] * 4


def test_a_data_set_without_groups_has_no_tracks(tmp_path):
    assert "track" not in rows_of(tmp_path, [coco_image(1)], [coco_person(1)]).column_names

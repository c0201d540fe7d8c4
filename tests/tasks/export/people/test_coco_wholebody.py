"""COCO-WholeBody's JSON, read back through the adapter of the format: the labels' boxes and points."""

import json
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import load_manifest, open_adapter
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.rle import Rle, mask_column
from model.body import skeleton
from tasks.export.people.coco_wholebody import _segmentation

MANIFEST = """
id: again
version: "1"
licence: CC0
access: here
adapter: coco
root: {root}
split: val
layout: {{annotations: photos_all.json}}
boxes: manifest
keypoints: coco_wholebody
purpose: test
"""


@pytest.fixture(scope="module")
def folder(exported):
    return exported("coco-wholebody").folder


@pytest.fixture(scope="module")
def people(folder, columns):
    """Records of people by photo and number."""
    (folder / "again.yaml").write_text(MANIFEST.format(root=folder))
    for image in columns["image"]:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / image), np.zeros((2, 2, 3), np.uint8))
    entries = list(open_adapter(load_manifest(folder / "again.yaml")).entries())
    records = [entry for entry in entries if isinstance(entry, ImageRecord)]
    return {(record.path, person.index): person for record in records for person in record.people}


def test_the_adapter_reads_the_labels_back(people, columns, rows_of):
    assert len(people) == 6
    for row, (image, number) in enumerate(zip(columns["image"], columns["person"], strict=True)):
        person = people[image, number]
        np.testing.assert_allclose(person.bbox_xyxy, columns["bbox_xyxy"][row], atol=1e-3)
        wanted = np.array(columns["keypoints_2d"][row], np.float32)
        if row == rows_of[0]:
            wanted[skeleton.LEFT_HAND] = 0
        if row == rows_of[1]:
            wanted[[13, 15, 17, 18, 19]] = 0
        if row == rows_of[2]:
            wanted[skeleton.BODY_AND_FEET] = 0
        np.testing.assert_allclose(person.keypoints, wanted, atol=1e-4)


def test_what_may_not_supervise_is_said_as_the_format_says_it(folder, rows_of):
    rows = json.loads((folder / "photos_all.json").read_text())["annotations"]
    assert [row["lefthand_valid"] for row in rows] == [k != rows_of[0] for k in range(6)]
    assert rows[rows_of[0]]["lefthand_box"] == [0, 0, 0, 0]
    assert rows[rows_of[2]]["num_keypoints"] == 0
    assert rows[rows_of[1]]["num_keypoints"] == 15
    assert {row["iscrowd"] for row in rows} == {0}


def test_scores_become_the_nearest_flag_and_low_ones_are_no_points(columns, ehm, tmp_path):
    from moving_people import write_moving

    from tasks.display import Lines
    from tasks.export.run import ExportRequest, export_labels

    points = np.array(columns["keypoints_2d"][1], np.float32)
    scores = {5: 0.2, 6: 0.3, 7: 0.5, 8: 0.7, 9: 0.8, 100: 0.2, 101: 0.6}
    points[list(scores), 2] = list(scores.values())
    row = {name: values[1:2] for name, values in columns.items()} | {"keypoints_2d": [points]}
    write_moving(tmp_path / "labels", [row], ehm.assets.entry)
    request = ExportRequest(form="coco-wholebody", out=tmp_path)
    (written,) = export_labels(tmp_path / "labels", ehm, request, Lines(__import__("logging").getLogger("tests")))
    (person,) = json.loads((written.folder / "moving_all.json").read_text())["annotations"]
    flags = np.array(person["keypoints"]).reshape(17, 3)[:, 2]
    assert flags[5:10].tolist() == [0, 1, 1, 1, 2]
    hand = np.array(person["lefthand_kpts"]).reshape(21, 3)[:, 2]
    assert hand[[9, 10]].tolist() == [0, pytest.approx(0.6, abs=1e-4)]


def test_the_mask_of_a_person_is_the_segmentation():
    rle = Rle.of_runs([1, 2, 1], (2, 2))
    table = table_from_columns({"mask": [rle.value, None]}, pa.schema([mask_column()]))
    people: Any = SimpleNamespace(columns=Columns(table))
    assert [_segmentation(people, row) for row in (0, 1)] == [{"size": [2, 2], "counts": rle.counts.decode()}, []]
    people.columns = Columns(pa.table({"person": [0]}))
    assert _segmentation(people, 0) == []

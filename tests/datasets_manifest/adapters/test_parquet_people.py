"""SAM-3D-Body's tables: rows of one photo are its people, photos are where their data sets have them."""

import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inventories import inventory_of
from published_people import sam3d_person

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.rle import Rle


def adapter_of(root, *, boxes: Any = "manifest", keypoints: Any = "coco_wholebody", **layout):
    return open_adapter(
        Manifest(
            id="tables", version="1", licence="x", access="x", adapter="parquet_people", root=str(root), split="train",
            boxes=boxes, keypoints=keypoints, purpose="test", layout={"records": "sam3d_body", **layout},
        )
    )  # fmt: skip


def row(image="a.jpg", index=0, count=1, dataset="sa1b", **changes):
    person = sam3d_person(metadata=..., center=..., scale=...)
    found = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in person.items()}
    found |= {"dataset": dataset, "image": image, "subject_idx": index, "subject_cnt": count, "mask_size": [-1, -1]}
    found |= {"cam_int": [[900.0, 0, 320], [0, 900, 240], [0, 0, 1]], "mask_cnts": b"", "date": "2025-11"}
    return {key: value for key, value in (found | changes).items() if value is not ...}


def write(root, rows, name="000000.parquet"):
    pq.write_table(pa.Table.from_pylist(rows), root / name)
    return root


def test_two_rows_of_one_photo_that_is_not_there(tmp_path):
    """Golden example 15."""
    inventory = inventory_of(adapter_of(write(tmp_path, [row(index=0, count=2), row(index=1, count=2)])))
    (record,) = inventory.records
    assert (record.image_id, record.path, len(record.people)) == ("000000.parquet::0000000", "a.jpg", 2)
    assert (record.focal_px, record.principal_px, record.width) == (900, (320, 240), None)
    np.testing.assert_allclose(record.people[1].bbox_xyxy, [50, 20, 150, 240])
    assert (record.people[0].keypoints[:23, 2] == 1).all()
    assert record.people[0].truth_3d.keypoints_m[0, 3] == 1
    assert [(m.path, m.code, m.has_row) for m in inventory.missing] == [("a.jpg", ErrorCode.IMAGE_MISSING, True)]
    assert record.people[0].mask is None


@pytest.mark.parametrize(
    ("dataset", "image", "path"),
    [
        ("coco", "COCO_train2014_000000000009.jpg", "photos/train2014/COCO_train2014_000000000009.jpg"),
        ("mpii", "1.jpg", "photos/images/1.jpg"),
        ("aic", "0a.jpg", "photos/train/images/0a.jpg"),
        ("egoexo4d", "take/cam01/00001.jpg", "photos/take/cam01/00001.jpg"),
        ("sa1b", "sa_1.jpg", "photos/sa_1.jpg"),
    ],
)
def test_photos_are_where_their_data_set_has_them(tmp_path, dataset, image, path):
    (record,) = inventory_of(adapter_of(write(tmp_path, [row(image, dataset=dataset)]), images="photos")).records
    assert record.path == path


def test_people_of_photos_and_of_tables_are_told_apart(tmp_path):
    write(tmp_path, [row("b.jpg"), row("a.jpg", 0, 2), row("a.jpg", 1, 2), row("c.jpg", 0, 2)])
    write(tmp_path, [row("a.jpg")], "000001.parquet")
    inventory = inventory_of(adapter_of(tmp_path))
    assert [(r.path, len(r.people)) for r in inventory.records] == [
        ("b.jpg", 1), ("a.jpg", 2), ("c.jpg", 1), ("a.jpg", 1),
    ]  # fmt: skip
    ids = [record.image_id for record in inventory.records]
    assert ids == sorted(set(ids))
    assert inventory.notes["photos some of whose people the tables lack"] == 1


def test_masks_are_read_and_tell_the_size_of_the_photo(tmp_path):
    mask = Rle.of_polygons([np.array([[10.0, 10.0], [300.0, 20.0], [200.0, 400.0]])], (480, 640))
    rows = [row(index=0, count=2, mask_size=[480, 640], mask_cnts=mask.counts)]
    rows += [row(index=1, count=2, mask_size=[480, 640], mask_cnts=b"x")]
    inventory = inventory_of(adapter_of(write(tmp_path, rows)))
    assert (inventory.records[0].width, inventory.records[0].height) == (640, 480)
    one, other = inventory.records[0].people
    assert one.mask() == mask
    assert other.mask is None
    assert other.error_code is None
    problem = next(missing for missing in inventory.missing if missing.path.endswith("mask"))
    assert "the mask of 000000.parquet row 1" in problem.reason


def test_a_row_that_cannot_be_used_is_a_failed_person(tmp_path):
    rows = [row(index=0, count=2), row(index=1, count=2, bbox=[1.0, 2, 3])]
    inventory = inventory_of(adapter_of(write(tmp_path, rows)))
    assert [p.error_code for p in inventory.records[0].people] == [None, ErrorCode.SOURCE_ROW_INVALID]
    assert "bbox must be 4 numbers, got 3" in inventory.records[0].people[1].error_detail


def test_tables_that_cannot_be_read_are_told_before_the_first_photo(tmp_path):
    write(tmp_path, [row()])
    data = (tmp_path / "000000.parquet").read_bytes()
    (tmp_path / "000001.parquet").write_bytes(data[:-100])
    first, *_ = adapter_of(tmp_path).entries()
    assert (first.path, first.code) == ("000001.parquet", ErrorCode.LISTING_INCOMPLETE)


def test_a_table_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no column bbox"):
        inventory_of(adapter_of(write(tmp_path, [row(bbox=...)])))
    with pytest.raises(ValueError, match=r"no table in .* matches labels"):
        inventory_of(adapter_of(tmp_path, files=["labels/*.parquet"]))


def test_points_in_millimetres_stop_the_listing(tmp_path):
    points = [[x * 1000, y * 1000, z * 1000, s] for x, y, z, s in row()["keypoints_3d"]]
    with pytest.raises(ValueError, match="they are millimetres"):
        inventory_of(adapter_of(write(tmp_path, [row(keypoints_3d=points)])))


@pytest.mark.long
def test_the_listing_does_not_hold_the_rows(tmp_path, monkeypatch):
    table = pa.Table.from_pylist([row(f"{k:04d}.jpg") for k in range(300)])
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20)
    del table
    monkeypatch.setattr("datasets_manifest.adapters.parquet_people._ROWS_AT_ONCE", 8)
    monkeypatch.setattr("datasets_manifest.adapters.point_checks._PEOPLE", 8)
    entries = adapter_of(tmp_path).entries()
    tracemalloc.start()
    sizes = [tracemalloc.get_traced_memory()[0] for entry in entries if isinstance(entry, ImageRecord)]
    tracemalloc.stop()
    assert len(sizes) == 300
    assert max(sizes[200:]) < 1.3 * max(sizes[:100])

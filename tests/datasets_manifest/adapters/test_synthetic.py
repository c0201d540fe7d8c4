"""Rendered people: truth comes back in its shapes, and what is not there is reported."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inventories import inventory_of

from datasets_manifest.adapters.synthetic import TRUTH_SHAPES
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.sources.image_sources import open_images


def adapter_of(root, *, count=2, boxes="manifest", keypoints="coco_wholebody"):
    return open_adapter(
        Manifest(
            id="people", version="1", licence="x", access="x", adapter="synthetic", root=str(root), split="all",
            boxes=boxes, keypoints=keypoints, purpose="test", layout={"count": count, "seed": 1},
        )
    )  # fmt: skip


def truth_row(image, person=0):
    rng = np.random.default_rng(person)
    sizes = {name: int(np.prod([10 if n == -1 else n for n in shape])) for name, shape in TRUTH_SHAPES.items()}
    row = {name: rng.normal(size=size).astype(np.float32).tolist() for name, size in sizes.items()}
    row |= {
        "image": image,
        "person": person,
        "image_width": 320,
        "image_height": 240,
        "bbox_xyxy": [1.0, 2.0, 3.0, 4.0],
    }
    row |= {"focal_px": 384.0, "principal_px": [160.0, 120.0], "crop": "full", "is_child": False, "has_occluder": True}
    return row


@pytest.fixture
def people(tmp_path):
    """Two images, the second with two people."""
    rows = [truth_row("images/1.png", 1), truth_row("images/0.png"), truth_row("images/1.png", 0)]
    (tmp_path / "images").mkdir()
    for name in ("0.png", "1.png"):
        (tmp_path / "images" / name).write_bytes(name.encode())
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "truth.parquet")
    return tmp_path


def change(root, function):
    rows = pq.read_table(root / "truth.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist(function(rows)), root / "truth.parquet")


def test_images_people_and_truth_are_read(people):
    adapter = adapter_of(people)
    inventory = inventory_of(adapter)
    assert inventory.missing == ()
    assert [(r.image_id, len(r.people)) for r in inventory.records] == [("images/0", 1), ("images/1", 2)]
    record = inventory.records[1]
    assert (record.width, record.height, record.focal_px, record.principal_px) == (320, 240, 384.0, (160.0, 120.0))
    assert [p.index for p in record.people] == [0, 1]
    one = record.people[1]
    assert {name: one.truth[name].shape for name in ("body_pose", "eye_pose", "joints_cam_m", "has_occluder")} == {
        "body_pose": (21, 3),
        "eye_pose": (2, 3),
        "joints_cam_m": (55, 3),
        "has_occluder": (),
    }
    np.testing.assert_allclose(one.truth["transl_m"], truth_row("", 1)["transl_m"], rtol=1e-6)
    assert float(one.truth["has_occluder"]) == 1.0
    np.testing.assert_array_equal(one.keypoints, one.truth["keypoints_2d"])
    assert open_images(people).read(record.path) == b"1.png"
    assert set(dict(pack_arrays([one.truth])["evidence"][0].as_py())) == set(one.truth)


def test_boxes_and_keypoints_may_be_left_to_the_estimators(people):
    assert all(
        p.keypoints is None for r in inventory_of(adapter_of(people, keypoints="none")).records for p in r.people
    )
    detected = inventory_of(adapter_of(people, boxes="detector", keypoints="none"))
    assert all(record.people == () for record in detected.records)


def test_a_lost_picture_is_reported_and_keeps_its_people(people):
    (people / "images/1.png").unlink()
    inventory = inventory_of(adapter_of(people))
    assert inventory.num_people == 3
    assert [(m.path, m.code) for m in inventory.missing] == [("images/1.png", ErrorCode.IMAGE_MISSING)]


def test_another_number_of_pictures_than_promised_is_reported(people):
    (problem,) = inventory_of(adapter_of(people, count=64)).missing
    assert "says 64 images, the file has 2" in problem.reason


@pytest.mark.parametrize("value", [None, [0.0] * 5, [float("nan")] * 63])
def test_a_person_with_wrong_truth_fails_alone(people, value):
    change(people, lambda rows: [rows[0] | {"body_pose": value}, *rows[1:]])
    inventory = inventory_of(adapter_of(people))
    assert [p.error_code for r in inventory.records for p in r.people] == [None, None, ErrorCode.SOURCE_ROW_INVALID]
    assert [m.path for m in inventory.missing] == ["images/1.png#1"]


def test_a_path_that_leads_outside_is_reported(people):
    change(people, lambda rows: [rows[0], rows[1], rows[2] | {"image": "../../etc/passwd"}])
    missing = inventory_of(adapter_of(people, count=3)).missing
    assert [m.code for m in missing] == [ErrorCode.SOURCE_ROW_INVALID]


def test_people_that_are_not_rendered_yet(tmp_path):
    with pytest.raises(ValueError, match="render the synthetic people first"):
        inventory_of(adapter_of(tmp_path))


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_truth_file(tmp_path, content):
    (tmp_path / "truth.parquet").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        inventory_of(adapter_of(tmp_path))


def test_an_absent_column_is_named(people):
    change(people, lambda rows: [{k: v for k, v in row.items() if k != "betas"} for row in rows])
    with pytest.raises(ValueError, match=r"lacks the column.*betas"):
        inventory_of(adapter_of(people))

"""Rendered people: truth comes back in its shapes, and what is not there is reported."""

import numpy as np
import pytest
from inventories import inventory_of

from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, LABEL_FIELDS, LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sources.opening import open_images


def adapter_of(root, *, count=2, boxes="manifest", keypoints="coco_wholebody"):
    return open_adapter(
        Manifest(
            id="people", version="1", licence="x", access="x", adapter="synthetic", root=str(root), split="all",
            boxes=boxes, keypoints=keypoints, purpose="test", layout={"count": count, "seed": 1},
        )
    )  # fmt: skip


def write_truth(root, images):
    """A shard with a person for each name of an image, its place alone known."""
    count = len(images)
    rng = np.random.default_rng(0)
    columns = {
        "sample_id": [f"people/all/{row}#0" for row in range(count)],
        "dataset": ["people"] * count,
        "split": ["all"] * count,
        "image": images,
        "image_width": [320] * count,
        "image_height": [240] * count,
        "person": [images[:row].count(name) for row, name in enumerate(images)],
        "status": ["ok"] * count,
        "bbox_xyxy": np.tile([1.0, 2.0, 3.0, 4.0], (count, 1)),
        "keypoints_2d": rng.normal(size=(count, 133, 3)),
        "focal_px": [384.0] * count,
        "principal_px": np.tile([160.0, 120.0], (count, 1)),
        **{field.name: rng.normal(size=(count, *field.column_shape(DEFAULT_SIZE))) for field in LABEL_FIELDS},
        **{f"{part}_valid": [True] * count for part in PART_NAMES},
    }
    footer = Footer(config={}, code_version="x", manifest={}, shard="truth", body_model={})
    write_shard(root / "truth.parquet", table_from_columns(columns, LABEL_SCHEMA), footer)


@pytest.fixture
def people(tmp_path):
    """Two images, the second with two people."""
    write_truth(tmp_path, ["images/1.png", "images/0.png", "images/1.png"])
    (tmp_path / "images").mkdir()
    for name in ("0.png", "1.png"):
        (tmp_path / "images" / name).write_bytes(name.encode())
    return tmp_path


def test_images_people_and_truth_are_read(people):
    adapter = adapter_of(people)
    inventory = inventory_of(adapter)
    assert inventory.missing == ()
    assert [(r.image_id, len(r.people)) for r in inventory.records] == [("images/0", 1), ("images/1", 2)]
    record = inventory.records[1]
    assert (record.width, record.height, record.focal_px, record.principal_px) == (320, 240, 384.0, (160.0, 120.0))
    assert [p.index for p in record.people] == [0, 1]
    one, rows = record.people[1], Columns(read_shard(people / "truth.parquet", LABEL_SCHEMA))
    assert one.truth.keys() == set(LABEL_PARAMETERS)
    for name, values in one.truth.items():
        np.testing.assert_array_equal(values, rows[name][2])
    assert one.truth["eye_pose"].shape == (2, 3)
    np.testing.assert_array_equal(one.bbox_xyxy, [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(one.keypoints, rows["keypoints_2d"][2])
    assert open_images(people).read(record.path) == b"1.png"
    assert set(dict(pack_arrays([one.truth], "truth")["truth"][0].as_py())) == set(one.truth)


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


def test_a_path_that_leads_outside_is_reported(people):
    write_truth(people, ["images/1.png", "images/0.png", "../../etc/passwd"])
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

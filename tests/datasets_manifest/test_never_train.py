"""What methods are compared on is not learnt from: told by the name of the data set, its footer, and its photos."""

import json

import numpy as np
import pyarrow as pa
import pytest
from label_shards import footer
from table_rows import table_from_rows

from datasets_manifest import never_train
from datasets_manifest.manifest import load_manifest
from datasets_manifest.never_train import check_may_train, never_trained
from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, field_note
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet
from datasets_manifest.shards.store import shard_path, write_shard
from tasks.training.labelled_photos import open_labelled


@pytest.fixture(autouse=True)
def anew():
    """What is remembered of the data sets is of the working folder."""
    never_train._own_keys.cache_clear()


@pytest.mark.parametrize("name", [manifest.id for manifest in never_trained()])
def test_benchmarks_are_refused_by_name(tmp_path, name):
    with pytest.raises(ValueError, match=f"are of the data set {name}, which methods are compared on"):
        check_may_train(tmp_path, {"id": name}, [])


def test_a_data_set_of_somebodys_own_is_refused_by_its_footer(tmp_path):
    with pytest.raises(ValueError, match="of the data set mine"):
        check_may_train(tmp_path, {"id": "mine", "never_train": "true"}, [])
    check_may_train(tmp_path, {"id": "mine"}, ["1.jpg"])


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("3dpw.tar::imageFiles/downtown_arguing_00/image_00000.jpg", "pw3d_sequences"),
        ("outdoors_crosscountry_00/image_00011.png", "pw3d_sequences"),
        ("EHF/01_img.png", "ehf"),
        ("ag_testset_3dpeople_bfh_archviz_5_10_cam00_00000_1280x720.png", "agora_test"),
        ("validation/ag_validationset_renderpeople_bfh_hdri_50mm_5_15_00103.png", "agora_validation"),
        ("03_fencing/003_fencing/cam01/00001.jpg", "egohumans_test"),
        ("test/01_hugging/001_hugging/cam01/00001.jpg", "harmony4d_test"),
        ("val/000342_mpii_test/000000.jpg", "posetrack18_val"),
        ("images/S9_Directions_1.54138969_000001.jpg", "human36m_p2"),
    ],
)
def test_each_benchmark_knows_its_photos_in_the_trees_in_use(tmp_path, image, name):
    with pytest.raises(ValueError, match=f"are those of {name}, such as"):
        check_may_train(tmp_path, {"id": "mine"}, [image])


@pytest.mark.parametrize(
    "image",
    [
        "ag_trainset_renderpeople_bfh_archviz_5_10_cam02_00001.png",
        "04_basketball/001_basketball/cam01/00001.jpg",
        "train/01_hugging/001_hugging/cam01/00001.jpg",
        "h36m-train/S1_Directions_1.54138969_000001.jpg",
        "mine/image_00000.jpg",
    ],
)
def test_photos_of_their_training_parts_are_learnt_from(tmp_path, image):
    check_may_train(tmp_path, {"id": "mine"}, [image])


def test_photos_of_ehf_outside_its_folder_are_told_where_ehf_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_may_train(tmp_path, {"id": "mine"}, ["101_img.png"])
    (tmp_path / "data/EHF").mkdir(parents=True)
    for number in ("01", "02"):
        (tmp_path / f"data/EHF/{number}_img.png").write_bytes(b"png")
        (tmp_path / f"data/EHF/{number}_2Djnt.json").write_text(
            '{"people": [{"pose_keypoints_2d": [1, 1, 1, 9, 9, 1]}]}'
        )
    never_train._own_keys.cache_clear()
    with pytest.raises(ValueError, match=r"are those of ehf, such as 02_img\.jpg"):
        check_may_train(tmp_path, {"id": "mine"}, ["02_img.jpg"])


@pytest.mark.parametrize("image", ["val2017/000000000139.jpg", "archive.tar::coco/val2017/000000000139.jpg"])
def test_photos_of_a_benchmark_in_another_data_set_are_refused_and_named(tmp_path, image):
    with pytest.raises(ValueError, match=f"1 of the 2 photos of the labels in .* coco_wholebody_val, such as {image}:"):
        check_may_train(tmp_path, {"id": "mine"}, [image, "train2017/000000000009.jpg"])


def test_photos_under_another_name_are_told_where_the_benchmark_is_there(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    images = ["COCO_train2014_000000000139.jpg", "COCO_train2014_000000000009.jpg"]
    check_may_train(tmp_path, {"id": "mine"}, ["1.jpg"])
    assert not caplog.records
    check_may_train(tmp_path, {"id": "mine"}, images)
    assert "called like those of coco_wholebody_val; whether they are those cannot be told: " in caplog.text
    layout = load_manifest("coco_wholebody_val").typed_layout
    annotations = tmp_path / "data/coco" / layout.annotations[0]
    annotations.parent.mkdir(parents=True)
    rows = [{"id": 139, "file_name": "000000000139.jpg"}]
    person = {"id": 1, "image_id": 139, "category_id": 1, "bbox": [1, 2, 3, 4]}
    annotations.write_text(json.dumps({"images": rows, "annotations": [person]}))
    never_train._own_keys.cache_clear()
    with pytest.raises(ValueError, match=r"1 of the 2 photos .* such as COCO_train2014_000000000139\.jpg:"):
        check_may_train(tmp_path, {"id": "mine"}, images)
    check_may_train(tmp_path, {"id": "mine"}, images[1:])


def test_a_training_refuses_them_and_an_evaluation_does_not(tmp_path):
    lists = {field: int(field_note(field, "length")) for field in LABEL_SCHEMA if field_note(field, "length")}
    row = {f.name: np.ones(n, bool if pa.types.is_boolean(f.type.value_type) else float) for f, n in lists.items()}
    row |= {"sample_id": "coco_wholebody_val/val/1#0", "dataset": "coco_wholebody_val", "split": "val", "person": 0}
    row |= {"image": "1.jpg", "status": "ok", "focal_px": 500.0, **{f"{part}_valid": True for part in PART_NAMES}}
    (tmp_path / "1.jpg").write_bytes(b"jpeg")
    stated = footer(manifest=load_manifest("coco_wholebody_val").footer)
    write_shard(shard_path(tmp_path, "labels", "val", 0), table_from_rows([row], LABEL_SCHEMA), stated)
    entry = LabelSet(path=str(tmp_path / "labels"), images=str(tmp_path))
    options = {"max_dropped_share": 1.0, "body_model": stated.body_model, "size": BodySize()}
    with pytest.raises(ValueError, match="coco_wholebody_val, which methods are compared on"):
        open_labelled(entry, LabelFilter(), **options)
    assert open_labelled(entry, LabelFilter(), **options, is_learnt_from=False).selection.num_rows == 1


@pytest.mark.parametrize("pattern", ["(", r"(?<=a/)b"])
def test_a_pattern_that_is_none_is_refused(pattern):
    with pytest.raises(ValueError, match=r"photo_names\[0\]: expected a regular expression \(.*got '\("):
        never_train.Manifest(
            id="a", version="1", licence="x", access="x", adapter="folder", root="x", split="all", boxes="detector",
            keypoints="none", purpose="x", photo_names=(pattern,),
        )  # fmt: skip


def test_frames_of_ubody_are_told_by_their_video():
    (manifest,) = (each for each in never_trained() if each.id == "ubody_test")
    names = ["images/Talk/a_S1_Trim2/a_S1_Trim2/000001.png", "b/000001.png", "c/000001.jpg"]
    assert [list(never_train._keys(name, manifest)) for name in names] == [["a_S1"], ["b"], []]

"""What a data set names and no row can be made of is found again after the run, with its reason."""

import csv
import os
import sys

import pytest
from annotated_project import LOG, annotate
from coco_files import coco_image, coco_person, write_coco
from manifests import write_manifest
from stub_estimators import write_photos, write_stub_params

from flows.run.artifacts import failures_markdown
from flows.run.orchestrate import run
from flows.run.runners import LocalRunner
from tasks.annotate.look.failures import list_failures
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import Workspace


def failures_of(params):
    """Name, code and reason of each, as the last run wrote them and as they are listed."""
    origin = Origin.of(params)
    listed = [
        (failure.sample_id, failure.code, failure.reason, failure.retry)
        for failure in list_failures(Workspace.of(origin.config().output), origin)
    ]
    with (params.parent / "reports/annotate/failures.csv").open(encoding="utf-8", newline="") as file:
        written = [
            tuple(row[name] for name in ("sample_id", "code", "reason", "retry")) for row in csv.DictReader(file)
        ]
    assert written == listed
    return listed


def test_images_and_annotations_without_a_row_are_in_the_table_until_they_are_corrected(tmp_path):
    params = write_stub_params(tmp_path)
    images = [coco_image(1), {"id": "one", "file_name": "1.jpg"}]
    people = [coco_person(1), coco_person(2, image=7)]
    manifest = write_coco(tmp_path, images, people, boxes="detector", keypoints="none")
    result = annotate(params, datasets=[str(manifest)])
    (image, person) = failures_of(params)
    assert image[:3] == ("a.json images[1]", "source_row_invalid", 'id must be a whole number, got "one".')
    assert person[0] == "a.json annotations[1]"
    assert person[2] == "annotation 2 is of image 7, which is not in the list of images."
    assert image[3] == f"pear annotate {manifest} --root group={tmp_path} --params {params}"
    assert result.publication.failures.codes == {"source_row_invalid": 2}
    assert "# 2 failures\n" in failures_markdown(result.publication.failures, tmp_path)
    write_coco(tmp_path, images[:1], people[:1], boxes="detector", keypoints="none")
    annotate(params, datasets=[str(manifest)])
    assert failures_of(params) == []


def test_what_has_a_row_is_told_once(tmp_path):
    params = write_stub_params(tmp_path)
    manifest = write_coco(tmp_path, [coco_image(1)], [coco_person(1), coco_person(2, bbox=[1, 2, 0, 4])])
    annotate(params, datasets=[str(manifest)], keypoints__backend="annotations")
    names = [name for name, *_ in failures_of(params)]
    assert names.count("group/val/1#1") == 1
    assert all(name.startswith("group/val/") for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse the name themselves")
def test_a_name_that_is_not_utf_8_is_in_the_table(tmp_path):
    params = write_stub_params(tmp_path)
    photos = write_photos(tmp_path / "photos", ["a.png"])
    os.link(photos / "a.png", os.fsencode(photos) + b"/b\xff.png")
    annotate(params, datasets=[str(write_manifest(tmp_path / "few.yaml", "few", photos))])
    ((name, code, reason, _),) = failures_of(params)
    assert (name, code) == ("b\\xff.png", "source_row_invalid")
    assert "UTF-8" in reason


@pytest.mark.parametrize("replace", [False, True])
def test_a_data_set_that_cannot_be_annotated_is_refused_before_another_is_planned(tmp_path, replace):
    params = write_stub_params(tmp_path)
    good = write_coco(tmp_path, [coco_image(1)], [coco_person(1)])
    (tmp_path / "empty").mkdir()
    if replace:
        annotate(params, datasets=[str(good)], keypoints__backend="annotations")
    before = sorted(tmp_path.rglob("*.parquet"))
    origin = Origin.of(params, {"datasets": [str(good), str(tmp_path / "empty")]})
    config = origin.config()
    with pytest.raises(ValueError, match=r"data set empty: no photo was found"):
        run(config, lambda _: LocalRunner(config.run, LOG), LOG, origin=origin, replace=replace)
    assert sorted(tmp_path.rglob("*.parquet")) == before
    assert bool(before) == replace
    assert bool(list((tmp_path / "work").rglob("*.json"))) == replace

"""Two splits under one id are two data sets: shards, photos of the report and files never get mixed up."""

import base64
import io
import re

import numpy as np
import pytest
from annotated_project import annotate
from manifests import write_manifest
from PIL import Image
from stub_estimators import write_photos, write_stub_params

from tasks.annotate.photos import _source
from tasks.annotate.workspace import ShardRef, Workspace

RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
def project(tmp_path):
    """Settings, and the manifests of a red and a blue split of one photo each."""
    red = write_manifest(tmp_path / "train.yaml", "two", write_photos(tmp_path / "red", ["1.png"], RED), "train")
    blue = write_manifest(tmp_path / "val.yaml", "two", write_photos(tmp_path / "blue", ["1.png"], BLUE), "val")
    return write_stub_params(tmp_path), str(red), str(blue)


def pictures(page):
    """How much redder than blue the picture of each card is, by sample."""
    found = {}
    for data, sample in re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"[^>]*alt="([^"]+)"', page.read_text()):
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        red, _, blue = picture.mean((0, 1))
        found[sample] = red - blue
    return found


@pytest.mark.long
def test_the_report_draws_the_photo_of_the_right_split(project):
    params, red, blue = project
    annotate(params, datasets=[red])
    annotate(params, datasets=[blue])
    drawn = pictures(params.parent / "reports/annotate/index.html")
    assert drawn["two/train/1.png#0"] > 10
    assert drawn["two/val/1.png#0"] < -10


@pytest.mark.long
@pytest.mark.parametrize("lost", ["red", "train.yaml", "work/plan/two/train/source.json"])
def test_a_data_set_that_is_gone_costs_its_pictures_and_not_the_run(project, lost):
    params, red, blue = project
    annotate(params, datasets=[red])
    (params.parent / lost).rename(params.parent / "gone")
    _source.cache_clear()  # As in a process of its own.
    assert annotate(params, datasets=[blue]).is_good
    page = params.parent / "reports/annotate/index.html"
    assert set(pictures(page)) == {"two/val/1.png#0"}
    assert re.search(r"The photo cannot be shown: .*(does not exist|no manifest|cannot be read)", page.read_text())


@pytest.mark.long
def test_shards_that_are_no_longer_planned_are_those_of_the_split(project):
    params, red, blue = project
    write_photos(params.parent / "red", ["2.png", "3.png"], RED)
    write_photos(params.parent / "blue", ["2.png", "3.png"], BLUE)
    annotate(params, datasets=[red])
    annotate(params, datasets=[blue])
    for name in ("2.png", "3.png"):
        (params.parent / "blue" / name).unlink()
    annotate(params, datasets=[blue])
    workspace = Workspace(work=params.parent / "work", labels=params.parent / "labels")
    second = [ShardRef(dataset="two", split=split, index=1) for split in ("train", "val")]
    assert [workspace.step_path("refine", shard).is_file() for shard in second] == [True, False]


@pytest.mark.long
def test_photos_are_found_from_any_folder(project, monkeypatch, tmp_path):
    params, *_ = project
    write_manifest(tmp_path / "here.yaml", "here", "red")
    monkeypatch.chdir(tmp_path)
    annotate(params, datasets=["here.yaml"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert annotate(params, datasets=[project[2]]).is_good
    assert "here/all/1.png#0" in pictures(tmp_path / "reports/annotate/index.html")

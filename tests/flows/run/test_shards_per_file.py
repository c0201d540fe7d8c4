"""Labels in files of several shards, from photos to every reader of labels."""

import json

import pandas as pd
import pytest
from annotated_project import annotate
from manifests import write_manifest
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner

from flows.cli.app import app
from tasks.annotate.settings import Origin, load_config
from tasks.annotate.workspace import Workspace
from tasks.view.index import LabelIndex
from tasks.view.index_file import open_index
from tasks.view.state import Opened
from tasks.view.words import commands

pytestmark = pytest.mark.long
PHOTOS = [f"{n}.png" for n in range(5)]


def pear(*words):
    answer = CliRunner().invoke(app, [str(word) for word in words])
    return answer.exit_code, answer.output


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Settings of five photos in five shards, whose labels are in three files."""
    write_photos(tmp_path / "near", PHOTOS)
    write_manifest(tmp_path / "near.yaml", "near", tmp_path / "near")
    params = write_stub_params(tmp_path, images_per_shard=1)
    params.write_text(params.read_text() + "  datasets: [near.yaml]\n  output: {shards_per_file: 2}\n")
    monkeypatch.chdir(tmp_path)
    assert annotate(params).is_good
    return params


def files(project):
    return {path.name: path.stat().st_ino for path in sorted((project.parent / "labels/near/all").iterdir())}


def test_a_photo_that_changes_changes_one_file(project):
    before, labels = files(project), project.parent / "labels"
    assert list(before) == ["00000-00001.parquet", "00002-00003.parquet", "00004-00005.parquet"]
    assert annotate(project).is_good
    assert files(project) == before
    write_photos(project.parent / "near", ["2.png"], (200, 120, 150))
    assert annotate(project).is_good
    after = files(project)
    assert [name for name in before if after[name] != before[name]] == ["00002-00003.parquet"]
    parts = sorted((project.parent / "work/parts/refine/near/all").iterdir())
    assert len(parts) == len(PHOTOS)
    found = pd.read_parquet(labels)
    assert found["sample_id"].tolist() == [f"near/all/{name}#0" for name in PHOTOS]
    pd.testing.assert_frame_equal(
        found[pd.read_parquet(parts[0]).columns], pd.concat(map(pd.read_parquet, parts), ignore_index=True)
    )
    (project.parent / "near/4.png").unlink()
    assert annotate(project).is_good
    assert list(files(project)) == ["00000-00001.parquet", "00002-00003.parquet"]
    (labels / "near/all/00002-00003.parquet").unlink()
    assert annotate(project).is_good
    assert len(pd.read_parquet(labels)) == 4


def test_commands_that_look_at_labels(project, tmp_path):
    code, said = pear("verify")
    assert (code, "near/all: 5 shards, 5 photos: 5 people" in said) == (0, True), said
    (project.parent / "work/parts/refine/near/all/00004.parquet").unlink()
    code, said = pear("status")
    assert "4 of 5 shards" in said, said
    assert annotate(project).is_good
    code, said = pear("inspect", "near/all/3.png#0", "--out", tmp_path / "sample.png")
    assert code == 0, said
    code, said = pear("lineage", project.parent / "labels/near/all/00002-00003.parquet")
    assert (code, "photos near 1" in said) == (0, True), said
    code, said = pear("failures")
    assert code == 0, said
    code, said = pear("stats")
    assert code == 0, said
    code, said = pear("export", "--out", tmp_path / "out", "--to", "coco-wholebody")
    assert code == 0, said
    written = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("*.json")]
    assert [len(own["annotations"]) for own in written if "annotations" in own] == [5]
    code, said = pear("retry", "near/all/00003", "--local")
    assert code == 0, said
    assert pear("verify")[0] == 0


def test_the_page_of_a_person_names_the_shard(project, tmp_path):
    index = LabelIndex(open_index(project.parent / "labels", tmp_path / "index"))
    assert len(index) == len(PHOTOS)
    number = index.number("near/all/3.png#0")
    label = index.label(number)
    assert label.row["sample_id"] == "near/all/3.png#0"
    assert label.path.name == "00002-00003.parquet"
    origin = Origin.of(project)
    told = commands(Opened(labels=index.root, config=origin.config(), origin=origin), label)
    assert [words.split()[1] for words in told] == ["inspect", "retry"]
    assert "near/all/00003" in told[1]


def test_a_range_without_labels_is_told(project):
    path = project.parent / "labels/near/all/00002-00003.parquet"
    path.unlink()
    code, said = pear("verify")
    assert "2 of 5 planned shards of near/all have no labels (00002, 00003)" in said, (code, said)


def test_another_setting_is_refused_or_begun_anew(project):
    before = files(project)
    with pytest.raises(ValueError, match="files of several shards each"):
        annotate(project, output__shards_per_file=1)
    assert files(project) == before
    assert annotate(project, output__shards_per_file=3).is_good
    assert list(files(project)) == ["00000-00002.parquet", "00003-00005.parquet"]
    code, said = pear("annotate", "--local", "--replace", "--set", "output.shards_per_file=1")
    assert code == 0, said
    assert list(files(project)) == [f"{n:05d}.parquet" for n in range(5)]
    with pytest.raises(ValueError, match="files of one shard each"):
        annotate(project)
    assert Workspace.of(load_config(project).output).shards_per_file == 2

"""One id is one folder of photos: labels of a folder are never replaced by those of another unless asked for."""

import pandas as pd
import pytest
from manifests import write_manifest
from restored import Restored
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner

from datasets_manifest.shards.shard import read_footer
from flows.cli.app import app


def pear(*words):
    answer = CliRunner().invoke(app, [str(word) for word in words])
    return answer.exit_code, " ".join(answer.output.split())


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "running" not in path.parts}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """Folder in which the photos of folder ``a`` are annotated as my_photos; ``b`` has others."""
    folder = tmp_path_factory.mktemp("another_root") / "project"
    write_photos(folder / "a", ["1.png", "2.png", "3.png"])
    write_photos(folder / "b", ["1.png", "9.png"])
    write_stub_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert pear("annotate", "my_photos", "--root", "my_photos=a")[0] == 0
    return Restored(folder)


@pytest.fixture
def project(annotated, monkeypatch):
    """That folder as the working folder."""
    folder = annotated()
    monkeypatch.chdir(folder)
    return folder


def people(project, dataset="my_photos"):
    return pd.read_parquet(project / "labels" / dataset)["image"].tolist()


@pytest.mark.parametrize(
    "lost", [pytest.param("", marks=pytest.mark.long), "labels", "work/plan/my_photos/all/00000-00255.parquet"]
)
def test_another_folder_is_refused_and_nothing_changes(project, lost):
    if lost:
        (project / lost).rename(project / "lost")
    before = files(project)
    status, said = pear("annotate", "my_photos", "--root", "my_photos=b")
    assert status == 2
    for word in (f"from {project / 'a'}", f"from {project / 'b'}", "--id NAME", "--replace"):
        assert word in said
    assert files(project) == before


def test_a_data_set_that_is_refused_stops_those_beside_it(project):
    write_manifest(project / "new.yaml", "new", "b")
    assert pear("annotate", "new.yaml", "my_photos", "--root", "my_photos=b")[0] == 2
    assert not (project / "work/plan/new").exists()


@pytest.mark.long
def test_another_id_has_labels_of_its_own_that_can_be_done_again(project):
    status, _ = pear("annotate", "my_photos", "--root", "my_photos=b", "--id", "trip")
    assert (status, people(project), people(project, "trip")) == (0, ["1.png", "2.png", "3.png"], ["1.png", "9.png"])
    assert read_footer(project / "labels/trip/all/00000.parquet").manifest["id"] == "trip"
    assert pear("retry", "trip/0")[0] == 0
    assert pear("inspect", "trip/all/9.png#0", "--out", "drawn.png")[0] == 0
    assert pear("verify")[0] == 0


def test_an_id_is_of_one_data_set(project):
    assert "--id is the id of one data set" in pear("annotate", "--id", "x")[1]
    assert "becomes part of a path" in pear("annotate", "my_photos", "--id", "x/y")[1]


def test_the_old_labels_are_set_aside_when_asked_for(project, caplog):
    old = files(project / "labels")
    status, _ = pear("annotate", "my_photos", "--root", "my_photos=b", "--replace")
    assert (status, people(project)) == (0, ["1.png", "9.png"])
    assert "my_photos/all, begun anew: 2 shards set aside in" in caplog.text
    kept = {path.read_bytes() for path in (project / "work/stale").rglob("labels/**/*.parquet")}
    assert kept == set(old.values())
    assert pear("annotate", "my_photos", "--root", "my_photos=b")[0] == 0


def test_what_cannot_be_annotated_replaces_nothing(project):
    before = files(project / "labels")
    assert pear("annotate", "my_photos", "--root", "my_photos=nowhere", "--replace")[0] == 2
    assert files(project / "labels") == before


def test_a_folder_of_another_name_for_the_same_place_is_no_other(project):
    assert pear("annotate", "my_photos", "--root", f"my_photos={project}/b/../a")[0] == 0


def test_the_same_photos_may_be_moved(project):
    (project / "a").rename(project / "moved")
    before = files(project / "labels")
    assert pear("annotate", "my_photos", "--root", "my_photos=moved")[0] == 0
    assert files(project / "labels") == before
    assert pear("retry", "my_photos/0")[0] == 0


@pytest.mark.long
def test_an_edit_of_the_manifest_is_no_other_data_set(project):
    manifest = write_manifest(project / "mine.yaml", "mine", "a")
    assert pear("annotate", "mine.yaml")[0] == 0
    manifest.write_text(manifest.read_text().replace('version: "1"', 'version: "2"').replace("CC0", "CC-BY"))
    before = files(project / "labels")
    assert pear("annotate", "mine.yaml")[0] == 0
    assert files(project / "labels") == before

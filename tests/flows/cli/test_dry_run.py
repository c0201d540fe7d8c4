"""``pear annotate --dry-run``: what there is to do, and not a file of it."""

import pytest
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner

from flows.cli.app import app


@pytest.fixture
def project(tmp_path, monkeypatch):
    write_photos(tmp_path / "trip", ["1.png", "2.png", "3.png"])
    write_stub_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pear(*words):
    answer = CliRunner().invoke(app, list(words))
    return answer.exit_code, answer.output.splitlines()


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_nothing_is_written_and_all_is_to_do_at_first(project):
    before = files(project)
    code, lines = pear("annotate", "trip", "--dry-run")
    assert code == 0
    assert lines[0].startswith("trip/all: 3 photos")
    assert lines[0].endswith("; 2 shards: 0 done, 2 to do")
    assert lines[1] == "2 shards to do"
    assert files(project) == before


def test_what_is_new_is_to_do_and_the_time_is_that_of_earlier_shards(project):
    assert pear("annotate", "trip")[0] == 0
    assert pear("annotate", "trip", "--dry-run")[1][-1] == "0 shards to do"
    write_photos(project / "trip", ["0.png"])
    before = files(project)
    _, lines = pear("annotate", "trip", "--dry-run")
    assert lines[0].endswith("; 3 shards: 2 done, 1 to do")
    assert lines[1].startswith("1 shard to do, about 0:0")
    assert files(project) == before
    changed = pear("annotate", "trip", "--dry-run", "--set", "refine.iterations=3")[1]
    assert changed[0].endswith("; 3 shards: 0 done, 3 to do")


def test_people_that_are_still_to_be_rendered_are_counted(project):
    _, lines = pear("annotate", "demo_people", "demo_rig", "--dry-run")
    assert lines[0] == "demo_people/all: 64 photos to render first"
    assert lines[1] == "demo_rig/all: 32 photos to render first"
    assert not (project / "work").exists()


def test_what_would_be_refused_is_refused(project):
    assert pear("annotate", "nowhere", "--dry-run")[0] == 2

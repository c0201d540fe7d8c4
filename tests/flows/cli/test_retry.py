"""``pear retry`` as it is printed and typed: a shard once more, with the settings and photos of its data set."""

import csv
import json
import re
import shlex
from html import unescape

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifests import write_manifest
from restored import Restored
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner

from datasets_manifest.shards.shard import read_footer
from flows.cli.app import app

SHIFT, REFUSE = "keypoints.options.shift=0.1", "keypoints.options.refuse=true"


def pear(*words):
    answer = CliRunner().invoke(app, [str(word) for word in words])
    return answer.exit_code, answer.output


def files(folder):
    """Every file of labels and parts with its inode: a file that was replaced has another."""
    return {
        path: path.stat().st_ino for root in ("labels", "work/parts") for path in (folder / root).rglob("*.parquet")
    }


def write_project(root):
    """Writes a working folder with settings, and photos for two shards elsewhere; returns the folder."""
    folder = root / "it's #1"
    write_photos(root / "photos", ["1.png", "2.png", "3.png"])
    write_photos(folder / "near", ["1.png"])
    write_manifest(folder / "near.yaml", "near", "near")
    write_stub_params(folder)
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = write_project(tmp_path)
    monkeypatch.chdir(folder)
    return folder


RUNS = {
    "root": ("my_photos", "--root", "my_photos=../photos"),
    "manifest": ("near.yaml",),
    "settings": ("my_photos", "--root", "my_photos=../photos", "--set", SHIFT),
    "folders": ("near.yaml", "--set", "output.labels=my labels", "--set", "output.work=w"),
    "params": ("near.yaml", "--params", "other.yaml"),
}


@pytest.fixture(scope="module")
def two_shards(tmp_path_factory):
    """Photos elsewhere, annotated."""
    root = tmp_path_factory.mktemp("retry") / "root"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(write_project(root))
        assert pear("annotate", *RUNS["root"])[0] == 0
    return Restored(root)


@pytest.fixture
def annotated(two_shards, monkeypatch):
    """Working folder in which two shards of photos that lie elsewhere are annotated."""
    folder = two_shards() / "it's #1"
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS)
def test_every_printed_command_does_its_shard_again(project, monkeypatch, words):
    (project / "other.yaml").write_text((project / "params.yaml").read_text())
    pear("annotate", *words, "--set", REFUSE)
    places = [word for word in words if word.startswith("output.")]
    where = [word for place in places for word in ("--set", place)]
    where += words[words.index("--params") :] if "--params" in words else []
    _, told = pear("failures", *where)
    with (project / "reports/annotate/failures.csv").open() as file:
        in_csv = {row["retry"] for row in csv.DictReader(file)}
    page = (project / "reports/annotate/index.html").read_text()
    assert {unescape(found) for found in re.findall(r"<code>(pear retry [^<]*)</code>", page)} == in_csv
    commands = set(re.findall(r"\[(pear retry .*)\]$", told, re.MULTILINE))
    # A file is read in any folder; here the usual settings file goes without saying.
    usual = f" {shlex.join(['--params', str(project / 'params.yaml')])}"
    is_usual = not any("--params" in command for command in commands)
    assert {command.removesuffix(usual) if is_usual else command for command in in_csv} == commands
    assert all("--params" in command for command in in_csv)
    whole = json.loads(pear("failures", *where, "--json")[1])
    assert {failure["retry"] for failure in whole["failures"]} == commands
    assert sum(own["count"] for own in whole["codes"].values()) == whole["count"] == len(whole["failures"])
    code, own = next(iter(whole["codes"].items()))
    assert told.startswith(f"{own['count']} {code}: {own['what_to_do']}\n")
    labels = project / ("my labels" if places else "labels")
    (project.parent / "elsewhere").mkdir()
    for command in commands | in_csv:
        monkeypatch.chdir(project.parent / "elsewhere" if command in in_csv else project)
        name = re.search(r"(\w+/all/\d{5})", command)[1]
        path = labels / f"{name}.parquet"
        before, config = path.stat().st_ino, read_footer(path).config_hash
        status, said = pear(*shlex.split(command)[1:])
        assert "again" in said or status == 1, said
        assert path.stat().st_ino != before
        assert read_footer(path).config_hash == config


@pytest.mark.long
def test_the_old_files_are_kept_and_the_others_stay(annotated):
    before = files(annotated)
    assert pear("retry", "my_photos/1")[0] == 0
    replaced = {path for path, inode in files(annotated).items() if before[path] != inode}
    assert {path.name for path in replaced} == {"00001.parquet"}
    assert len(replaced) == 5
    assert {path.stat().st_ino for path in (annotated / "work/stale").rglob("*.parquet")} == {
        before[path] for path in replaced
    }


@pytest.mark.parametrize("step", [pytest.param("keypoints", marks=pytest.mark.long), "refine"])
def test_labels_stay_where_they_are_while_the_new_ones_are_made(annotated, monkeypatch, step):
    import flows.run.runners

    before = files(annotated)

    def stopped(_job):
        raise KeyboardInterrupt

    monkeypatch.setitem(flows.run.runners.STEP_FUNCTIONS, step, stopped)
    assert pear("retry", "my_photos/0")[0] != 0
    label = annotated / "labels/my_photos/all/00000.parquet"
    assert label.stat().st_ino == before[label]


def gone_root(project):
    (project.parent / "photos").rename(project.parent / "gone")


def gone_record(project):
    (project / "work/plan/my_photos/all/source.json").unlink()


def gone_settings(project):
    (project / "params.yaml").rename(project / "gone.yaml")


@pytest.mark.parametrize(
    ("name", "break_it", "sentence"),
    [
        ("my_photos/7", None, "shard my_photos/all/00007 was never planned"),
        ("nobody/0", None, "no such data set is planned; those planned are: my_photos/all"),
        ("my_photos/0", gone_root, "photos does not exist"),
        ("my_photos/0", gone_record, "where it came from cannot be read"),
        ("my_photos/0", gone_settings, "does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence_and_changes_nothing(annotated, name, break_it, sentence):
    if break_it:
        break_it(annotated)
    before = files(annotated)
    status, said = pear("retry", name, "my_photos/1")
    assert (status, sentence in " ".join(said.split())) == (2, True), said
    assert files(annotated) == before
    assert not (annotated / "work/stale").exists()


@pytest.mark.parametrize("change", [pytest.param("option", marks=pytest.mark.long), "file"])
def test_settings_that_the_rest_of_the_data_set_does_not_have_are_refused(annotated, change):
    words = ["--set", SHIFT] if change == "option" else []
    if change == "file":
        text = (annotated / "params.yaml").read_text()
        (annotated / "params.yaml").write_text(text.replace("iterations: 2", "iterations: 3"))
    before = files(annotated)
    status, said = pear("retry", "my_photos/0", *words)
    assert status == 2
    assert "the rest of my_photos/all" in said
    assert files(annotated) == before
    assert pear("retry", "my_photos/0", "my_photos/1", *words)[0] == 0


def test_with_a_server_up_the_flow_does_it(annotated, monkeypatch):
    import flows.annotate
    import flows.cli.annotate

    asked = {}

    class State:
        name, message = "Completed", "done"

        def is_completed(self):
            return True

    monkeypatch.setattr(flows.cli.annotate, "has_server", lambda: True)
    monkeypatch.setattr(flows.annotate, "annotate_part_labels", lambda **given: asked.update(given) or State())
    assert pear("retry", "my_photos/1") == (0, "done\n")
    assert (asked["shards"], asked["again"]) == (["my_photos/all/00001"], True)
    assert asked["overrides"]["roots"] == {"my_photos": str(annotated.parent / "photos")}


def test_a_file_of_somebody_else_under_the_name_of_a_shard_is_refused(project):
    theirs = project / "labels/my_photos/all/00000.parquet"
    pear("annotate", *RUNS["root"])
    pq.write_table(pa.table({"x": [1]}), theirs)
    before = theirs.read_bytes()
    status, said = pear("annotate", *RUNS["root"])
    assert status == 1, said
    assert theirs.read_bytes() == before
    assert "is a Parquet file that this project did not write" in pear("failures")[1]
    theirs.unlink()
    assert pear("annotate", *RUNS["root"])[0] == 0

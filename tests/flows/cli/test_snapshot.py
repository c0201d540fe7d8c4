"""``pear snapshot``: DVC has the files, git the tag, a remote like S3 gives them back."""

import os
import subprocess
import sys
import time

import pyarrow as pa
import pytest
import yaml
from label_shards import footer, label_table
from local_s3 import bucket  # noqa: F401 (a fixture)
from typer.testing import CliRunner

from datasets_manifest.shards.store import write_shard
from flows.cli.app import app

LABEL = "labels/demo/all/00000.parquet"


def said(folder, *words):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dvc(folder, *words):
    return said(folder, sys.executable, "-m", "dvc", *words)


def pear(*words):
    done = CliRunner().invoke(app, ["snapshot", *words])
    return done.exit_code, done.output


def labels(folder, count=3):
    table = label_table()
    for index in range(count):
        for name, ending in (("sample_id", "#{}"), ("image", "")):
            place, prefix = table.column_names.index(name), "demo/all/" if ending else ""
            values = pa.array([f"{prefix}{index}.jpg{ending.format(row)}" for row in range(table.num_rows)])
            table = table.set_column(place, table.schema.field(name), values)
        write_shard(folder / f"labels/demo/all/{index:05d}.parquet", table, footer())


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for key, value in {"NAME": "Anna", "EMAIL": "anna@example.com"}.items():
        monkeypatch.setenv(f"GIT_AUTHOR_{key}", value)
        monkeypatch.setenv(f"GIT_COMMITTER_{key}", value)
    (tmp_path / "params.yaml").write_text("annotate: {datasets: []}\n")
    (tmp_path / ".gitignore").write_text("/labels/\n/work/\n")
    labels(tmp_path)
    said(tmp_path, "git", "init", "-q")
    return tmp_path


def test_a_name_that_is_none_is_refused_before_anything_is_looked_at(project):
    for words in (["../v1"], ["../v1", "--check"]):
        code, told = pear(*words)
        assert (code, "cannot be called" in told) == (2, True)


@pytest.fixture
def versioned(project):
    dvc(project, "init", "-q")
    return project


def test_without_dvc_it_says_what_to_type(project):
    code, told = pear("v1")
    assert code == 2
    assert "`dvc init` makes it one" in told


@pytest.mark.long
def test_it_is_a_data_set_of_dvc_with_a_tag_and_comes_back(versioned):
    (versioned / "mine.py").write_text("x = 1\n")
    said(versioned, "git", "add", "mine.py")
    code, told = pear("v1", "--note", "first")
    assert code == 0, told
    assert "9 people of demo/all (first)" in told
    assert "is committed and has the tag snapshot/v1" in told
    committed = said(versioned, "git", "show", "--stat", "--format=", "snapshot/v1")
    assert "snapshots/v1.dvc" in committed
    assert "mine.py" not in committed, "what else was being prepared is nobody's business"
    (out,) = yaml.safe_load((versioned / "snapshots/v1.dvc").read_text())["outs"]
    assert (out["path"], out["nfiles"]) == ("v1", 5)
    before = (versioned / "snapshots/v1" / LABEL).read_bytes()
    said(versioned, "rm", "-r", "snapshots/v1")
    dvc(versioned, "checkout", "snapshots/v1.dvc")
    assert (versioned / "snapshots/v1" / LABEL).read_bytes() == before
    assert pear("v1", "--check") == (0, "snapshots/v1: every file is as it was taken\n")
    code, told = pear("v1")
    assert (code, "there is a snapshot v1 already" in told) == (2, True)
    assert pear()[1].startswith("v1 ")


@pytest.mark.long
def test_one_that_was_stopped_before_its_tag_gets_it(versioned):
    assert pear("v1", "--no-tag")[0] == 0
    taken = (versioned / "snapshots/v1/snapshot.json").read_bytes()
    code, told = pear("v1")
    assert (code, "has the tag snapshot/v1" in told) == (0, True), told
    assert (versioned / "snapshots/v1/snapshot.json").read_bytes() == taken


@pytest.mark.long
def test_outside_of_git_the_file_of_dvc_is_the_tag(project):
    said(project, "rm", "-rf", ".git")
    dvc(project, "init", "-q", "--no-scm")
    code, told = pear("v1")
    assert (code, "snapshots/v1.dvc names it" in told) == (0, True), told
    assert pear("v1")[0] == 2


@pytest.mark.long
def test_a_remote_like_s3_gives_it_back(versioned, bucket):  # noqa: F811
    pytest.importorskip("dvc_s3", reason="needs dvc-s3 (extra s3)")
    dvc(versioned, "remote", "add", "-d", "cloud", f"{bucket}/snapshots")
    dvc(versioned, "remote", "modify", "cloud", "endpointurl", os.environ["AWS_ENDPOINT_URL"])
    code, told = pear("v1", "--push")
    assert (code, "pushed to the default remote" in told) == (0, True), told
    before = (versioned / "snapshots/v1" / LABEL).read_bytes()
    said(versioned, "rm", "-r", "snapshots/v1", ".dvc/cache")
    dvc(versioned, "pull", "-q", "snapshots/v1.dvc")
    assert (versioned / "snapshots/v1" / LABEL).read_bytes() == before
    assert pear("v1", "--check")[0] == 0


@pytest.mark.long
def test_a_remote_that_is_not_there_is_told_in_its_words(versioned):
    assert pear("v1", "--remote", "nowhere")[0] == 2
    assert os.path.isfile("snapshots/v1.dvc"), "the snapshot itself is taken"
    dvc(versioned, "remote", "add", "elsewhere", str(versioned / "elsewhere"))
    assert pear("v1", "--remote", "elsewhere") == (0, "pushed to elsewhere\n"), "and is sent when there is one"


@pytest.mark.long
def test_one_that_could_not_be_tagged_is_tagged_the_next_time(versioned):
    said(versioned, "git", "config", "tag.gpgSign", "true")
    said(versioned, "git", "config", "gpg.program", "/bin/false")
    assert "it has no tag, since git tag says" in pear("v1")[1]
    said(versioned, "git", "config", "--unset", "tag.gpgSign")
    assert "has the tag snapshot/v1" in pear("v1")[1]


@pytest.mark.promise(
    23,
    "DVC copes with many shards, and no task calls it",
    "a snapshot of 5,000 shard files in 60 s; no DVC call in what annotates",
)
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_thousand_files_take_less_than_a_minute(versioned, measured):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        labels(versioned, 5000)
    CliRunner().invoke(app, ["verify"])  # The journal then knows the files, as after a run.
    started = time.monotonic()
    assert pear("v1")[0] == 0
    seconds = time.monotonic() - started
    measured(f"5,000 files in {seconds:.1f} s")
    assert seconds < 60

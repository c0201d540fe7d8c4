"""A run whose labels and parts lie in a bucket: the same bytes as on a disk, resumed, looked at, begun anew."""

import json
import re
import shutil
from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import pyarrow.dataset
import pytest
from local_s3 import bucket, make_falter  # noqa: F401 (a fixture)
from small_pages import small_pages
from stub_estimators import write_photos, write_stub_params
from typer.testing import CliRunner
from watched_estimators import SECONDS, WatchedProject

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.stores import get, listed, place_of, put, state_of, stated_of

pytestmark = pytest.mark.long


def pear(*words):
    with small_pages():
        answer = CliRunner().invoke(app(), [str(word) for word in words])
    assert not answer.exception or isinstance(answer.exception, SystemExit), answer.exception
    return answer.exit_code, answer.output


def app():
    from flows.cli.app import app

    return app


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with settings and five photos, annotated on its disk."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.chdir(tmp_path)
    write_stub_params(tmp_path)
    write_photos(tmp_path / "photos", [f"{number}.png" for number in range(5)])
    assert pear("annotate", "photos", "--local")[0] == 0
    return tmp_path


def placed_in(bucket):  # noqa: F811
    """Settings that put labels and parts into a bucket, all else into folders of their own."""
    places = {"labels": f"{bucket}/labels", "parts": f"{bucket}/parts", "work": "other/work"}
    places |= {"report": "other/report", "metrics": "other/metrics/all.json"}
    return [word for name, place in places.items() for word in ("--set", f"output.{name}={place}")]


def contents(root):
    """The bytes of every shard below a place, by its path below it."""
    if isinstance(root, Path):
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}
    return {entry.path.removeprefix(f"{root}/"): get(place_of(entry.path)) for entry in listed(root)}


def states(root):
    return {entry.path: entry.stat() for entry in listed(root)}


def test_files_of_several_shards_in_a_bucket(project, bucket):  # noqa: F811
    two = ["--set", "output.shards_per_file=2"]
    here = [*two, "--set", "output.labels=joined", "--set", "output.work=own/work"]
    assert pear("annotate", "photos", "--local", *here)[0] == 0
    settings, labels = [*placed_in(bucket), *two], place_of(f"{bucket}/labels")
    assert pear("annotate", "photos", "--local", *settings)[0] == 0
    assert contents(labels) == contents(project / "joined")
    assert list(contents(labels)) == [f"photos/all/{name}.parquet" for name in ("00000-00001", "00002-00003")]
    first = states(labels)
    shutil.rmtree(project / "other/work")  # As on another machine.
    assert pear("work", "photos", *settings)[0] == 0
    assert states(labels) == first
    write_photos(project / "photos", ["4.png"], (200, 120, 150))
    assert pear("annotate", "photos", "--local", *settings)[0] == 0
    assert [path for path in first if states(labels)[path] != first[path]] == [
        f"{labels}/photos/all/00002-00003.parquet"
    ]
    assert len(pd.read_parquet(str(labels))) == 5
    assert pear("verify", "--deep", *settings)[0] == 0
    code, told = pear("annotate", "photos", "--local", *here, "--set", f"output.labels={labels}")
    assert (code, "give an address in the store (output.parts)" in told) == (2, True)


def test_a_run_into_a_bucket(project, bucket):  # noqa: F811
    settings, labels, parts = placed_in(bucket), place_of(f"{bucket}/labels"), place_of(f"{bucket}/parts")
    assert "3 shards: 0 done, 3 to do" in pear("annotate", "photos", "--dry-run", *settings)[1]
    assert pear("annotate", "photos", "--local", *settings)[0] == 0
    assert contents(labels) == contents(project / "labels") != {}
    assert contents(parts) == contents(project / "work/parts") != {}
    assert not [path.name for path in project.iterdir() if ":" in path.name]
    assert not list((project / "other").rglob("keypoints"))

    # The plan is there too: a worker with an empty folder finds all done.
    first = states(labels) | states(parts)
    assert (project / "other/work/plan/photos/all/planned.json").is_file()
    (project / "other/work").rename(project / "away")
    assert pear("work", "photos", *settings)[0] == 0
    assert states(labels) | states(parts) == first
    assert not (project / "other/work/stale").exists()
    shutil.rmtree(project / "other/work")
    (project / "away").rename(project / "other/work")

    # What is done stays; that is known by the journal, without it by metadata, without these by footers.
    for journal in sorted((project / "other/work/state").glob("*")):
        journal.unlink()
    assert "3 shards: 3 done, 0 to do" in pear("annotate", "photos", "--dry-run", *settings)[1]
    assert pear("annotate", "photos", "--local", *settings)[0] == 0
    assert states(labels) | states(parts) == first
    one = labels / "photos/all/00000.parquet"
    assert stated_of(one)["config-hash"] == json.loads(read_metadata(one)[b"config_hash"])
    put(one, get(one))
    assert stated_of(one) == {}
    assert pear("annotate", "photos", "--local", *settings)[0] == 0
    assert stated_of(one) == {}

    code, told = pear("status", *settings)
    assert (code, "all: 3 of 3 shards labelled" in told) == (0, True)
    assert pear("verify", "--deep", *settings)[0] == 0
    assert pear("failures", *settings)[1].strip() == "0 failures"
    assert pear("inspect", "photos/all/1.png#0", "--out", "one.png", *settings)[0] == 0
    assert pear("stats", *settings)[0] == 0
    assert pear("export", "photos", "--to", "coco-wholebody", *settings)[0] == 0

    # A file that was lost or damaged is made again.
    (parts / "body/photos/all/00001.parquet").unlink()
    put(one, b"no parquet")
    code, told = pear("verify", *settings)
    assert (code, f"{one} cannot be read" in told) == (2, True)
    anew = [
        *settings,
        "--set",
        "output.work=empty/work",
        "--set",
        "run.images_per_shard=1",
    ]  # Shards are cut as planned.
    assert "3 shards: 2 done, 1 to do" in pear("annotate", "photos", "--dry-run", *anew)[1]
    assert not (project / "empty").exists()
    assert pear("annotate", "photos", "--local", *settings)[0] == 0
    assert contents(labels) == contents(project / "labels")
    assert contents(parts) == contents(project / "work/parts")

    # Doing again and beginning anew keep what is replaced.
    assert pear("retry", "photos/all/00001", "--local", *settings)[0] == 0
    kept = contents(project / "other/work/stale")
    assert sorted(re.sub("^[^/]*/", "", name) for name in kept if "labels" in name) == [
        "labels/photos/all/00001.parquet"
    ]
    assert len(kept) == 5
    assert pear("annotate", "photos", "--replace", "--local", *settings)[0] == 0
    assert len(contents(project / "other/work/stale")) == 5 + 5 * 3 + 1  # Of the plan one file
    assert contents(labels) == contents(project / "labels")


def test_a_store_that_seldom_answers_at_once_ends_no_worker(project, bucket):  # noqa: F811
    with pytest.MonkeyPatch.context() as patch:
        asked = make_falter(patch)
        code, told = pear("work", "photos", *placed_in(bucket))
    assert code == 0, told
    assert asked["pipe_file"] > 30
    assert contents(place_of(f"{bucket}/labels")) == contents(project / "labels")


def read_metadata(place):
    with fsspec.filesystem("s3").open(str(place)) as file:
        return pyarrow.parquet.ParquetFile(file).metadata.metadata


def test_photos_of_a_bucket_and_readers_of_its_labels(project, bucket):  # noqa: F811
    for photo in (project / "photos").iterdir():
        put(place_of(f"{bucket}/photos/{photo.name}"), photo.read_bytes())
    assert pear("annotate", f"{bucket}/photos", "--local", *placed_in(bucket))[0] == 0
    labels = f"{bucket}/labels"
    for path in shard_files(labels):
        here = project / "labels" / str(path).removeprefix(f"{labels}/")
        assert read_shard(path, LABEL_SCHEMA).equals(read_shard(here, LABEL_SCHEMA))
    assert pear("inspect", "photos/all/1.png#0", "--out", "one.png", *placed_in(bucket))[0] == 0
    code, told = pear("annotate", f"{bucket}/empty", "--local", *placed_in(bucket))
    assert (code, f"no photo was found in {bucket}/empty" in told) == (2, True)

    # A photo that changes is seen by its state, its shard alone is done again.
    before = states(place_of(labels))
    photo = place_of(f"{bucket}/photos/0.png")
    put(photo, get(photo) + b"\0")
    assert state_of(photo).st_size > 0
    assert pear("annotate", f"{bucket}/photos", "--local", *placed_in(bucket))[0] == 0
    changed = {path for path, state in states(place_of(labels)).items() if state != before[path]}
    assert changed == {f"{labels}/photos/all/00000.parquet"}

    store = fsspec.filesystem("s3")
    assert len(pd.read_parquet(f"{labels}/photos/")) == 5
    assert pyarrow.dataset.dataset(labels.removeprefix("s3://"), filesystem=store).count_rows() == 5
    connection = duckdb.connect()
    connection.register_filesystem(store)
    found = connection.sql(f"select count(*), sum(body_valid::int) from read_parquet('{labels}/*/*/*.parquet')")
    assert found.fetchall() == [(5, 5)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_workers_that_share_a_bucket_and_no_folder_do_each_shard_once(tmp_path, bucket):  # noqa: F811
    project = WatchedProject(tmp_path, photos=4)
    assert project.run("annotate", "--local")[0] == 0
    by_one = project.labels()
    project.clear()
    workers = []
    for name in ("one", "two"):
        places = [f"work={name}/work", f"report={name}/report", f"metrics={name}/metrics.json"]
        places += [f"labels={bucket}/labels", f"parts={bucket}/parts"]
        settings = [word for place in places for word in ("--set", f"output.{place}")]
        workers.append(project.start("work", *settings, **{SECONDS: "1"}))
    said = [worker.communicate(timeout=170) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    labels = place_of(f"{bucket}/labels")
    assert {name.rpartition("/")[2]: data for name, data in contents(labels).items()} == by_one
    assert sorted(photo for _, photo in project.begun) == [f"{number:02d}.png" for number in range(4)]
    assert len({process for process, _ in project.begun}) == 2
    assert list(listed(labels / ".claims")) == []

"""A publication stands until something that decides it changes; then it is made again, and says the same as ever."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_project import annotate
from manifests import write_manifest
from stub_estimators import write_photos, write_stub_params

import tasks.annotate.run.publish as publishing
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.store import write_shard
from tasks.annotate.plan.plan import DatasetPlan
from tasks.annotate.run import published
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import ShardRef, SplitShards, Workspace


class Project:
    """Two shards of photos that are annotated, and how often their labels were read to be published."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.reads = folder, 0
        write_photos(folder / "near", ["1.png", "2.png", "3.png"])
        self.manifest = write_manifest(folder / "near.yaml", "near", folder / "near")
        self.params = write_stub_params(folder)
        self.params.write_text(self.params.read_text() + "  datasets: [near.yaml]\n")
        self.shards = SplitShards("near", "all", range(2))
        self.overrides = {}

        def read(*given, whole=publishing.read_snapshot, **named):
            self.reads += 1
            return whole(*given, **named)

        monkeypatch.setattr(publishing, "read_snapshot", read)
        assert annotate(self.params).is_good
        self.workspace = Workspace.of(self.origin.config().output)

    @property
    def origin(self):
        return Origin.of(self.params, self.overrides)

    def publish(self):
        """Publishes all shards."""
        plan = DatasetPlan(manifest=load_manifest(str(self.manifest)), shards=self.shards, summary="")
        return publishing.publish(self.workspace, self.origin.config(), [plan], self.shards, {}, self.origin)

    def publishes_anew(self):
        """Whether it does; what is said is then said again without reading anything."""
        before, said = self.reads, self.publish()
        assert said is not None
        is_anew, self.reads = self.reads > before, 0
        assert self.publish() == said
        assert not self.reads
        return is_anew


pytestmark = pytest.mark.long


@pytest.fixture
def project(tmp_path, monkeypatch):
    return Project(tmp_path, monkeypatch)


def outputs(project):
    files = [path for name in ("reports", "metrics") for path in (project.folder / name).rglob("*") if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def touch(path):
    """Changes when a file was changed."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


def test_what_is_published_stands_and_says_the_same_as_one_made_anew(project):
    first = project.publish()
    assert first.count.people == 3
    assert first.worst is not None
    files, reads = outputs(project), project.reads
    assert {path.name for path in files} >= {
        "index.html",
        "failures.csv",
        "annotate.json",
        "near.json",
        "reprojection.png",
    }
    assert project.publish() == first
    assert (project.reads, outputs(project)) == (reads, files)
    (project.workspace.work / "published.json").unlink()
    assert project.publish() == first
    assert project.reads == reads + 1


def rewrite_label(project):
    touch(project.workspace.labels / "near/all/00001.parquet")


def add_labels_of_others(project):
    with Shard(project.workspace.labels / "near/all/00001.parquet") as shard:
        table = shard.table(LABEL_SCHEMA)
        for name, text in (("sample_id", "far/all/3.png#0"), ("dataset", "far")):
            field = LABEL_SCHEMA.field(name)
            table = table.set_column(table.column_names.index(name), field, pa.array([text]).cast(field.type))
        write_shard(project.workspace.labels / "far/all/00000.parquet", table, shard.footer)


def fail(project):
    path = project.workspace.failure_path("hands", ShardRef(dataset="near", split="all", index=1))
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"message": "out of memory"}))


def refuse(project):
    project.workspace.refused_path(("near", "all")).write_text(json.dumps(["4.png", "image_missing: gone"]) + "\n")


def change_setting(project):
    project.overrides = {"refine.iterations": 3}


def move_data(project):
    project.manifest.write_text(project.manifest.read_text().replace('version: "1"', 'version: "2"'))


def ask_for_one_shard(project):
    project.shards = SplitShards("near", "all", [1])


def delete_page(project):
    (project.folder / "reports/annotate/index.html").unlink()


def edit_figures(project):
    with (project.folder / "metrics/annotate.json").open("a") as file:
        file.write(" ")


def delete_summary(project):
    (project.folder / "metrics/summary/near.json").unlink()


def edit_failures(project):
    touch(project.folder / "reports/annotate/failures.csv")


def delete_plot(project):
    (project.folder / "reports/annotate/reprojection.png").unlink()


def damage_record(project):
    (project.workspace.work / "published.json").write_bytes(b"{")


CHANGES = [
    *(rewrite_label, add_labels_of_others, fail, refuse, change_setting, move_data, ask_for_one_shard, delete_page),
    *(edit_figures, delete_summary, edit_failures, delete_plot, damage_record),
]


@pytest.fixture
def plain_page(monkeypatch):
    """The page is not drawn, which takes most of the time of so few people."""

    def write_report(_labels, _photo, _body, page, *, plot, retry):
        page.write_text("page")
        plot.write_text("plot")

    monkeypatch.setattr(publishing, "write_report", write_report)


def test_any_change_is_published_anew(project, plain_page):
    project.publishes_anew()
    for change in CHANGES:
        assert not project.publishes_anew(), change
        change(project)
        assert project.publishes_anew(), change


def test_a_photo_that_could_not_be_drawn_is_drawn_when_it_is_back(project):
    photos, away = project.folder / "near", project.folder / "away"
    photos.rename(away)
    photos.mkdir()
    rewrite_label(project)
    assert project.publishes_anew(), "the first page has the photos"
    assert "cannot be shown" in (project.folder / "reports/annotate/index.html").read_text()
    photos.rmdir()
    away.rename(photos)
    assert project.publishes_anew()
    assert "cannot be shown" not in (project.folder / "reports/annotate/index.html").read_text()


def always_reads(project):
    for _ in range(2):
        reads = project.reads
        project.publish()
        assert project.reads == reads + 1
    return True


def test_labels_with_faults_are_read_each_time(project, plain_page):
    damaged = project.workspace.labels / "near/all/00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert always_reads(project)
    assert "00001.parquet" in project.publish().warning


def test_labels_are_compared_anew_when_files_of_known_people_change(project, plain_page, monkeypatch):
    monkeypatch.setattr(published, "can_know", lambda _: True)
    assert project.publishes_anew(), "before, nobody was known"
    assert not project.publishes_anew()
    known = project.folder / "near/known/people.json"
    known.parent.mkdir()
    for text in ("[]", "[0]"):
        known.write_text(text)
        assert project.publishes_anew()
        assert not project.publishes_anew()
    (project.folder / "near/linked").symlink_to(project.folder / "metrics")
    assert always_reads(project), "what is behind a link to a folder"


def test_files_that_got_columns_are_read_once_more(project, plain_page):
    path = project.workspace.labels / "near/all/00001.parquet"
    with Shard(path) as shard:
        assert "mask" in shard.schema.names
        write_shard(path, shard.table(LABEL_SCHEMA), shard.footer)
    reads = []
    for _ in range(3):
        project.publish()
        reads.append(project.reads)
    assert reads == [2, 3, 3]


def test_foreign_files_are_told_of_each_time(project, plain_page, caplog):
    pq.write_table(pa.table({"a": [1]}), project.workspace.labels / "near/all/own.parquet")
    for _ in range(2):
        caplog.clear()
        project.publish()
        assert any("not written by this project" in message for message in caplog.messages)

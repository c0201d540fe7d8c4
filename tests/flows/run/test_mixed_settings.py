"""Other runs, settings and data sets beside a run: nothing is mixed, and its verdict is about its own data."""

import logging
import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_project import PEOPLE, annotate, own_results
from typer.testing import CliRunner

import flows.run.runners
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, ErrorCode
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.shards.store import write_shard
from flows.cli.app import app
from model.estimators import register
from model.estimators.refusals import Refusal
from model.estimators.simulated import SimulatedKeypoints
from model.renderer.overlay import encode_png
from tasks.annotate.look.status import dataset_states
from tasks.annotate.look.verify import verify_labels
from tasks.annotate.settings import Origin, load_config
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import STEP_FUNCTIONS
from tasks.annotate.steps.step import run_step
from tasks.annotate.workspace import STEPS, ShardRef, Workspace

OTHER = {"keypoints.options": {"seed": 99}}
FIRST = ShardRef(dataset="few", split="all", index=0)


@pytest.fixture
def places(rendered, tmp_path):
    """Folders of the test's own."""
    return own_results(rendered, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("overtaken", ["body", "refine"])
def test_a_step_refuses_files_that_another_run_put_there_meanwhile(rendered, places, monkeypatch, overtaken):
    """The other run does the whole first shard just before a step of this run reads it."""
    other = load_config(rendered, {key.replace("__", "."): value for key, value in places.items()} | OTHER)
    annotate(rendered, **places, keypoints__options={"seed": 7})
    whole = dict(STEP_FUNCTIONS)

    def after_the_other_run(job):
        if job.shard == FIRST:
            overtaking = ShardJob(FIRST, Workspace.of(other.output), other)
            for step in STEPS:
                run_step(step, overtaking, whole[step])
        return whole[overtaken](job)

    monkeypatch.setitem(flows.run.runners.STEP_FUNCTIONS, overtaken, after_the_other_run)
    # One worker: of several, another could have read the keypoints before they were overtaken, and nothing is mixed.
    result = annotate(rendered, **places, run__workers=1)
    assert result.failed_shards == ("few/all/00000",)
    (reason,) = {failure.reason for failure in result.publication.failures.shown if failure.code == "shard_failed"}
    assert "00000.parquet was made with the settings" in reason
    assert "keypoints" in reason
    monkeypatch.undo()
    assert annotate(rendered, **places).is_good
    alone = pd.read_parquet(rendered.parent / "labels")
    pd.testing.assert_frame_equal(pd.read_parquet(places["output__labels"]), alone)


@pytest.mark.long
def test_what_lies_beside_the_labels_of_a_run_makes_it_no_failure(rendered, tmp_path, caplog):
    places = own_results(rendered, tmp_path, annotated=True)
    labels = Path(places["output__labels"])
    first = labels / FIRST.relative_path
    table, footer = read_shard(first, LABEL_SCHEMA), read_footer(first)
    renamed = {"dataset": ["more"] * table.num_rows, "sample_id": [f"more/{row}" for row in range(table.num_rows)]}
    more = table_from_columns({name: table[name] for name in table.column_names} | renamed, LABEL_SCHEMA)
    write_shard(labels / "more/all/00000.parquet", more, replace(footer, config={"step": "refine"}))
    other_body = replace(footer, body_model={"name": "other", "sha256": "99"})
    write_shard(labels / "bodies/all/00000.parquet", table, other_body)
    shutil.copytree(labels / "few", labels / "few_as_it_was")
    (labels / "cut/all").mkdir(parents=True)
    (labels / "cut/all/00000.parquet").write_bytes(first.read_bytes()[:500])
    for place in (labels, first.parent):
        pq.write_table(pa.table({"x": [1]}), place / "mine.parquet")
    with caplog.at_level(logging.WARNING):
        result = annotate(rendered, **places)
    assert result.is_good, result.sentence
    assert result.publication.count.people == PEOPLE
    assert result.publication.metrics["few"]["people"] == PEOPLE
    assert (Path(places["output__report"]) / "index.html").is_file()
    told = [message for message in caplog.messages if str(labels) in message]
    assert any("bodies/all, cut/all, few_as_it_was/all" in message for message in told)
    assert any("2 Parquet files not written by this project" in message for message in told)


@pytest.mark.long
def test_verify_counts_every_data_set_and_compares_it_with_the_plan(rendered, tmp_path):
    places = own_results(rendered, tmp_path, annotated=True)
    labels = Path(places["output__labels"])
    workspace = Workspace(work=Path(places["output__work"]), labels=labels)
    found = verify_labels(workspace, Origin.of(rendered))
    (line,) = found.lines()
    assert line.startswith(f"few/all: 2 shards, {PEOPLE} photos: {PEOPLE} people (")
    assert (found.gaps, found.fault) == ((), "")
    (labels / FIRST.relative_path).rename(labels / "few/all/00007.parquet")
    gaps = verify_labels(workspace, Origin.of(rendered)).gaps
    assert gaps[0].startswith("1 of 2 planned shards of few/all has no labels (00000)")
    assert gaps[1].startswith("1 shard of few/all has labels but is not planned (00007)")
    annotate(rendered, ["few/00000"], refine__iterations=24, **places)
    assert "few/all are of 2 settings" in verify_labels(workspace, Origin.of(rendered)).fault
    assert "refine.iterations is " in verify_labels(workspace, Origin.of(rendered)).fault


@pytest.mark.long
def test_photos_without_people_are_no_failed_people(rendered, places, tmp_path):
    """Plain photos, of which MediaPipe is asked: nobody is there, so nobody failed and the run is good."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        (photos / f"{number}.png").write_bytes(encode_png(np.full((96, 128, 3), 40 * number, np.uint8)))
    (tmp_path / "holiday.yaml").write_text(
        f"id: holiday\nversion: '1'\nlicence: CC0\naccess: own\nadapter: folder\nroot: {photos}\nsplit: all\n"
        "layout: {}\nboxes: detector\nkeypoints: none\npurpose: test\n"
    )
    # One worker: each loads the networks anew.
    asked = {"keypoints__backend": "mediapipe", "run__workers": 1}
    result = annotate(rendered, datasets=[str(tmp_path / "holiday.yaml")], **asked, **places)
    assert result.is_good, result.sentence
    assert result.sentence.startswith("3 photos: 0 people, 3 photos without people.")
    assert result.publication.failures.count == 0
    metrics = result.publication.metrics["holiday"]
    assert (metrics["people"], metrics["failed"], metrics["photos"], metrics["empty_photos"]) == (0, 0, 3, 3)
    labels = pd.read_parquet(places["output__labels"])
    assert labels["error_code"].tolist() == ["no_person_found"] * 3
    page = (Path(places["output__report"]) / "index.html").read_text()
    assert "3 photos: 0 people, 3 photos without people" in page
    workspace = Workspace(work=Path(places["output__work"]), labels=Path(places["output__labels"]))
    (state,) = dataset_states(workspace)
    whole, *steps = state.lines()
    assert whole == "holiday/all: 100 % labelled; 3 photos: 0 people, 3 photos without people"
    assert "holiday/all refine: 2 of 2 shards, 0 people, 0 failed, 3 photos without people" in steps


def test_a_person_that_the_data_set_names_and_nobody_finds_has_failed(rendered, places):
    @register("keypoints", "test_blind")
    class Blind(SimulatedKeypoints):
        def estimate(self, image, boxes=None, annotated=None):
            found = super().estimate(image, boxes, annotated)
            nobody = Refusal(ErrorCode.NO_PERSON_FOUND, "nobody is in this box")
            return replace(found, valid=np.zeros(found.num_people, bool), reasons=[nobody] * found.num_people)

    result = annotate(rendered, keypoints__backend="test_blind", **places)
    assert result.sentence.startswith(f"{PEOPLE} photos: {PEOPLE} people ({PEOPLE} failed).")
    assert not result.is_good
    assert "100% of the people failed" in result.sentence


@pytest.fixture
def waiting(rendered, places, monkeypatch):
    """A run that another thread is in the middle of; called, it goes on to its end and returns its result."""
    reached, go_on = threading.Event(), threading.Event()
    whole = STEP_FUNCTIONS["body"]

    def wait(job):
        reached.set()
        assert go_on.wait(60)
        return whole(job)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setitem(flows.run.runners.STEP_FUNCTIONS, "body", wait)
        running = pool.submit(annotate, rendered, **places)
        assert reached.wait(120)
        monkeypatch.undo()

        def finish():
            go_on.set()
            return running.result()

        yield finish
        go_on.set()


@pytest.mark.long
def test_a_run_of_other_settings_is_refused_while_one_is_at_the_data_set(rendered, places, waiting):
    told = (
        rf"data set few/all is being annotated with other settings in {places['output__work']} \(refine\.iterations is "
        rf"\d+, not 24\) by process {os.getpid()} on {socket.gethostname()} since \S+ \S+: \S"
    )
    with pytest.raises(ValueError, match=told):
        annotate(rendered, refine__iterations=24, **places)
    with pytest.raises(ValueError, match=r"run\.images_per_shard is 2, not 1"):
        annotate(rendered, run__images_per_shard=1, **places)
    assert waiting().is_good
    assert annotate(rendered, refine__iterations=24, **places).is_good


@pytest.mark.long
def test_runs_of_the_same_settings_and_of_other_data_sets_go_on_side_by_side(rendered, places, tmp_path, waiting):
    assert annotate(rendered, ["few/00001"], **places).is_good
    manifest = (rendered.parent / "few.yaml").read_text()
    (tmp_path / "more.yaml").write_text(manifest.replace("id: few", "id: more"))
    others = {"datasets": [str(tmp_path / "more.yaml")], "refine__iterations": 24}
    assert annotate(rendered, **others, **places).is_good
    assert waiting().is_good


@pytest.mark.long
def test_a_data_set_is_not_begun_anew_while_a_run_of_the_same_settings_is_at_it(rendered, places, waiting):
    before = set(Path(places["output__work"]).rglob("*.parquet"))
    settings = [f"--set={key.replace('__', '.')}={value}" for key, value in places.items()]
    refused = CliRunner().invoke(app, ["annotate", "--local", "--replace", *settings, f"--params={rendered}"])
    assert refused.exit_code == 2
    assert "one of the two runs begins it anew (--replace), by process" in refused.output
    assert before <= set(Path(places["output__work"]).rglob("*.parquet"))  # The other run goes on making more.
    assert waiting().is_good


@pytest.mark.long
def test_a_shard_stays_where_it_is_when_doing_it_again_is_refused(rendered, places, waiting):
    waiting_labels = Path(places["output__labels"])
    settings = [f"--set={key.replace('__', '.')}={value}" for key, value in places.items()]
    settings += ["--set=refine.iterations=24", f"--params={rendered}"]
    before = sorted(Path(places["output__work"]).rglob("*.parquet"))
    refused = CliRunner().invoke(app, ["retry", "few/00000", *settings])
    assert refused.exit_code == 2
    assert "is being annotated with other settings" in refused.output
    assert set(before) <= set(Path(places["output__work"]).rglob("*.parquet"))
    assert not (Path(places["output__work"]) / "stale").exists()
    assert waiting().is_good
    assert len(list(waiting_labels.rglob("*.parquet"))) == 2

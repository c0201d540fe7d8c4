"""Corrections that are tried on a page: nothing is kept until it is said, and what is shown is what a run makes."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from datasets_manifest.corrections.kept import read_corrections
from datasets_manifest.corrections.schema import CorrectionSitting
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from tasks.annotate.settings import Origin
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.refine import refine_labels
from tasks.annotate.steps.step import run_step
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.view.state import Opened, View
from tasks.view.trial import Trial
from tasks.view.words import kept_words

ANKLE = 15


@pytest.fixture
def view(rendered, tmp_path):
    for name in ("work", "labels"):
        shutil.copytree(rendered.parent / name, tmp_path / name)
    names = ("work", "labels", "corrections", "report", "metrics")
    origin = Origin.of(rendered, {f"output.{name}": str(tmp_path / name) for name in names})
    view = View(Opened(labels=tmp_path / "labels", config=origin.config(), origin=origin, reviewer="anna"))
    view.refresh()
    return view


def kept(view, sample_id):
    return read_corrections(view.opened.config.output.corrections, "few").of_sample.get(sample_id, ())


def test_what_is_kept_is_what_a_run_makes_and_survives_the_page(view):
    label = view.index.label(0)
    trial = Trial(view, label)
    x, y, _ = trial.found()[ANKLE]
    trial.move(ANKLE, x + 30, y - 20)
    trial.leave_out(range(91, 112))
    np.testing.assert_allclose(trial.keypoints()[ANKLE], [x + 30, y - 20, 1])
    assert not trial.keypoints()[91:112].any()
    tried = trial.refit()
    assert not kept(view, trial.sample_id)
    assert trial.keep().startswith("pear annotate ")
    assert trial.tried == ()
    assert [one.keypoint for one in kept(view, trial.sample_id)] == [ANKLE, *range(91, 112)]
    assert {one.corrected_by for one in kept(view, trial.sample_id)} == {"anna"}
    again = Trial(view, label)
    assert len(again.kept) == 22
    assert again.stale == ()
    np.testing.assert_allclose(again.keypoints()[ANKLE, :2], [x + 30, y - 20])
    config = view.opened.config
    shard, workspace = ShardRef(dataset="few", split="all", index=0), Workspace.of(config.output)
    assert run_step("refine", ShardJob(shard, workspace, config), refine_labels).state == "done"
    with Shard(label.path) as shard:
        made = Columns(shard.table(LABEL_SCHEMA).slice(0, 1))
    for name in ("body_pose", "keypoints_2d", "transl_m", "left_hand_pose"):
        np.testing.assert_allclose(tried[name], made[name].ravel(), atol=1e-4)
    again.take_back([ANKLE, *range(91, 112)])
    again.keep()
    assert kept(view, trial.sample_id) == ()


def test_undo_and_forgetting_leave_nothing(view):
    trial = Trial(view, view.index.label(0))
    before = trial.keypoints()
    assert not trial.undo()
    trial.move(0, 1.0, 2.0)
    trial.leave_out([1, 2])
    assert trial.undo()
    assert [one.keypoint for one in trial.tried] == [0]
    assert trial.undo()
    np.testing.assert_array_equal(trial.keypoints(), before)
    assert not (Workspace.of(view.opened.config.output).work.parent / "corrections").exists()


def test_stale_corrections_are_told_and_not_drawn(view):
    trial = Trial(view, view.index.label(0))
    found = trial.found()
    trial._found = Columns(trial._found.table.set_column(*elsewhere(trial._found.table)))
    trial.leave_out([3, 4])
    trial.keep()
    again = Trial(view, view.index.label(0))
    assert again.kept == ()
    assert [(one.keypoint, why) for one, why in again.stale] == [
        (keypoint, "another person has this number now") for keypoint in (3, 4)
    ]
    np.testing.assert_array_equal(again.keypoints(), found)
    assert kept_words(again.kept, again.stale) == (
        "2 corrections stale and not obeyed: another person has this number now"
    )
    again.leave_out([3])
    again.keep()
    assert ([one.keypoint for one in again.kept], [one.keypoint for one, _ in again.stale]) == ([3], [4])
    assert kept_words(again.kept, again.stale).startswith("1 keypoint corrected by anna; 1 correction stale")


def elsewhere(table):
    """The column of the boxes, moved far away."""
    place = table.schema.get_field_index("bbox_xyxy")
    boxes = [[value + 1000 for value in box] for box in table["bbox_xyxy"].to_pylist()]
    return place, table.schema.field(place), pa.array(boxes, table.schema.field(place).type)


def test_what_is_tried_while_something_is_kept_stays_tried(view, monkeypatch):
    trial, add = Trial(view, view.index.label(0)), CorrectionSitting.add

    def dragged_meanwhile(self, *said):
        trial.move(5, 1.0, 2.0)
        add(self, *said)

    trial.leave_out([3])
    monkeypatch.setattr(CorrectionSitting, "add", dragged_meanwhile)
    trial.keep()
    assert [one.keypoint for one in trial.tried] == [5]
    assert [one.keypoint for one in kept(view, trial.sample_id)] == [3]


def test_a_damaged_file_of_corrections_is_told_before_anything_is_opened(view):
    folder = Workspace.of(view.opened.config.output).work.parent / "corrections/few"
    folder.mkdir(parents=True)
    (folder / "20260101T000000-00000000.parquet").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"00000000\.parquet"):
        Trial(view, view.index.label(0))


def test_two_pages_add_to_one_file(view):
    one, other = (Trial(view, view.index.label(n)) for n in (0, 1))
    for trial in (one, other):
        trial.leave_out([3])
        trial.keep()
    folder = Workspace.of(view.opened.config.output).work.parent / "corrections/few"
    assert len(list(folder.iterdir())) == 1
    assert len(kept(view, one.sample_id)) == len(kept(view, other.sample_id)) == 1


def test_labels_from_elsewhere_and_lost_parts_are_told(view, tmp_path):
    label = view.index.label(0)
    with pytest.raises(ValueError, match="these are not the labels that the settings name"):
        Trial(view, replace(label, path=tmp_path / "other/few/all/00000.parquet"))
    shutil.rmtree(tmp_path / "work/parts")
    with pytest.raises(ValueError, match="correcting needs what the steps before the refinement said"):
        Trial(view, label)

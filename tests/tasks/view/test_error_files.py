"""Files of errors: each folder of labels has its own, none outlives its labels, and changes meanwhile are noticed."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from label_shards import footer
from table_rows import table_from_rows
from whole_labels import person, write

from datasets_manifest.schema.people_errors import PEOPLE_ERRORS
from datasets_manifest.shards.store import write_shard
from tasks.annotate.settings import OutputConfig
from tasks.view import errors
from tasks.view.drawings import keypoints_of, region_view, shown_row


@pytest.fixture
def project(tmp_path):
    """Two folders of labels, and the settings of a workspace in which nothing was planned."""
    for name in ("one", "two"):
        write(tmp_path / name, [person(0, np.random.default_rng(0))])
    return SimpleNamespace(output=OutputConfig(work=str(tmp_path / "work"), labels=str(tmp_path / "one")))


def measured(group, shards, workspace, config):
    """Stands in for the measuring of a data set that knows its people."""
    row = {
        "sample_id": "/".join((*group, "a#0")),
        "dataset": group[0],
        "split": group[1],
        "image": "a",
        "found": "false",
    }
    for path in shards.values():
        write_shard(path, table_from_rows([row], PEOPLE_ERRORS), footer())


def test_folders_of_labels_do_not_share_files(tmp_path, project, monkeypatch):
    monkeypatch.setattr(errors, "_measure", measured)
    one, two = (errors.open_errors(tmp_path / name, project, tmp_path / "view") for name in ("one", "two"))
    assert one.root != two.root
    assert one.is_current()
    assert all(list(index.root.rglob("*.parquet")) for index in (one, two))


def test_whoever_was_missed_is_shown_as_the_data_set_knows_them(tmp_path, project, monkeypatch):
    def missing(group, shards, workspace, config):
        row = {"image": "a.jpg", "found": "missed", "bbox_xyxy": [1.0, 2.0, 30.0, 40.0], "known_keypoints": [0.5] * 399}
        row |= {"sample_id": "/".join((*group, "a#missed-0")), "dataset": group[0], "split": group[1]}
        for path in shards.values():
            write_shard(path, table_from_rows([row], PEOPLE_ERRORS), footer())

    monkeypatch.setattr(errors, "_measure", missing)
    row = errors.open_errors(tmp_path / "one", project, tmp_path / "view").label(0).row
    assert row["status"] == "missed"
    view = region_view(shown_row(row), "photo", 100)
    assert (view.apply(np.array([[1.0, 2.0], [30.0, 40.0]])) >= 0).all()
    assert (keypoints_of(row) == 0.5).all()
    assert region_view(shown_row(row | {"known_keypoints": None, "keypoints_2d": None}), "face", 100) is None


def test_labels_that_change_while_they_are_measured_are_noticed(tmp_path, project, monkeypatch):
    def changing(group, shards, workspace, config):
        measured(group, shards, workspace, config)
        for path in shards:
            os.utime(path, (1, 1))

    monkeypatch.setattr(errors, "_measure", changing)
    assert not errors.open_errors(tmp_path / "one", project, tmp_path / "view").is_current()


def test_errors_of_labels_that_were_made_anew_are_not_shown(tmp_path, project, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(errors, "_measure", measured)
        index = errors.open_errors(tmp_path / "one", project, tmp_path / "view")
    with pytest.raises(ValueError, match=r"none of the data sets in .*one knows its people"):
        errors.open_errors(tmp_path / "one", project, tmp_path / "view")  # no record says where it came from
    assert not list(index.root.rglob("*.parquet"))

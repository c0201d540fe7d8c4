"""Labels that are read again while pages of the earlier ones are open."""

import numpy as np
import pytest
from whole_labels import person, write

from tasks.annotate.settings import AnnotateConfig, OutputConfig
from tasks.view import state
from tasks.view.query import Query
from tasks.view.state import Opened, View


@pytest.fixture
def view(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "_LOOK_SECONDS", -1.0)
    people(tmp_path, 6)
    labels = tmp_path / "labels"
    config = AnnotateConfig(output=OutputConfig(work=str(tmp_path / "work"), labels=str(labels)))
    view = View(Opened(labels=labels, config=config))
    view.refresh()
    return view


def people(folder, count):
    write(folder / "labels", [person(n, np.random.default_rng(n)) for n in range(count)])


def test_an_open_page_keeps_the_rows_that_it_was_built_with(view, tmp_path):
    before = view.index
    people(tmp_path, 2)
    view.refresh()
    for query in (Query(), Query(sort="sample_id", descending=True)):
        for index, count in ((before, 6), (view.index, 2), (before, 6)):
            assert len(index.rows(view.order(index, query))) == count


def test_every_open_page_is_told_of_labels_that_changed(view, tmp_path):
    before = view.index
    assert not view.has_changed(before)
    people(tmp_path, 2)
    assert view.has_changed(before)
    view.refresh()  # by another page
    assert view.has_changed(before)
    assert not view.has_changed(view.index)
    view.refresh()  # nothing has changed: what is shown still holds
    assert not view.has_changed(view.index)


def test_labels_that_cannot_be_read_again_leave_the_index_and_a_fault(view, tmp_path):
    before = view.index
    for path in (tmp_path / "labels").rglob("*.parquet"):
        path.unlink()
    view.refresh()
    assert view.index is before
    assert "has no file of labels" in view.fault
    people(tmp_path, 2)
    view.refresh()
    assert view.fault == ""

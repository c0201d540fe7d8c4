"""The last publication: what a worker may end by is one of its data sets, begun after its own work, and over."""

import pytest
from local_s3 import bucket  # noqa: F401 (a fixture)

from datasets_manifest.stores import listed, place_of
from tasks.annotate.run.last_publication import LastPublication
from tasks.annotate.workspace import Workspace

GROUPS = [("coco", "val"), ("people", "all")]


@pytest.fixture
def workspace(tmp_path):
    return Workspace(work=tmp_path / "work", labels=tmp_path / "labels")


def test_one_that_was_begun_since_the_last_look_counts_when_it_is_over(workspace):
    mine, other = (LastPublication(workspace, GROUPS) for _ in range(2))
    assert not mine.is_made
    with other.being_made():
        assert not mine.is_made
    assert mine.is_made
    mine.look()
    assert not mine.is_made


def test_workers_that_share_a_store_and_no_folder_know_of_each_other(tmp_path, bucket):  # noqa: F811
    labels = place_of(f"{bucket}/labels")
    mine, other = (LastPublication(Workspace(work=tmp_path / name, labels=labels), GROUPS) for name in "ab")
    with other.being_made():
        assert not mine.is_made
    assert mine.is_made
    assert list(listed(labels)) == []  # Readers of labels pass over it.


def test_one_that_was_begun_before_lacks_what_was_done_meanwhile(workspace):
    mine, other = (LastPublication(workspace, GROUPS) for _ in range(2))
    with other.being_made():
        mine.look()
    assert not mine.is_made


def test_one_that_failed_never_counts(workspace):
    mine, other = (LastPublication(workspace, GROUPS) for _ in range(2))
    with pytest.raises(ZeroDivisionError), other.being_made():
        raise ZeroDivisionError
    assert not mine.is_made


@pytest.mark.parametrize(("theirs", "counts"), [(GROUPS[:1], False), ([*GROUPS, ("more", "all")], True)])
def test_one_of_other_data_sets_counts_if_it_has_all_of_mine(workspace, theirs, counts):
    mine = LastPublication(workspace, GROUPS)
    with LastPublication(workspace, theirs).being_made():
        pass
    assert mine.is_made is counts

"""Pulling workers leave when all is published, whoever publishes, and answer for the shards that they tried."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from annotated_project import own_results

import flows.run.pull
from datasets_manifest.schema.people import PeopleCount
from flows.run.pull import work
from tasks.annotate.look.failures import FailureCounts
from tasks.annotate.run.claims import claims_of
from tasks.annotate.run.last_publication import LastPublication
from tasks.annotate.run.publication import Publication
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import Workspace

LOG = logging.getLogger("workers")
GROUPS = [("few", "all")]


@pytest.fixture
def origin(rendered, tmp_path):
    """Settings of a project where all is done but for the publication."""
    places = own_results(rendered, tmp_path, annotated=True)
    return Origin.of(rendered, {key.replace("__", "."): value for key, value in places.items()})


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Publications that workers of this process made."""
    made = []

    def publish(*_):
        made.append(
            Publication(
                count=PeopleCount(),
                metrics={},
                report=None,
                failures_csv=tmp_path,
                failures=FailureCounts(),
                worst=None,
                warning="",
            )
        )
        return made[-1]

    monkeypatch.setattr(flows.run.pull, "publish", publish)
    return made


@contextmanager
def another_that_publishes(origin):
    """Begins when a worker is over with the shards; what the block does is done by another, who publishes meanwhile."""
    config = origin.config()
    workspace = Workspace.of(config.output)
    with ThreadPoolExecutor(1) as pool, claims_of(workspace).held("publication", wait=True):
        begun = LastPublication(workspace, GROUPS)
        working = pool.submit(work, config, LOG, origin=origin)
        yield working, begun


def wait_until_it_waits(working, caplog):
    while not any("all parts are over" in message for message in caplog.messages):
        assert not working.done(), working.result()
        time.sleep(0.01)


def test_a_worker_waits_for_the_publication_of_another_and_leaves_without_one_of_its_own(origin, published, caplog):
    caplog.set_level(logging.INFO)
    with another_that_publishes(origin) as (working, other):
        wait_until_it_waits(working, caplog)
        with other.being_made():
            pass
        assert not working.done()
    done = working.result(60)
    assert (done.result, done.is_good, published) == (None, True, [])
    assert done.sentence == "0 shards done here; another worker has published."


def test_if_the_one_that_publishes_is_killed_the_next_does(origin, published, caplog):
    caplog.set_level(logging.INFO)
    with another_that_publishes(origin) as (working, other):
        wait_until_it_waits(working, caplog)
        killed = other.being_made()
        killed.__enter__()
    assert working.result(60).result.publication is published[0]


def test_who_starts_when_all_is_published_publishes_anew(origin, published):
    for number in (1, 2):
        assert work(origin.config(), LOG, origin=origin).result is not None
        assert len(published) == number


def test_a_worker_that_does_not_publish_answers_for_its_own_shards_only(origin, published, monkeypatch, caplog):
    caplog.set_level(logging.INFO)

    def failed_elsewhere(shards, workspace, config, claims, progress, journal, last):
        progress.failed_shards.add("few/all/00000")
        progress.failed += 1
        return own

    monkeypatch.setattr(flows.run.pull, "_do_what_is_left", failed_elsewhere)
    for own in ((), ("few/all/00000",)):
        caplog.clear()
        with another_that_publishes(origin) as (working, other):
            wait_until_it_waits(working, caplog)
            with other.being_made():
                pass
        assert working.result(60).is_good is not bool(own)
    assert not work(origin.config(), LOG, origin=origin).is_good

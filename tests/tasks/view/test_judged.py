"""Filters by verdicts choose those whom the page of each person shows so, also right after a verdict."""

import numpy as np
import pytest
from whole_labels import person, write

from datasets_manifest.schema.ehm_fields import PART_NAMES
from tasks.annotate.settings import AnnotateConfig, OutputConfig
from tasks.view.kinds import LABELS, PREDICTIONS
from tasks.view.query import VERDICT_WORDS, Query
from tasks.view.state import Opened, View
from tasks.view.verdicts import VerdictBook

QUERIES = [
    *(f"{part}_verdict={word}" for part in PART_NAMES for word in VERDICT_WORDS),
    *("reviewed=yes", "reviewed=no", "reviewer=anna", "reviewed=no&reviewer=bert", "reviewer=anna&face_verdict=reject"),
    *("face_verdict=accept&face_verdict=stale&body_verdict=none", "reviewer=nobody"),
]


def opened(folder):
    config = AnnotateConfig(output=OutputConfig(work=str(folder / "work"), labels=str(folder / "labels")))
    view = View(Opened(labels=folder / "labels", config=config, reviews=folder / "reviews"))
    view.refresh()
    return view


def labels(folder, shard, seed):
    rng = np.random.default_rng(seed)
    write(folder / "labels", [person(10 * shard + n, rng) for n in range(6)], shard=shard)


@pytest.fixture
def books(tmp_path):
    for shard in range(3):
        labels(tmp_path, shard, shard)
    books = {name: VerdictBook(tmp_path / "reviews", name) for name in ("anna", "bert")}
    judge(tmp_path, books, 40, 0)
    labels(tmp_path, 1, 7)  # made again with another outcome
    judge(tmp_path, books, 10, 1)
    return books


def judge(folder, books, times, seed):
    rng, index = np.random.default_rng(seed), opened(folder).index
    for _ in range(times):
        label, part = index.label(int(rng.integers(len(index) - 4))), PART_NAMES[rng.integers(4)]
        books[rng.choice(list(books))].give(label, {part: rng.choice(["accept", "reject", "flag", "none"])})


def parse(text, kind=LABELS):
    return Query.parse([pair.split("=") for pair in text.split("&")], kind)


def passes(label, book, query):
    """What the page of a person shows, read for this person alone."""
    asked = dict(query.verdicts)
    names = asked.get("reviewer", ())
    given = {
        part: [one for one in own if not names or one.review.reviewer in names] for part, own in book.of(label).items()
    }
    last = {
        part: "none" if not own else "stale" if own[0].is_stale else own[0].review.verdict
        for part, own in given.items()
    }
    is_reviewed = any(word not in ("none", "stale") for word in last.values())
    checks = [
        last[name.removesuffix("_verdict")] in values for name, values in asked.items() if name.endswith("_verdict")
    ]
    if "reviewed" in asked:
        checks.append(("yes" if is_reviewed else "no") in asked["reviewed"])
    return all(checks) if checks else is_reviewed


@pytest.mark.long
def test_a_filter_chooses_whom_the_pages_show_so(tmp_path, books):
    view = opened(tmp_path)
    for text in QUERIES:
        query = parse(text)
        expected = [n for n in range(len(view.index)) if passes(view.index.label(n), books["anna"], query)]
        assert view.order(view.index, query).tolist() == expected, text
        assert parse(query.url("").removeprefix("?")) == query
    assert {len(view.order(view.index, parse(text))) for text in QUERIES} > {0, 1, 2}


def test_counts_are_those_of_the_filters_and_follow_a_verdict(tmp_path, books):
    view = opened(tmp_path)
    for _ in range(2):
        judged = view.judged.of(view.index)
        for name in ("reviewed", "reviewer", "face_verdict", "left_hand_verdict"):
            for word, count in judged.counts(name).items():
                rows = view.order(view.index, Query(verdicts=((name, (word,)),)))
                assert len(rows) == count, (name, word)
        untouched = view.index.label(len(view.index) - 1)
        books["bert"].give(untouched, {"face": "reject"})
        assert len(view.index) - 1 in view.order(view.index, parse("face_verdict=reject"))


def test_digests_are_read_once(tmp_path, books, monkeypatch):
    monkeypatch.setattr("tasks.view.digests._FEW", 0)
    first = opened(tmp_path)
    expected = [first.order(first.index, parse(text)).tolist() for text in QUERIES]
    view = opened(tmp_path)
    monkeypatch.setattr(type(view.index), "digests", lambda *_: pytest.fail("a shard was read again"))
    assert [view.order(view.index, parse(text)).tolist() for text in QUERIES] == expected


@pytest.mark.parametrize("text", ["face_verdict=maybe", "reviewed=", "hair_verdict=accept"])
def test_an_address_says_what_it_expected(text):
    with pytest.raises(ValueError, match=r"the address says"):
        parse(text)
    with pytest.raises(ValueError, match=r"which predictions do not have"):
        parse("reviewed=yes", PREDICTIONS)

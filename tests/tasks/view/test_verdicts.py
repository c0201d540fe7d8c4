"""Verdicts given on a page: everybody's last word is shown, and none is lost when two judge at once."""

import dataclasses
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from whole_labels import failed, person, write

from datasets_manifest.reviews.verdicts import read_verdicts
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from tasks.view.index import Label
from tasks.view.verdicts import VerdictBook, told


@pytest.fixture
def labels(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "labels", [*(person(n, rng) for n in range(3)), failed(9, rng)])
    return read(tmp_path)


def read(folder):
    path = folder / "labels/demo/train/00000.parquet"
    with Shard(path) as shard:
        table = shard.table(LABEL_SCHEMA)
        return [
            Label(table=table.slice(row, 1), path=path, config_hash=shard.footer.config_hash)
            for row in range(table.num_rows)
        ]


def said(book, label, part="face"):
    return [(given.review.reviewer, given.review.verdict, given.is_stale) for given in book.of(label)[part]]


def test_the_last_word_of_everybody_is_shown(tmp_path, labels):
    anna, bert = (VerdictBook(tmp_path / "reviews", name) for name in ("anna", "bert"))
    anna.give(labels[0], {"face": "accept"})
    bert.give(labels[0], {"face": "reject", "body": "flag"}, note="why")
    anna.give(labels[0], {"face": "flag"}, audit="0-5-face-valid")
    for book in (anna, bert, VerdictBook(tmp_path / "reviews", "carl")):
        assert said(book, labels[0]) == [("anna", "flag", False), ("bert", "reject", False)]
        assert said(book, labels[1]) == []
    bert.give(labels[0], {"face": "none"})
    assert said(anna, labels[0]) == [("anna", "flag", False)]
    assert anna.of(labels[0])["body"][0].review.note == "why"
    assert len(list((tmp_path / "reviews/demo").iterdir())) == 2


def test_verdicts_on_a_label_that_came_out_differently_are_shown_as_stale(tmp_path, labels):
    book = VerdictBook(tmp_path / "reviews", "anna")
    book.give(labels[0], {"face": "accept"})
    rng = np.random.default_rng(1)
    write(tmp_path / "labels", [*(person(n, rng) for n in range(3)), failed(9, rng)])
    assert said(book, read(tmp_path)[0]) == [("anna", "accept", True)]
    book.give(read(tmp_path)[0], {"face": "reject"})
    assert said(book, read(tmp_path)[0]) == [("anna", "reject", False)]


def test_an_undone_verdict_leaves_the_one_before_as_it_was_given(tmp_path, labels):
    anna, bert = (VerdictBook(tmp_path / "reviews", name) for name in ("anna", "bert"))
    (old,) = anna.give(labels[0], {"face": "accept"}, note="old")
    bert.give(labels[0], {"face": "reject"})
    rng = np.random.default_rng(1)
    write(tmp_path / "labels", [*(person(n, rng) for n in range(3)), failed(9, rng)])
    (flag,) = anna.give(read(tmp_path)[0], {"face": "flag"}, audit="0-5-face-valid")
    assert anna.take_back("demo", flag)
    assert [given.review for given in bert.of(labels[0])["face"] if given.review.reviewer == "anna"] == [old]
    assert said(anna, read(tmp_path)[0]) == [("bert", "reject", True), ("anna", "accept", True)]
    assert read_verdicts(tmp_path / "reviews").table["reviewer"].to_pylist() == ["bert"]
    assert read_verdicts(tmp_path / "reviews", audit="0-5-face-valid").table.num_rows == 0


def test_only_the_last_verdict_of_a_reviewer_is_undone(tmp_path, labels):
    here, elsewhere = (VerdictBook(tmp_path / "reviews", "anna") for _ in range(2))
    (given,) = here.give(labels[0], {"face": "accept"})
    elsewhere.give(labels[0], {"face": "reject"})
    assert not here.take_back("demo", given)
    assert said(here, labels[0]) == [("anna", "reject", False)]
    elsewhere.give(labels[0], {"face": "none"})
    assert here.take_back("demo", given)
    assert not here.take_back("demo", given)
    assert said(elsewhere, labels[0]) == []


def test_in_an_audit_others_are_told_only_to_who_has_judged_this_label_in_it(tmp_path, labels):
    anna, bert = (VerdictBook(tmp_path / "reviews", name) for name in ("anna", "bert"))
    bert.give(labels[0], {"face": "reject"})

    def seen(audit, label=labels[0]):
        return {given.review.reviewer for given in told(anna.of(label)["face"], "anna", audit)}

    assert (seen(""), seen("a")) == ({"bert"}, set())
    anna.give(labels[0], {"face": "accept"})
    anna.give(labels[0], {"face": "accept"}, audit="b")
    assert (seen("a"), seen("b")) == ({"anna"}, {"anna", "bert"})
    assert seen("b", dataclasses.replace(labels[0], table=labels[1].table.set_column(
        0, "sample_id", labels[0].table["sample_id"]))) == {"anna"}  # fmt: skip


def test_whoever_failed_is_not_judged(tmp_path, labels):
    with pytest.raises(ValueError, match="whoever failed has no label to judge"):
        VerdictBook(tmp_path / "reviews", "anna").give(labels[3], {"face": "accept"})
    assert not (tmp_path / "reviews").exists()


def test_two_who_judge_at_once_lose_nothing(tmp_path, labels):
    books = [VerdictBook(tmp_path / "reviews", name) for name in ("anna", "bert")]
    done = []

    def judge(book):
        for turn in range(10):
            book.give(labels[turn % 3], {"body": "accept", "face": "reject"})
            done.append(said(book, labels[turn % 3])[0])

    threads = [threading.Thread(target=judge, args=(book,)) for book in books for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 40
    assert sum(len(session.verdicts) for book in books for session in book._sessions.values()) == 80
    assert read_verdicts(tmp_path / "reviews").table.num_rows == 6


def test_a_damaged_file_of_somebody_is_told(tmp_path, labels):
    (tmp_path / "reviews/demo").mkdir(parents=True)
    (tmp_path / "reviews/demo/other.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"other.parquet cannot be read"):
        VerdictBook(tmp_path / "reviews", "anna").of(labels[0])


def test_a_process_has_one_book():
    from tasks.view.verdicts import book_of

    class Looked(SimpleNamespace):
        __hash__ = object.__hash__

    view = Looked(opened=SimpleNamespace(reviews="reviews", reviewer="anna"))
    assert book_of(view) is book_of(view)

"""The index against rows filtered and sorted one by one; only what has changed is read again."""

import itertools
from urllib.parse import parse_qsl

import numpy as np
import pytest
from whole_labels import failed, person, write

from tasks.view import index_file
from tasks.view.index import LabelIndex, LabelsChanged
from tasks.view.index_file import open_index
from tasks.view.kinds import LABELS
from tasks.view.query import Query


@pytest.fixture
def people(tmp_path):
    """Rows of two data sets in three shards, with ties, unknown numbers and failures."""
    rng = np.random.default_rng(0)
    rows = []
    for dataset, shard in (("demo", 0), ("demo", 1), ("other", 0)):
        own = [
            person(
                10 * shard + k, rng, dataset=dataset, body_quality=[0.25, 0.5, 0.75][k % 3], face_valid=bool(k % 2),
                status=["ok", "partial"][k % 2], error_code=[None, "body_not_found"][k % 2],
                reproj_rel=None if k == 3 else float(rng.random()),
            )
            for k in range(6)
        ]  # fmt: skip
        own.append(failed(10 * shard + 9, rng, dataset=dataset))
        write(tmp_path / "labels", own, shard=shard)
        rows += own
    return rows


@pytest.fixture
def index(people, tmp_path):
    return LabelIndex(open_index(tmp_path / "labels", tmp_path / "view"))


def queries():
    words = (
        (),
        (("status", ("partial",)),),
        (("dataset", ("other", "nobody")), ("error_code", ("", "fit_not_finite"))),
    )
    flags = ((), (("face_valid", False),))
    ranges = ((), (("body_quality", 0.5, np.inf), ("reproj_rel", -np.inf, 0.9)))
    orders = (("", False), ("body_quality", True), ("reproj_rel", False), ("sample_id", True), ("error_code", False))
    orders += (("face_valid", True), ("dataset", True))
    for own, flag, ends, text, (sort, descending) in itertools.product(words, flags, ranges, ("", "1"), orders):
        yield Query(words=own, flags=flag, ranges=ends, text=text, sort=sort, descending=descending)


def chosen(rows, query):
    """The obvious way."""

    def passes(row):
        def value(name):
            return row.get(name)

        return (
            all((value(name) or "") in values for name, values in query.words)
            and all(value(name) is own for name, own in query.flags)
            and all(value(n) is not None and low <= value(n) <= high for n, low, high in query.ranges)
            and query.text in row["sample_id"]
        )

    kept = [n for n, row in enumerate(rows) if passes(row)]
    if query.sort:
        known = [n for n in kept if rows[n].get(query.sort) is not None]
        absent = [n for n in kept if rows[n].get(query.sort) is None]
        place = {n: kept.index(n) for n in kept}
        ordered = sorted(known, key=lambda n: rows[n][query.sort])
        if query.descending:  # Equal ones stay in the order of the files.
            ordered = sorted(ordered, key=lambda n: place[n])
            ordered = sorted(ordered, key=lambda n: rows[n][query.sort], reverse=True)
        kept = ordered + absent
    return kept


def test_a_query_shows_whom_the_obvious_way_finds(people, index):
    assert len(index) == len(people)
    for query in queries():
        assert index.query(query).tolist() == chosen(people, query), query


def test_rows_and_labels_are_those_of_the_shards(people, index):
    for row in index.rows(range(len(index))):
        known = people[row["n"]]
        for name in LABELS.columns:
            value = known.get(name)
            assert row[name] == (pytest.approx(value) if isinstance(value, float) else value), name
        assert index.number(known["sample_id"]) == row["n"]
        label = index.label(row["n"])
        assert label.row["sample_id"] == known["sample_id"]
        assert label.config_hash
    assert index.number("nobody") is None
    assert index.words("error_code") == ["", "body_not_found", "fit_not_finite"]
    assert index.counts("status", np.arange(len(index))) == {"ok": 9, "partial": 9, "failed": 3}


def test_an_empty_choice_is_none_of_the_rows(index):
    rows = index.query(Query(text="nowhere", sort="body_quality"))
    assert rows.tolist() == []
    assert index.rows(rows) == []


@pytest.fixture
def read(monkeypatch):
    """Names of the shards that are read."""
    names, one = [], index_file._shard_table

    def noted(path, kind):
        names.append(f"{path.parent.parent.name}/{path.name}")
        return one(path, kind)

    monkeypatch.setattr(index_file, "_shard_table", noted)
    return names


def test_only_changed_shards_are_read_again(people, index, tmp_path, read):
    def again():
        read.clear()
        return LabelIndex(open_index(tmp_path / "labels", tmp_path / "view"))

    same = again()
    assert (read, same.stamp) == ([], index.stamp)
    rng = np.random.default_rng(1)
    fresh = [person(50, rng), person(51, rng, status="partial", error_code="part_untrusted")]
    write(tmp_path / "labels", fresh, shard=1)
    write(tmp_path / "labels", [person(60, rng, dataset="third")])
    assert not index.is_current()
    grown = again()
    assert sorted(read) == ["demo/00001.parquet", "third/00000.parquet"]
    assert grown.is_current()
    rows = [*people[:7], *fresh, *people[14:], person(60, rng, dataset="third")]
    assert [row["sample_id"] for row in grown.rows(range(len(grown)))] == [row["sample_id"] for row in rows]
    assert [row["error_code"] for row in grown.rows(range(len(grown)))] == [row.get("error_code") for row in rows]
    with pytest.raises(LabelsChanged, match="has changed"):
        index.label(8)
    (tmp_path / "labels/demo/train/00000.parquet").unlink()
    assert len(again()) == len(rows) - 7
    assert read == []
    with pytest.raises(LabelsChanged, match="is gone"):
        index.label(0)


def test_a_damaged_index_is_made_anew_and_one_that_cannot_be_written_is_none(index, tmp_path, read):
    (path,) = (tmp_path / "view").glob("*.arrow")
    whole = path.read_bytes()
    for damaged in (b"", b"no index", whole[:100], whole[: len(whole) // 2], whole.replace(b"pear_view", b"pear_veiw")):
        path.write_bytes(damaged)
        read.clear()
        assert LabelIndex(open_index(tmp_path / "labels", tmp_path / "view")).stamp == index.stamp
        assert len(read) == 3
    (tmp_path / "file").touch()
    assert len(LabelIndex(open_index(tmp_path / "labels", tmp_path / "file/view"))) == len(index)


def test_what_cannot_be_read_is_said_and_tried_again(index, tmp_path, people):
    bad = tmp_path / "labels/demo/train/00001.parquet"
    bad.write_bytes(bad.read_bytes()[:-50])
    index = LabelIndex(open_index(tmp_path / "labels", tmp_path / "view"))
    assert len(index) == len(people) - 7
    assert "00001.parquet cannot be read" in index.faults[0]
    with pytest.raises(ValueError, match="has no file of labels"):
        open_index(tmp_path / "view", tmp_path / "view")


def test_an_address_and_back(index):
    for query in queries():
        place = {"id": "a/b/c d&e=%#0", "page": 3}
        path, _, text = query.url("/person", **place).partition("?")
        assert path == "/person"
        again = Query.parse(parse_qsl(text, keep_blank_values=True), LABELS)
        assert again.url("/person", id=again.id) == query.url("/person", **place)
        assert again.order == Query.parse(parse_qsl(query.url("/")[2:], keep_blank_values=True), LABELS).order


def test_an_address_keeps_every_digit_of_a_figure():
    ends = [1234567.0, 0.1 + 0.2, -0.0, 1e-9, 1e300, -123456.789, *np.random.default_rng(0).normal(0, 1e6, 50)]
    for low, high in itertools.pairwise([-np.inf, *ends, np.inf]):
        query = Query(ranges=(("reproj_rel", low, high),))
        assert Query.parse(parse_qsl(query.url("/")[2:]), LABELS) == query
    assert Query(ranges=(("reproj_rel", 3.0, 0.5),)).url("/") == "/?reproj_rel=3..0.5"


@pytest.mark.parametrize(
    ("name", "value"),
    [("face_valid", "1"), ("body_quality", "0.3"), ("body_quality", "nan.."), ("page", "0"), ("page", "-1"),
     ("rows", "100000"), ("sort", "image"), ("image", "x"), ("body_quality", "a..b"), ("page", "9" * 5000)],
)  # fmt: skip
def test_an_address_that_means_nothing_is_refused(name, value):
    with pytest.raises(ValueError, match="the address says"):
        Query.parse([(name, value)], LABELS)

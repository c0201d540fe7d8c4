"""Verdicts of people: none that was given is lost, the newest counts, and one about another label is not obeyed."""

import dataclasses
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from whole_labels import person, write

from datasets_manifest.reviews.digest import DIGESTED, label_digests
from datasets_manifest.reviews.schema import REVIEW_SCHEMA, Review
from datasets_manifest.reviews.session import ReviewSession
from datasets_manifest.reviews.verdicts import Obedience, read_verdicts
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet
from datasets_manifest.shards.selection import select_labels
from datasets_manifest.shards.selection_file import read_selections, write_selections
from datasets_manifest.shards.shard import read_shard

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def labels(tmp_path):
    """Four whole people."""
    rng = np.random.default_rng(0)
    write(tmp_path / "labels", [person(n, rng) for n in range(4)])
    return read_shard(tmp_path / "labels" / "demo" / "train" / "00000.parquet", LABEL_SCHEMA)


@pytest.fixture
def judge(tmp_path, labels):
    """Puts a verdict on disk, in a session of its own."""
    digests = label_digests(labels)

    def judged(number, part, verdict, *, after_s=0, reviewer="me", **changes):
        session = ReviewSession(tmp_path / "reviews", "demo", started_utc=START, code_version="1")
        review = Review(
            sample_id=labels["sample_id"][number].as_py(), part=part, verdict=verdict, reviewer=reviewer,
            reviewed_utc=START + timedelta(seconds=after_s), label_config_hash="00", label_digest=digests[number],
        )  # fmt: skip
        session.add(dataclasses.replace(review, **changes))
        return session.path

    return judged


def select(folder, rule="drop_rejected", **changes):
    entry = LabelSet(path=str(folder / "labels"), images=".", reviews=str(folder / "reviews"), review_rule=rule)
    return select_labels(entry.path, max_dropped_share=1.0, obedience=entry.obedience(), **changes)


def flags(selection):
    return np.stack([selection.array(f"{part}_valid") for part in PART_NAMES], 1)


def test_a_rejected_part_does_not_supervise_and_changes_the_hash(tmp_path, judge):
    before = select_labels(tmp_path / "labels", max_dropped_share=0.0)
    judge(1, "face", "reject")
    after = select(tmp_path)
    assert after.num_rows == before.num_rows
    expected = flags(before)
    expected[1, 3] = False
    np.testing.assert_array_equal(flags(after), expected)
    assert after.snapshot_hash != before.snapshot_hash
    assert "; reviews: 1 x verdict, 1 x part rejected." in after.sentence


def test_every_flag_is_in_the_hash(tmp_path):
    rows = [person(n, np.random.default_rng(n)) for n in range(3)]
    changes = [
        {},
        *({f"{part}_valid": False} for part in PART_NAMES),
        {"eyes_valid": False},
        {"eyelids_valid": False},
        {"joint_seen": ~rows[1]["joint_seen"]},
        {"body_group_valid": ~rows[1]["body_group_valid"]},
    ]
    hashes = []
    for k, change in enumerate(changes):
        write(tmp_path / str(k), [rows[0], rows[1] | change, rows[2]])
        hashes.append(select_labels(tmp_path / str(k), max_dropped_share=0.0).snapshot_hash)
    assert len(set(hashes)) == len(changes)


def test_who_has_no_part_left_is_left_out_for_that_reason(tmp_path, judge):
    for part in PART_NAMES:
        judge(2, part, "reject")
    selection = select(tmp_path)
    assert selection.dropped == {"left out by review": 1}
    assert selection.num_rows == 3
    kept = select(tmp_path, label_filter=LabelFilter(require=("face",)))
    assert kept.dropped == {"left out by review": 1}


def test_only_what_was_accepted(tmp_path, judge):
    judge(0, "body", "accept")
    judge(0, "face", "flag")
    judge(3, "right_hand", "accept")
    judge(3, "left_hand", "reject")
    selection = select(tmp_path, "only_accepted")
    assert selection.table["image"].to_pylist() == ["0.jpg", "3.jpg"]
    np.testing.assert_array_equal(flags(selection), [[True, False, False, False], [False, False, True, False]])
    counts = selection.reviewed
    assert (counts.verdicts, counts.rejected, counts.not_accepted, counts.flagged) == (4, 1, 13, 1)
    everything = select(tmp_path, "ignore")
    assert flags(everything).all()
    assert (everything.reviewed.verdicts, everything.reviewed.rejected) == (4, 0)


def test_the_newest_verdict_counts_whoever_gave_it_and_one_taken_back_is_none(tmp_path, judge):
    judge(0, "face", "reject", after_s=2, reviewer="b")
    judge(0, "face", "accept", after_s=1, reviewer="a")  # in another file, read in any order
    judge(1, "face", "reject", after_s=1)
    judge(1, "face", "none", after_s=2)
    np.testing.assert_array_equal(flags(select(tmp_path))[:, 3], [False, True, True, True])
    assert read_verdicts(tmp_path / "reviews").table["reviewer"].to_pylist() == ["b"]


def held(folder, **audit):
    table = read_verdicts(folder / "reviews", **audit).table
    return list(zip(*(table[name].to_pylist() for name in ("reviewer", "verdict", "label_digest")), strict=True))


def test_what_somebody_takes_back_leaves_what_others_said(tmp_path, judge, labels):
    digest = label_digests(labels)[0]
    for audit in (None, "0-5-face-valid"):
        judge(0, "face", "reject", after_s=1, reviewer="anna", audit=audit)
        judge(0, "face", "accept", after_s=2, reviewer="bert", audit=audit)
        judge(0, "face", "none", after_s=3, reviewer="bert", audit=audit)
        assert held(tmp_path, audit=audit) == [("anna", "reject", digest)]


def test_what_was_said_before_holds_again_with_its_own_date_and_label(tmp_path, judge):
    judge(0, "face", "accept", after_s=1, reviewer="bert", label_digest="v1")
    judge(0, "face", "flag", after_s=3, reviewer="bert", label_digest="v2")
    judge(0, "face", "none", after_s=4, reviewer="bert", label_digest="v2")
    assert held(tmp_path) == [("bert", "accept", "v1")]
    judge(0, "face", "reject", after_s=2, reviewer="anna", label_digest="v1")
    assert held(tmp_path) == [("anna", "reject", "v1")]


def test_one_is_taken_back_at_a_time_and_of_an_audit_only_one_of_it(tmp_path, judge):
    audit = {"audit": "0-5-face-valid"}
    judge(0, "face", "none", label_digest="")  # takes back nothing
    judge(0, "face", "accept", after_s=1, label_digest="")
    judge(0, "face", "reject", after_s=2, label_digest="", **audit)
    judge(0, "face", "flag", after_s=3, label_digest="")
    judge(0, "face", "none", after_s=4, label_digest="", **audit)
    assert held(tmp_path) == [("me", "flag", "")]
    assert held(tmp_path, **audit) == []
    judge(0, "face", "none", after_s=5, label_digest="")
    assert held(tmp_path) == [("me", "accept", "")]
    judge(0, "face", "reject", after_s=6, label_digest="", **audit)
    judge(0, "face", "none", after_s=7, label_digest="")  # without an audit: the last one, whichever it is of
    assert held(tmp_path) == [("me", "accept", "")]
    assert held(tmp_path, **audit) == []


def test_of_one_session_and_instant_the_last_one_counts(tmp_path, labels):
    session = ReviewSession(tmp_path / "reviews", "demo", started_utc=START, code_version="1")
    digest = label_digests(labels)[0]
    for verdict in ("accept", "flag", "reject"):
        session.add(
            Review(
                sample_id="demo/train/0.jpg#0", part="body", verdict=verdict, reviewer="me", reviewed_utc=START,
                label_config_hash="", label_digest=digest,
            )
        )  # fmt: skip
    assert [review.verdict for review in session.verdicts] == ["accept", "flag", "reject"]
    assert read_verdicts(tmp_path / "reviews").table["verdict"].to_pylist() == ["reject"]


def test_a_verdict_about_another_label_is_counted_and_not_obeyed(tmp_path, judge):
    judge(0, "body", "reject")
    judge(1, "body", "reject", sample_id="demo/train/gone.jpg#0")
    rng = np.random.default_rng(1)
    write(tmp_path / "labels", [person(n, rng) for n in range(4)])  # made again, with another outcome
    selection = select(tmp_path)
    assert flags(selection).all()
    assert (selection.reviewed.stale, selection.reviewed.unknown, selection.reviewed.verdicts) == (1, 1, 0)
    assert "1 x stale verdict, not obeyed, 1 x verdict on nobody here" in selection.sentence
    rng = np.random.default_rng(0)
    write(tmp_path / "labels", [person(n, rng) for n in range(4)], config={"weight": 2})  # the same outcome again
    assert select(tmp_path).reviewed.rejected == 1


def test_the_counts_come_back_from_the_file_of_a_selection(tmp_path, judge):
    judge(0, "face", "reject")
    selection = select(tmp_path)
    stamp = write_selections(tmp_path / "selection.arrow", [selection])
    (found,) = read_selections(tmp_path / "selection.arrow", stamp)
    assert found.reviewed == selection.reviewed
    assert found.sentence == selection.sentence


def test_a_digest_is_of_every_parameter_and_of_nothing_else(labels):
    digests = label_digests(labels)
    assert len(set(digests)) == labels.num_rows
    for name in DIGESTED:
        field = labels.schema.field(name)
        values = labels[name].to_pylist()
        changed = np.array(values[2], np.float32)
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(np.inf))
        values[2] = changed.tolist()
        place = labels.schema.get_field_index(name)
        other = labels.set_column(place, field, pa.array(values, field.type))
        assert [a == b for a, b in zip(digests, label_digests(other), strict=True)] == [True, True, False, True], name
        values[2] = None
        absent = labels.set_column(place, field.with_nullable(True), pa.array(values, field.type))
        assert label_digests(absent)[2] not in (digests[2], label_digests(other)[2])
    place = labels.schema.get_field_index("body_valid")
    refused = labels.set_column(place, labels.schema.field(place), pa.array([False] * 4))
    assert label_digests(refused) == digests


def test_a_digest_does_not_know_order_or_pieces(labels):
    digests = label_digests(labels)
    assert label_digests(labels.take([3, 1])) == [digests[3], digests[1]]
    pieces = pa.concat_tables([labels.slice(0, 1), labels.slice(1, 3)])
    assert label_digests(pieces.select(sorted(pieces.column_names))) == digests


def test_a_session_without_a_verdict_leaves_no_file(tmp_path):
    ReviewSession(tmp_path / "reviews", "demo", started_utc=START, code_version="1")
    assert not (tmp_path / "reviews").exists()
    with pytest.raises(ValueError, match=r"there is no folder .*reviews"):
        read_verdicts(tmp_path / "reviews")


def test_sessions_that_start_at_once_do_not_share_a_file(judge):
    assert judge(0, "body", "accept") != judge(0, "body", "accept")


def test_what_is_no_file_of_verdicts_is_refused_by_name(tmp_path, judge):
    path = judge(0, "body", "accept")
    table = pq.read_table(path)
    for bad, sentence in (
        (table.replace_schema_metadata(None), "no file of verdicts of version 1"),
        (table.drop_columns("note"), "no file of verdicts of version 1"),
        (table.replace_schema_metadata({b"pear_review": b'{"schema_version": 2}'}), r"version 1 \(it states 2\)"),
        (table.replace_schema_metadata({b"pear_review": b"{"}), "cannot be read"),
        (table.set_column(1, table.schema.field(1), pa.array(["nose"])), "has the part 'nose', expected body"),
        (table.set_column(2, table.schema.field(2), pa.array(["maybe"])), "has the verdict 'maybe', expected accept"),
    ):
        pq.write_table(bad, path)
        with pytest.raises(ValueError, match=rf"{path.name}.*{sentence}"):
            read_verdicts(tmp_path / "reviews")
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read"):
        read_verdicts(tmp_path / "reviews")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"part": "nose"}, "a part is body, left_hand, right_hand, face, not 'nose'"),
        ({"verdict": "maybe"}, "a verdict is accept, reject, flag, none, not 'maybe'"),
        ({"reviewed_utc": START.replace(tzinfo=None)}, "needs its time zone"),
    ],
)
def test_a_verdict_that_is_none_is_refused(change, sentence):
    fields = {"sample_id": "a#0", "part": "body", "verdict": "accept", "reviewer": "me", "reviewed_utc": START}
    with pytest.raises(ValueError, match=f"a#0: .*{sentence}"):
        Review(**(fields | {"label_config_hash": "", "label_digest": ""} | change))


def test_a_rule_that_needs_verdicts_needs_their_folder():
    with pytest.raises(ValueError, match=r"labels/a: review_rule only_accepted needs the folder of the verdicts"):
        LabelSet(path="labels/a", images=".", review_rule="only_accepted")


def test_no_verdict_at_all_leaves_everything(tmp_path, labels):
    (tmp_path / "reviews").mkdir()
    verdicts = read_verdicts(tmp_path / "reviews")
    assert verdicts.table.schema.equals(REVIEW_SCHEMA)
    obedience = Obedience(verdicts, "drop_rejected")
    assert obedience.obey(labels) is labels
    assert obedience.counts().sentence == ""


SITTING = """
import sys
from datetime import UTC, datetime
from datasets_manifest.reviews.schema import Review
from datasets_manifest.reviews.session import ReviewSession

session = ReviewSession(sys.argv[1], "demo", started_utc=datetime.now(UTC), code_version="1")
for n in range(10_000):
    session.add(Review(sample_id=f"{n}", part="body", verdict="accept", reviewer="me",
                       reviewed_utc=datetime.now(UTC), label_config_hash="", label_digest=""))
    print(n, flush=True)
"""


def test_a_killed_sitting_loses_no_verdict_that_was_given(tmp_path):
    sitting = subprocess.Popen(
        [sys.executable, "-c", SITTING, str(tmp_path / "reviews")], stdout=subprocess.PIPE, text=True
    )
    assert sitting.stdout is not None
    for _ in range(20):
        sitting.stdout.readline()
    os.kill(sitting.pid, signal.SIGKILL)
    given = 19 + len(sitting.stdout.read().splitlines())
    sitting.wait()
    found = read_verdicts(tmp_path / "reviews").table["sample_id"].to_pylist()
    assert found[: given + 1] == [str(n) for n in range(given + 1)]

"""A sample is drawn blindly and the same again; the interval is exact; what was not judged is not counted."""

import numpy as np
import pytest
from scipy.stats import binom
from whole_labels import failed, person, write

from datasets_manifest.reviews.verdicts import read_verdicts
from tasks.review.audit import Audit, clopper_pearson, run_audit
from tasks.review.verdict import judge, parsed


@pytest.fixture
def labels(tmp_path):
    """60 people in three shards, every third of whose faces is refused, and two without a label."""
    rng = np.random.default_rng(0)
    rows = [person(n, rng, face_valid=n % 3 > 0) for n in range(60)]
    for shard in range(3):
        own = rows[20 * shard : 20 * shard + 20]
        write(tmp_path / "labels", [*own, failed(100 + shard, rng)], shard=shard)
    return tmp_path / "labels"


def ids(*numbers):
    return {f"demo/train/{n}.jpg#0" for n in numbers}


def verdicts(labels, audit):
    folder = labels.parent / "reviews"
    return read_verdicts(folder, audit=audit.tag) if folder.is_dir() else None


def give(labels, audit, sample, verdict, **more):
    judge(labels, labels.parent / "reviews", sample, {audit.part: verdict}, reviewer="me", audit=audit.tag, **more)


def test_the_draw_is_of_the_right_labels_and_the_same_again(labels):
    valid = ids(*(n for n in range(60) if n % 3))
    everybody = run_audit(labels, None, Audit(part="face", size=1000))
    assert set(everybody.sample) == valid
    assert everybody.population == 40
    refused = run_audit(labels, None, Audit(part="face", among="refused", size=1000))
    assert set(refused.sample) == ids(*range(0, 60, 3))  # nobody who failed
    few = run_audit(labels, None, Audit(part="face", size=7))
    assert few.sample == everybody.sample[:7]  # larger samples begin with the smaller ones
    assert few.population == 40
    assert few.sample != run_audit(labels, None, Audit(part="face", size=7, seed=1)).sample
    one = {path.name: path.read_bytes() for path in (labels / "demo/train").iterdir()}
    for name, other in zip(sorted(one), sorted(one, reverse=True), strict=True):
        (labels / "demo/train" / name).write_bytes(one[other])
    assert run_audit(labels, None, Audit(part="face", size=7)).sample == few.sample


def test_everybody_is_as_likely_to_be_drawn(labels):
    drawn = [
        sample
        for seed in range(40)
        for sample in run_audit(labels, None, Audit(part="face", size=10, seed=seed)).sample
    ]
    counts = np.array([drawn.count(sample) for sample in ids(*(n for n in range(60) if n % 3))])
    assert counts.sum() == 400
    assert binom.ppf(1e-5, 40, 0.25) <= counts.min()
    assert counts.max() <= binom.ppf(1 - 1e-5, 40, 0.25)


@pytest.mark.parametrize("among", ["valid", "refused"])
def test_the_report_counts_what_was_judged(labels, among):
    audit = Audit(part="face", among=among, size=10)
    sample = run_audit(labels, None, audit).sample
    bad, good = ("reject", "accept") if among == "valid" else ("accept", "reject")
    given = dict(zip(sample, [bad, good, good, good, "flag", "accept"], strict=False))
    for who, verdict in given.items():
        give(labels, audit, who, verdict)
    give(labels, audit, sample[5], "none")
    found = run_audit(labels, verdicts(labels, audit), audit)
    assert (found.wrong, found.right, found.unsure, found.judged) == (sample[:1], 3, 1, 4)
    assert found.open == sample[5:]
    assert found.interval == clopper_pearson(1, 4)
    assert found.reviewers == ("me",)
    assert list(found.lines())[:2] == [
        f"face, among {found.population} {among} labels: 10 drawn with the seed 0, 4 judged by me",
        "wrong: 1 of 4, 25.0% (0.6% to 80.6% at 95 %, exact)",
    ]


def test_verdicts_of_elsewhere_are_none_of_the_sample(labels):
    """Who rejects a label because of what is wrong with it did not draw it blindly."""
    audit, other = Audit(part="face", size=5), Audit(part="face", size=5, seed=3)
    sample = run_audit(labels, None, audit).sample
    give(labels, audit, sample[0], "accept")
    give(labels, other, sample[1], "reject")
    judge(labels, labels.parent / "reviews", sample[0], {"face": "reject"}, reviewer="me")  # later, outside the audit
    found = run_audit(labels, verdicts(labels, audit), audit)
    assert (found.wrong, found.right, len(found.open)) == ((), 1, 4)


def test_labels_that_came_out_anew_are_judged_again(labels):
    audit = Audit(part="body", size=1000)
    for who in run_audit(labels, None, audit).sample[:3]:
        give(labels, audit, who, "reject")
    rng = np.random.default_rng(5)
    for shard in range(3):
        write(labels, [person(n, rng) for n in range(20 * shard, 20 * shard + 20)], shard=shard)
    found = run_audit(labels, verdicts(labels, audit), audit)
    assert (found.wrong, found.stale, len(found.open)) == ((), 3, 60)
    assert "3 judged before they came out anew" in list(found.lines())


@pytest.mark.parametrize(
    ("wrong", "judged", "low", "high"),
    [
        (0, 50, 0.0, 0.0711),
        (1, 50, 0.0005, 0.1065),
        (5, 50, 0.0333, 0.2181),
        (6, 300, 0.0074, 0.0430),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(wrong, judged, low, high):
    """Its ends are the shares at which so many wrong, or more, or fewer, have 2.5 %."""
    found = clopper_pearson(wrong, judged)
    assert found == pytest.approx((low, high), abs=1e-4)
    if wrong:
        assert binom.sf(wrong - 1, judged, found[0]) == pytest.approx(0.025, rel=1e-6)
    if judged:
        assert binom.cdf(wrong, judged, found[1]) == pytest.approx(0.025, rel=1e-6)


def test_what_cannot_be_judged_is_said(labels):
    for audit, sentence in (
        ({"part": "nose"}, "an audit is of one part"),
        ({"part": "face", "among": "all"}, "among valid or refused labels, not 'all'"),
        ({"part": "face", "size": 0}, "needs somebody to judge"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Audit(**audit)
    with pytest.raises(ValueError, match="has no refused body to judge"):
        run_audit(labels, None, Audit(part="body", among="refused"))
    with pytest.raises(ValueError, match="has no labels of the data set misspelt or other"):
        run_audit(labels, None, Audit(part="body", datasets=("demo", "other", "misspelt")))
    folder = labels.parent / "reviews"
    with pytest.raises(ValueError, match=r"sample 'demo/train/none.jpg#0' is in none of the 3 shards"):
        judge(labels, folder, "demo/train/none.jpg#0", {"face": "reject"}, reviewer="me")
    with pytest.raises(ValueError, match="failed and has no label to judge"):
        judge(labels, folder, "demo/train/100.jpg#0", {"face": "reject"}, reviewer="me")
    with pytest.raises(ValueError, match="is in none of the 0 shards"):
        judge(labels, folder, "../train/0.jpg#0", {"face": "reject"}, reviewer="me")
    with pytest.raises(ValueError, match="a part is body"):
        judge(labels, folder, "demo/train/0.jpg#0", parsed(["nose=reject"]), reviewer="me")
    assert not folder.exists()


def test_verdicts_as_people_write_them():
    assert parsed(["all=accept", "face=reject"]) == {
        "body": "accept", "left_hand": "accept", "right_hand": "accept", "face": "reject",
    }  # fmt: skip
    with pytest.raises(ValueError, match="expected a part and a verdict, such as face=reject"):
        parsed(["face"])


def test_audits_of_other_data_sets_are_others_whatever_else_they_share(labels):
    rng = np.random.default_rng(1)
    write(labels, [person(n, rng, dataset="other") for n in range(5)])
    one, both = Audit(part="face", size=5, datasets=("demo",)), Audit(part="face", size=5, datasets=("other", "demo"))
    give(labels, one, run_audit(labels, None, one).sample[0], "accept")
    assert run_audit(labels, verdicts(labels, one), one).judged == 1
    for other in (both, Audit(part="face", size=5), Audit(part="face", size=5, datasets=("other",))):
        assert run_audit(labels, verdicts(labels, other), other).judged == 0
    assert both == Audit(part="face", size=5, datasets=("demo", "other"))


def test_what_was_never_said_cannot_be_taken_back(labels):
    audit, (sample,) = Audit(part="face", size=1), ids(1)
    with pytest.raises(ValueError, match=r"demo/train/1.jpg#0: me has given no verdict on its face .*to take back"):
        give(labels, audit, sample, "none")
    give(labels, audit, sample, "reject")
    with pytest.raises(ValueError, match="anna has given no verdict on its face"):
        judge(labels, labels.parent / "reviews", sample, {"face": "none"}, reviewer="anna")
    judge(labels, labels.parent / "reviews", sample, parsed(["all=none"]), reviewer="me")
    assert verdicts(labels, audit).table.num_rows == 0
    with pytest.raises(ValueError, match="me has given no verdict on its body, left_hand, right_hand, face"):
        judge(labels, labels.parent / "reviews", sample, parsed(["all=none"]), reviewer="me")

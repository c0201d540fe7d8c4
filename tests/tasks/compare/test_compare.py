"""Two sets of labels of the same people: what was moved is what is told, whoever has other shards and other numbers."""

import json
import re

import numpy as np
import pytest
from moving_people import as_photos, moving_columns, write_moving
from typer.testing import CliRunner

from fitting.sparse_body import SparseBody
from flows.cli.app import app
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from tasks.compare.page import compare_labels, lines, write_page

SHIFT_M = 0.02


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def columns():
    """Two people in each of four photos."""
    found = as_photos(moving_columns(SparseBody.from_assets(load_open_body()), people=2, frames=4, seed=8))
    found["image"] = [f"{k % 4}.jpg" for k in range(8)]
    found["sample_id"] = [f"moving/all/{k % 4}.jpg#{k // 4}" for k in range(8)]
    order = [0, 4, 1, 5, 2, 6, 3, 7]
    return {name: [values[k] for k in order] if isinstance(values, list) else values for name, values in found.items()}


def rows(columns, chosen):
    return {
        name: [values[k] for k in chosen] if isinstance(values, list) else values for name, values in columns.items()
    }


@pytest.fixture(scope="module")
def sets(columns, ehm, tmp_path_factory):
    """A: all people in two shards. B: without the last one, numbered the other way round, in one shard; a little
    nearer, somebody's elbow turned, and a hand that it does not trust."""
    folder = tmp_path_factory.mktemp("sets")
    write_moving(folder / "a", [rows(columns, range(4))], ehm.assets.entry, 0)
    write_moving(folder / "a", [rows(columns, range(4, 8))], ehm.assets.entry, 1)
    other = rows(columns, [1, 0, 3, 2, 5, 4, 6])
    other["sample_id"] = [f"moving/all/{image}#{k % 2}" for k, image in enumerate(other["image"])]
    other["transl_m"] = [own - np.array([0, 0, SHIFT_M], np.float32) for own in other["transl_m"]]
    turned = np.array(other["body_pose"][3]).reshape(21, 3)
    turned[17] += [0, 0, 0.8]  # left elbow
    other["body_pose"] = [*other["body_pose"][:3], turned.reshape(-1), *other["body_pose"][4:]]
    other["left_hand_valid"] = [k != 2 for k in range(7)]
    other["reproj_rel"] = [0.003] * 7
    write_moving(folder / "b", [other], ehm.assets.entry)
    return folder


@pytest.fixture(scope="module")
def compared(sets, ehm):
    return compare_labels(sets / "a", sets / "b", ehm, 2)


def test_people_are_paired_by_their_boxes(compared):
    figures = compared[0].figures()
    assert figures["people"] == {"both": 7, "labelled_in_both": 7, "only_a": 1, "only_b": 0}
    assert figures["status"] == [{"a": "ok", "b": "ok", "people": 7}]


def test_what_was_moved_is_told_and_nothing_else(compared):
    moved, changed = (compared[0].figures()[name] for name in ("moved", "changed"))
    assert moved["place_mm"]["median"] == pytest.approx(1000 * SHIFT_M, rel=1e-3)
    assert changed["distance_m"]["mean"] == pytest.approx(-SHIFT_M, rel=1e-3)
    assert changed["reproj_percent"]["mean"] == pytest.approx(0.2, rel=1e-3)
    assert moved["orient_deg"]["max"] < 0.1
    assert moved["pose_mm"]["median"] < 1e-2 < 5 < moved["pose_mm"]["max"]
    assert moved["face_mm"]["max"] < 1e-2
    assert abs(changed["stature_m"]["mean"]) < 1e-6


def test_a_part_counts_where_both_trust_it(compared):
    figures = compared[0].figures()
    assert figures["agreement"]["left_hand"] == {"both": 6, "only_a": 1, "only_b": 0, "neither": 0}
    assert (figures["moved"]["left_hand_mm"]["people"], figures["moved"]["right_hand_mm"]["people"]) == (6, 7)


def test_who_is_farthest_apart_is_first(compared):
    first, second = compared[0].worst
    assert (first.a["sample_id"], first.b["sample_id"]) == ("moving/all/1.jpg#0", "moving/all/1.jpg#1")
    assert first.joints_mm > 5 > second.joints_mm


def test_the_other_way_round_it_is_the_same_with_the_other_sign(sets, ehm, compared):
    one, other = compared[0].figures(), compare_labels(sets / "b", sets / "a", ehm, 0)[0].figures()
    assert other["people"] == {"both": 7, "labelled_in_both": 7, "only_a": 0, "only_b": 1}
    assert other["moved"]["joints_mm"]["mean"] == pytest.approx(one["moved"]["joints_mm"]["mean"])
    assert other["changed"]["distance_m"]["mean"] == pytest.approx(-one["changed"]["distance_m"]["mean"])


def test_the_page_is_whole_and_asks_for_nothing(compared, ehm, tmp_path):
    def photo(dataset, split, image):
        if image == "1.jpg":
            return np.full((240, 320, 3), 127, np.uint8)
        raise OSError("it is gone")

    differences, origins = compared
    write_page(("a", "b"), differences, origins, photo, ehm, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 1
    assert "The photo cannot be shown: it is gone" in page
    assert "moving/all/1.jpg#0" in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    told = lines(("a", "b"), differences)
    assert told[0] == "7 people in both (7 with a label in both), 1 only in a, 0 only in b"
    assert any(line.startswith("Reprojection error: +0.2") for line in told)


def test_mistakes_are_one_sentence(sets, ehm, tmp_path, columns):
    with pytest.raises(ValueError, match="has no labels"):
        compare_labels(sets / "a", tmp_path, ehm, 0)
    for name in ("one", "two"):
        write_moving(tmp_path / "labels", [rows(columns, [0])], ehm.assets.entry, dataset=name)
    with pytest.raises(
        ValueError, match=r"no data set is in both: the first has moving/all, the second one/all, two/all"
    ):
        compare_labels(sets / "a", tmp_path / "labels", ehm, 0)
    paired, _ = compare_labels(sets / "a", tmp_path / "labels/one", ehm, 0)
    assert paired.figures()["people"]["both"] == 1, "the only one of each, whatever they are called"
    write_moving(tmp_path / "other", [rows(columns, [0])], ehm.assets.entry | {"sha256": "0" * 64})
    with pytest.raises(ValueError, match="labels of two bodies cannot be compared"):
        compare_labels(sets / "a", tmp_path / "other", ehm, 0)


def test_the_command_prints_json(sets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("annotate: {datasets: [demo_people]}\n")
    answer = CliRunner().invoke(app, ["compare", str(sets / "a"), str(sets / "b"), "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["people"]["both"] == 7
    answer = CliRunner().invoke(app, ["compare", str(sets / "a"), str(sets / "b")])
    assert answer.exit_code == 0, answer.output
    assert (tmp_path / "reports/compare/index.html").is_file()

"""The report page: says everything, asks for nothing, stays small, and survives what real runs contain."""

import base64
import dataclasses
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from table_rows import table_from_rows

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import ERROR_SENTENCES, ErrorCode
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, make_sample_id
from datasets_manifest.schema.people import PeopleCount
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sources.images import ImageError
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.people import RestShape
from tasks.report.data import LabelStatistics
from tasks.report.figures import histogram, histogram_svg
from tasks.report.page import draw_label, write_report
from tasks.report.settings import ReportConfig
from tasks.synthetic.person import SyntheticConfig, render_person

RENDER = SyntheticConfig(count=4, image_width=96, image_height=128, supersample=1)
SMALL = ReportConfig(num_worst_of_part=0, num_worst=2, num_random=2, num_failed=3, tile_px=64)


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def people(ehm):
    rest = RestShape.from_assets(ehm.assets)
    return [render_person(index, RENDER, ehm, rest) for index in range(RENDER.count)]


def label_row(index, truth, **changes):
    """A row as the refinement writes it, from the truth of a rendered person."""
    kept = {name: truth[name] for name in (*LABEL_PARAMETERS, "bbox_xyxy", "focal_px", "principal_px")}
    image = f"images/{index:06d}.jpg"
    row = {
        "sample_id": make_sample_id("people", "train", image, 0),
        "dataset": "people",
        "split": "train",
        "image": image,
        "image_width": truth["image_width"],
        "image_height": truth["image_height"],
        "person": 0,
        "status": "ok",
        "bbox_source": "manifest",
        "keypoints_2d": truth["keypoints_2d"],
        "hand_scale": np.ones(3),
        **kept,
        **{f"{part}_valid": True for part in PART_NAMES},
        **{f"reproj_{part}_px": 1.0 + index for part in PART_NAMES},
        "reproj_rel": 0.01 * (1 + index),
        "inlier_ratio": 0.9,
        **{f"{part}_quality": 0.8 for part in PART_NAMES},
        "body_group_valid": np.ones(6, bool),
        "converged": True,
        "iterations": 8,
        "moved_rad": 0.1,
        "joint_seen": np.ones(22, bool),
    }
    return {**row, **changes}


def failed_row(index, code, detail="", **changes):
    image = f"images/failed_{index:03d}.jpg"
    return {
        "sample_id": make_sample_id("people", "train", image, 0),
        "dataset": "people",
        "split": "train",
        "image": image,
        "person": 0,
        "status": "failed",
        "error_code": code,
        "error_detail": detail,
        **{f"{part}_valid": False for part in PART_NAMES},
        **changes,
    }


def write_labels(folder, rows, ehm, shard="00000", **changes):
    footer = Footer(
        config={"iterations": 33},
        code_version="0.1.0",
        manifest={"id": "people", "version": "1", "hash": "ab" * 32},
        shard=shard,
        body_model={"name": ehm.assets.smplx.name, "sha256": ehm.assets.sha256, "licence": "CC0-1.0"},
        estimators=({"part": "body", "name": "simulated", "version": "1", "weights_sha256": "", "licence": "none"},),
    )
    footer = dataclasses.replace(footer, **changes)
    write_shard(folder / "people" / "train" / f"{shard}.parquet", table_from_rows(rows, LABEL_SCHEMA), footer)
    return footer


@pytest.fixture(scope="module")
def report(tmp_path_factory, ehm, people):
    """A page over two shards: four labels, one partial, one failed row for each reason; one photo is gone."""
    folder = tmp_path_factory.mktemp("report")
    rows = [label_row(k, person.truth) for k, person in enumerate(people)]
    rows[1] |= {"status": "partial", "error_code": "estimator_refused", "left_hand_valid": False}
    footer = write_labels(folder / "labels", rows, ehm)
    codes = list(ErrorCode)
    nasty = "<script>alert('x')</script> & \"quotes\""
    write_labels(folder / "labels", [failed_row(k, code, nasty) for k, code in enumerate(codes)], ehm, shard="00001")
    asked = []

    def load(dataset, split, image):
        asked.append((dataset, split, image))
        if image == f"images/failed_{codes.index(ErrorCode.BODY_NOT_FOUND):03d}.jpg":
            raise ImageError(ErrorCode.IMAGE_MISSING, "gone")
        return people[int(image[-6:-4]) % len(people)].rgb

    summary = write_report(
        LabelStatistics.of(folder / "labels", SMALL),
        load,
        ehm,
        folder / "page" / "index.html",
        plot=folder / "page" / "errors.png",
    )
    return summary, summary.path.read_text(encoding="utf-8"), asked, footer


def test_the_page_is_well_formed_and_asks_for_nothing(report):
    _, page, _, _ = report
    attributes, open_tags = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            attributes.extend((tag, name, value or "") for name, value in attrs)
            if tag not in ("meta", "img", "br", "input"):
                open_tags.append(tag)

        def handle_startendtag(self, tag, attrs):
            attributes.extend((tag, name, value or "") for name, value in attrs)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Reader().feed(page)
    assert not open_tags
    assert {tag for tag, _, _ in attributes}.isdisjoint({"script", "link", "iframe"})
    assert all(value.startswith("data:") for _, name, value in attributes if name in ("src", "href"))
    assert not re.search(r"https?://|@import|url\(", page)


def test_every_reason_is_there_with_its_sentence_and_markup_in_data_is_harmless(report):
    summary, page, _, _ = report
    reasons = set(ErrorCode) - {ErrorCode.NO_PERSON_FOUND}
    for code in reasons:
        assert f"<code>{code.value}</code>" in page
        assert ERROR_SENTENCES[code].split(";")[0].replace("'", "&#39;") in page
    assert "<script>" not in page
    assert summary.reasons["estimator_refused"] == 2
    assert set(summary.reasons) == {code.value for code in reasons}


def test_counts_and_provenance(report, ehm):
    summary, page, _, footer = report
    photos, failed = 4 + len(ErrorCode), len(ErrorCode) - 1
    assert summary.count == PeopleCount(ok=3, partial=1, failed=failed, photos=photos, empty_photos=1)
    assert summary.count.sentence in page
    assert "photo without people" in page
    (empty,) = re.findall(r"<h2>Photos without people</h2>.*?<h2>", page, re.DOTALL)
    assert "no_person_found" in empty
    assert "Left side blue" not in empty
    assert '"chip failed"' not in empty
    assert footer.config_hash in page
    assert ehm.assets.sha256[:16] in page
    assert "simulated" in page


def test_only_the_chosen_people_are_asked_for_and_drawn(report):
    summary, page, asked, _ = report
    assert len(asked) == len(set(asked)) == 2 + 2 + 3 + 1
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == summary.num_drawn == 7  # one photo is gone
    assert "The photo cannot be shown" in page
    shapes = [cv2.imdecode(np.frombuffer(base64.b64decode(p), np.uint8), 1).shape for p in pictures]
    assert shapes == [(64, 192, 3)] * 4 + [(64, 64, 3)] * 3
    assert summary.size_bytes == len(page.encode("utf-8")) < 1_000_000


def test_the_worst_come_first(report):
    _, page, _, _ = report
    first, second = (page.index(f"people/train/images/{k:06d}.jpg#0</div>") for k in (3, 2))
    assert first < second < page.index("Drawn at random")


def test_the_plot_is_a_picture(report):
    summary, _, _, _ = report
    plot = cv2.imread(str(summary.path.parent / "errors.png"))
    assert plot.shape[0] > 200
    assert plot.std() > 5


def test_the_size_is_bounded(tmp_path, ehm, people):
    write_labels(tmp_path / "labels", [label_row(k, p.truth) for k, p in enumerate(people)], ehm)
    config = dataclasses.replace(SMALL, num_worst=4, max_bytes=1)
    summary = write_report(
        LabelStatistics.of(tmp_path / "labels", config), lambda *_: people[0].rgb, ehm, tmp_path / "index.html"
    )
    assert summary.num_drawn == 1
    assert "3 pictures were left out" in summary.path.read_text(encoding="utf-8")


def test_photos_without_any_person_make_a_page(tmp_path, ehm, people):
    write_labels(tmp_path / "labels", [failed_row(0, "no_person_found")], ehm)
    summary = write_report(
        LabelStatistics.of(tmp_path / "labels", SMALL), lambda *_: people[0].rgb, ehm, tmp_path / "index.html"
    )
    assert (summary.count.people, summary.count.empty_photos) == (0, 1)
    assert "no values" in summary.path.read_text(encoding="utf-8")


def test_a_limb_that_may_not_supervise_is_hatched_and_says_why(tmp_path, ehm, people):
    """Only where the body lies: hands and face have flags of their own."""
    said = "left_leg: visibility 0.12, needed 0.3"
    flags = np.array([True, True, True, True, False, True])
    rows = [label_row(0, people[0].truth, body_group_valid=flags, body_group_detail=said)]
    write_labels(tmp_path / "labels", rows, ehm)
    labels = LabelStatistics.of(tmp_path / "labels", SMALL)
    page = write_report(labels, lambda *_: people[0].rgb, ehm, tmp_path / "index.html").path.read_text()
    assert page.count(f"Limbs that may not supervise: {said}") == 1
    label = labels.read([0])[0]
    whole = draw_label(people[0].rgb, label | {"body_group_valid": [True] * 6}, ehm, 128)
    hatched = draw_label(people[0].rgb, label, ehm, 128)
    changed = (whole != hatched).any(-1)[:, 128:256]
    assert 0.01 < changed.mean() < 0.2
    assert np.array_equal(whole, draw_label(people[0].rgb, label | {"body_group_valid": None}, ehm, 128))


def test_labels_of_another_body_are_refused(tmp_path, ehm):
    other = {"name": "other", "sha256": "f" * 64, "licence": ""}
    write_labels(tmp_path / "labels", [failed_row(0, "no_person_found")], ehm, body_model=other)
    with pytest.raises(ValueError, match="body model"):
        write_report(LabelStatistics.of(tmp_path / "labels", SMALL), lambda *_: None, ehm, tmp_path / "index.html")


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no shard"):
        LabelStatistics.of(tmp_path, SMALL)


def test_a_histogram_counts_every_finite_value():
    values = np.array([0.0, 1.0, 2.0, np.nan, np.inf, 500.0])
    counts, edges = histogram(values)
    assert counts.sum() == 4
    assert edges[0] == 0
    assert "no values" in histogram_svg(np.array([np.nan]), "px")

"""What is told of labels: numbers that were put in, people who were put far out or in twice, labels that drifted."""

import json
import re

import cv2
import numpy as np
import pytest
from moving_people import as_photos, moving_columns, write_moving
from scipy.spatial.transform import Rotation
from scipy.stats import ks_2samp
from typer.testing import CliRunner

from fitting.sparse_body import SparseBody
from flows.cli.app import app
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from tasks.posing import pose_bodies
from tasks.stats.duplicates import Crop, Crops, alike, fingerprint
from tasks.stats.page import figures, lines, write_page
from tasks.stats.quantities import QUANTITIES, PeopleNumbers, drift

NUM = 12


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def columns(ehm):
    """Somebody in each of twelve photos; the last far away, the first without a trusted body."""
    found = as_photos(moving_columns(SparseBody.from_assets(ehm.assets), people=1, frames=NUM, seed=4))
    found["image"] = [f"{k}.jpg" for k in range(NUM)]
    found["sample_id"] = [f"moving/all/{k}.jpg#0" for k in range(NUM)]
    found["transl_m"] = [np.array([0, 0, 4 + 0.1 * k if k < NUM - 1 else 90], np.float32) for k in range(NUM)]
    found["body_valid"] = [k > 0 for k in range(NUM)]
    return found


@pytest.fixture(scope="module")
def labels(columns, ehm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stats")
    write_moving(folder / "labels", [columns], ehm.assets.entry)
    return folder / "labels"


@pytest.fixture(scope="module")
def numbers(labels, ehm):
    return PeopleNumbers.of(labels, ehm)


def test_numbers_are_those_of_the_labels(numbers, columns, ehm):
    assert numbers.samples == columns["sample_id"]
    assert np.isnan(numbers.values("distance_m")[0]), "a body that is not trusted does not count"
    np.testing.assert_allclose(numbers.values("distance_m")[1:], [own[2] for own in columns["transl_m"][1:]], rtol=1e-5)
    np.testing.assert_allclose(numbers.values("view_deg"), np.degrees(2 * np.arctan(160 / 300)), rtol=1e-5)
    elbows = np.degrees(np.linalg.norm(np.stack(columns["body_pose"]).reshape(NUM, 21, 3)[:, [17, 18]], axis=-1)).max(1)
    np.testing.assert_allclose(numbers.values("elbows")[1:], elbows[1:], rtol=1e-3)
    shapes = {name: np.stack(columns[name]) for name in ("betas", "flame_shape", "head_scale")}
    rest = pose_bodies(ehm, shapes).vertices.numpy()
    np.testing.assert_allclose(numbers.values("stature_m")[1:], np.ptp(rest[1:, :, 1], axis=1), atol=5e-3)
    assert numbers.figures()["distance_m"]["people"] == NUM - 1
    assert set(numbers.figures()) == set(QUANTITIES)


def test_who_stands_upright_and_faces_the_camera_has_no_tilt(columns, ehm, tmp_path):
    def turned(about, degrees):
        facing = Rotation.from_euler("x", 180, degrees=True)
        return (Rotation.from_euler(about, degrees, degrees=True) * facing).as_rotvec()

    own = columns | {"global_orient": [turned("z", 0), turned("z", 30), turned("y", 50), *columns["global_orient"][3:]]}
    write_moving(tmp_path, [own | {"body_valid": [True] * NUM}], ehm.assets.entry)
    found = PeopleNumbers.of(tmp_path, ehm)
    np.testing.assert_allclose(found.values("tilt")[:3], [0, 30, 0], atol=0.05)
    np.testing.assert_allclose(found.values("facing")[:3], [0, 0, 50], atol=0.05)


def test_who_is_far_out_is_named(numbers):
    first = numbers.outliers(5)[0]
    assert (first["sample_id"], first["quantity"]) == (f"moving/all/{NUM - 1}.jpg#0", "distance_m")
    assert first["value"] == pytest.approx(90)
    assert numbers.num_outliers() >= 1


def test_drift_is_the_statistic_of_the_library(numbers, columns, ehm, tmp_path):
    moved = columns | {"transl_m": [own + np.array([0, 0, 3], np.float32) for own in columns["transl_m"]]}
    write_moving(tmp_path, [moved], ehm.assets.entry)
    now = PeopleNumbers.of(tmp_path, ehm)
    found = drift(now, numbers)
    wanted = ks_2samp(now.values("distance_m")[1:], numbers.values("distance_m")[1:]).statistic
    assert found["distance_m"]["largest_gap"] == pytest.approx(wanted, abs=1e-4)
    assert found["distance_m"]["now"] - found["distance_m"]["before"] == pytest.approx(3, abs=1e-4)
    assert found["distance_m"]["largest_gap"] > found["distance_m"]["gap_of_chance"]
    assert found["stature_m"]["largest_gap"] == 0


def picture(seed, height=240, width=320):
    noise = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def test_a_fingerprint_survives_another_size_and_compression_and_tells_people_apart():
    box = np.array([40.0, 20.0, 200.0, 220.0])
    first = fingerprint(picture(0), box)
    smaller = cv2.resize(picture(0), (160, 120), interpolation=cv2.INTER_AREA)
    packed = cv2.imdecode(cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    again = fingerprint(np.array(packed), box / 2)
    others = [fingerprint(picture(seed), box) for seed in range(1, 20)]
    assert first is not None
    assert again is not None
    assert (first ^ again).bit_count() <= 3
    assert min((first ^ other).bit_count() for other in others if other is not None) > 10
    assert fingerprint(np.full((240, 320, 3), 90, np.uint8), box) is None
    assert fingerprint(picture(0), np.array([400.0, 0, 500, 100])) is None


def test_pairs_are_those_that_comparing_all_finds():
    rng = np.random.default_rng(0)
    base = [int(rng.integers(0, 2**63)) for _ in range(30)]
    bits = [own ^ sum(1 << int(k) for k in rng.choice(64, n, replace=False)) for own in base for n in (0, 1, 3, 5)]
    crops = [Crop(f"s{k}", ("d", "all"), f"p{k}", own) for k, own in enumerate(bits)]
    found = {(pair.a.sample_id, pair.b.sample_id) for pair in alike(crops)}
    wanted = {
        (a.sample_id, b.sample_id)
        for k, a in enumerate(crops)
        for b in crops[k + 1 :]
        if (a.bits ^ b.bits).bit_count() <= 3
    }
    assert {frozenset(own) for own in found} == {frozenset(own) for own in wanted}
    with pytest.raises(ValueError, match="less than 4"):
        alike(crops, 4)


def test_people_of_one_video_are_no_duplicates_and_splits_are_told_apart():
    crops = [Crop("a", ("d", "train"), "d/v.mp4", 7), Crop("b", ("d", "train"), "d/v.mp4", 7)]
    assert alike(crops) == []
    (pair,) = alike([*crops, Crop("c", ("d", "val"), "d/other.jpg", 7)])
    assert (pair.a.sample_id, pair.b.sample_id, pair.across) == ("a", "c", True)


def test_the_page_is_whole_and_says_the_same_as_the_json(numbers, columns, ehm, tmp_path):
    """Photo 3 is photo 2 again, photo 5 is gone."""

    def photo(dataset, split, image):
        number = int(image.split(".")[0])
        if number == 5:
            raise OSError("gone")
        return picture(2 if number == 3 else number)

    crops = Crops(photo)
    write_moving(tmp_path / "whole", [columns | {"bbox_xyxy": [[0.0, 0, 320, 240]] * NUM}], ehm.assets.entry)
    PeopleNumbers.of(tmp_path / "whole", ehm, crops.add)
    told = figures(numbers, crops, numbers)
    assert told["duplicates"]["pairs"] == [{"a": "moving/all/2.jpg#0", "b": "moving/all/3.jpg#0", "bits": 0}]
    assert (told["duplicates"]["within"], told["duplicates"]["across"], told["duplicates"]["photos_lost"]) == (1, 0, 1)
    json.dumps(told)
    write_page("labels", numbers, told, "before", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "moving/all/2.jpg#0" in page
    assert page.count("<svg") == len(QUANTITIES)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "0 pairs look alike across splits or data sets, 1 within one" in lines(told)


def test_the_command_prints_json_and_names_mistakes(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("annotate: {datasets: [demo_people]}\n")
    answer = CliRunner().invoke(app, ["stats", str(labels), "--json", "--no-photos"])
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert told["people"] == NUM
    assert "duplicates" not in told
    answer = CliRunner().invoke(app, ["stats", str(labels)])
    assert answer.exit_code == 0, answer.output
    assert f"{NUM} photos cannot be read" in answer.stdout
    answer = CliRunner().invoke(app, ["stats", "nowhere"])
    assert answer.exit_code == 2
    assert "has no labels of anybody" in answer.output

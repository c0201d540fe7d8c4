"""Tracks on the report page: counted, measured, chosen alike whatever the order, drawn in one colour throughout."""

import re

import cv2
import numpy as np
import pytest
from moving_people import HEIGHT, WIDTH, bridge, moving_columns, write_moving

from datasets_manifest.shards.shard import Shard
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.renderer.track_colours import track_rgb
from tasks.posing import JointBody
from tasks.report.data import LabelStatistics
from tasks.report.page import write_report
from tasks.report.settings import ReportConfig
from tasks.report.track_cards import frames_of, group_table, moment_of
from tasks.report.track_pictures import draw_frames, draw_moment, draw_world
from tasks.report.tracks import track_metrics
from tasks.tracks.acceleration import accelerations
from tasks.tracks.labelled import Track
from tasks.tracks.world import Placed

SMALL = ReportConfig(num_tracks=1, num_worst=0, num_random=0, num_worst_of_part=0, tile_px=64)
NAME = ("moving", "all")


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def groups():
    """A scene of two people in four views, and a clip whose labels jitter, with a gap."""
    body = SparseBody.from_assets(load_open_body())
    scene = moving_columns(body, group="studio", people=2, frames=5, views=4, seed=5)
    clip = moving_columns(body, group="clip.mp4", frames=9, seed=4)
    rng = np.random.default_rng(0)
    clip["body_pose"] = [pose + rng.normal(0, 0.03, pose.shape) for pose in clip["body_pose"]]
    clip["frames_joined"] = [True] * 5 + [False] * 4
    clip["group_detail"] = [None] * 5 + [f"the points are {k}.5 px off" for k in range(4)]
    bridge(clip, [3])
    return scene, clip


@pytest.fixture(scope="module")
def labels(tmp_path_factory, groups, ehm):
    folder = tmp_path_factory.mktemp("labels")
    for shard, group in enumerate(groups):
        write_moving(folder, [group], ehm.assets.entry, shard)
    return folder


@pytest.fixture(scope="module")
def statistics(labels, ehm):
    return LabelStatistics.of(labels, SMALL, JointBody(ehm))


def test_tracks_are_counted(statistics):
    counts = statistics.tracks.datasets[NAME]
    assert (counts.groups, counts.cameras, counts.tracks) == (2, (1, 4), 3)
    assert (counts.joined, counts.alone, counts.bridged) == (40 + 4, 4, 1)
    (reason,) = counts.list_reasons()
    assert (reason.detail, reason.count) == ("the points are 0.5 px off", 4)
    assert track_metrics(counts) == {
        "groups": 2, "tracks": 3, "joined_share": round(44 / 48, 4),
        "joints_acceleration_m_s2": round(float(np.median(counts.joints_m_s2)), 4),
        "place_acceleration_m_s2": round(float(np.median(counts.place_m_s2)), 4),
    }  # fmt: skip


def test_accelerations_are_those_of_the_joints_in_the_world(statistics, groups, ehm):
    """A camera that moved would not change them; the same through every camera."""
    scene, _ = groups
    own = [k for k in range(40) if scene["track"][k] == 1 and scene["camera"][k] == "cam0"]
    from_label = {name: np.stack([scene[name][k] for k in own]) for name in ("global_orient", "body_pose", "transl_m")}
    betas = {name: np.stack([scene[name][k] for k in own]) for name in ("betas", "head_scale", "flame_shape")}
    joints = JointBody(ehm).joints(from_label | betas)[:, :22]
    expected = np.nanmedian(accelerations(joints[:, 1:] - joints[:, :1], np.arange(5) / 30))
    found = statistics.tracks.datasets[NAME].joints_m_s2
    assert found[1 + 0] == pytest.approx(expected, rel=1e-3)
    assert max(found) == found[2] > 5 * found[1], "the clip jitters"


def test_a_choice_does_not_depend_on_the_order_of_shards(labels, ehm, statistics):
    names = [summary.name for summary in statistics.tracks.chosen()]
    assert names[0] == Track("clip.mp4", 0)
    assert len(names) == 2
    turned = LabelStatistics(SMALL, JointBody(ehm))
    for path in sorted(labels.rglob("*.parquet"), reverse=True):
        with Shard(path) as shard:
            turned.tracks.add(shard)
    assert [summary.name for summary in turned.tracks.chosen()] == names


def test_many_tracks_are_not_kept(statistics):
    """Names of a few, two numbers of each."""
    kept = LabelStatistics(SMALL)
    for summary in [*statistics.tracks.chosen()] * 50:
        kept.tracks._rank(summary)
    assert len(kept.tracks._worst) + len(kept.tracks._random) <= 3


def test_a_person_has_one_colour_in_all_frames_and_views(labels, ehm):
    table = group_table(next(labels.rglob("00000.parquet")), "studio")
    grey = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    frames, moment = frames_of(table, Track("studio", 1), 3), moment_of(table, 2)
    assert [(label["frame"], label["track"]) for label in frames] == [(0, 1), (2, 1), (4, 1)]
    assert len({label["camera"] for label in frames}) == 1
    assert sorted((label["camera"], label["track"]) for label in moment) == [
        (f"cam{view}", track) for view in range(4) for track in range(2)
    ]

    def shown(picture, track):
        """Share of the pixels that have about the hue of a track."""
        (hue, *_), *own = cv2.cvtColor(
            np.concatenate([[track_rgb(track)], picture.reshape(-1, 3)])[None].astype(np.float32), cv2.COLOR_RGB2HSV
        )[0].tolist()
        return np.mean([abs(h - hue) < 22 and s > 0.15 for h, s, _ in own])

    strip = draw_frames(frames, lambda _: grey, ehm, 64)
    assert strip.shape == (64, 192, 3)
    for k in (0, 64, 128):
        assert shown(strip[:, k : k + 64], 1) > 0.05
        assert shown(strip[:, k : k + 64], 0) < 0.002, "mixed with the grey at the rim"
    sheet = draw_moment(moment, lambda _: grey, ehm, 64)
    assert sheet.shape == (64 + 128, 256, 3)
    for track in range(2):
        assert all(shown(sheet[:64, k : k + 64], track) > 0.002 for k in range(0, 256, 64))
        assert all(shown(sheet[64:, k : k + 128], track) > 0.0005 for k in (0, 128))


def test_the_same_people_lie_on_each_other_in_the_world(labels, ehm):
    """Labels of all views give one body a person; those of one view alone give the same picture but for its cameras."""
    moment = moment_of(group_table(next(labels.rglob("00000.parquet")), "studio"), 0)
    placed = Placed.of(np.stack([np.reshape(label["world_to_camera"], (3, 4)) for label in moment]))
    pelvis = placed.to_world(np.stack([label["transl_m"] for label in moment])[:, None])[:, 0]
    for track in range(2):
        own = pelvis[[label["track"] == track for label in moment]]
        np.testing.assert_allclose(own, own[:1].repeat(4, 0), atol=1e-5)
    assert [picture.shape for picture in draw_world(moment, ehm, 48)] == [(48, 48, 3)] * 2


@pytest.mark.long
def test_the_page_has_a_section_of_tracks(tmp_path, ehm, statistics, labels):
    grey = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    page = write_report(statistics, lambda *_: grey, ehm, tmp_path / "index.html").path.read_text()
    (section,) = re.findall(r"<h2>Tracks</h2>.*?<h2>Data sets</h2>", page, re.DOTALL)
    assert "the points are 0.5 px off" in section
    assert "moving/all/clip.mp4 track 0" in section
    assert section.count("<img") == 3, "frames of both tracks, and a moment of the scene"
    assert "1 bridged" in section
    small = LabelStatistics.of(labels, ReportConfig(num_tracks=1, max_bytes=1), JointBody(ehm))
    page = write_report(small, lambda *_: grey, ehm, tmp_path / "small.html").path.read_text()
    assert page.count("<img") == 1
    assert "left out to keep the page small" in page

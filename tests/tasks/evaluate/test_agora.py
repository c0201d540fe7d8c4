"""AGORA's protocol on photos of several people, written as its files are, with the open body: figures by hand."""

import pickle

import cv2
import numpy as np
import pytest
from moving_people import as_photos, moving_columns, write_moving

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.adapters.sequences.agora_photos import agora_photos
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import image_id_of
from datasets_manifest.shards.shard import Shard
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from tasks.evaluate.agora import AgoraErrors
from tasks.evaluate.agora_table import agora_markdown
from tasks.evaluate.on_benchmarks import BenchmarkRun, evaluate_on
from tasks.evaluate.results import REPORT
from tasks.evaluate.said import Said
from tasks.posing import pose_bodies, smplx_points

FOCAL_PX = 640.0
"""Of a small picture of a camera of 18 mm."""
PHOTOS = [f"ag_validationset_renderpeople_bfh_archviz_5_10_cam02_{k:05d}" for k in range(3)]
MANIFEST = """
id: agora_like
version: "1"
licence: CC0
access: here
adapter: sequence_pickle
root: {root}
split: val
layout: {{kind: agora, files: ["*_withjv.pkl"], images: images, small_pictures: true}}
boxes: manifest
keypoints: coco_wholebody
purpose: test
"""


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def columns(ehm):
    """Three people in each of two photos, side by side, as labels."""
    found = as_photos(moving_columns(SparseBody.from_assets(ehm.assets), people=3, frames=2, seed=3))
    found["sample_id"] = [f"agora_like/val/{PHOTOS[k % 2]}#{k // 2}" for k in range(6)]
    found |= {"split": ["val"] * 6, "image": [f"images/{PHOTOS[k % 2]}_1280x720.png" for k in range(6)]}
    found |= {"image_width": [1280] * 6, "image_height": [720] * 6, "focal_px": [FOCAL_PX] * 6}
    found["principal_px"] = [np.float32([640, 360])] * 6
    found["bbox_xyxy"] = [(own - [160, 120, 160, 120]) * FOCAL_PX / 300 + [640, 360, 640, 360]
                          for own in found["bbox_xyxy"]]  # fmt: skip
    order = [0, 2, 4, 1, 3, 5]  # people of a photo follow each other
    return {name: [values[k] for k in order] for name, values in found.items()}


@pytest.fixture(scope="module")
def posed(columns, ehm):
    """Points (6, 127, 3) and vertices of these labels."""
    out = pose_bodies(ehm, {name: np.stack(columns[name]) for name in LABEL_PARAMETERS})
    return smplx_points(out.joints, out.keypoints)[:, :127], out.vertices.double().numpy()


def rows_of(posed, **changes):
    """What a file says of the same people: the third of the first photo is a kid, the first of the other is covered."""
    points, meshes = posed
    pixels = 3 * (FOCAL_PX * points[..., :2] / points[..., 2:] + [640, 360])
    rows = []
    for k in range(2):
        own = slice(3 * k, 3 * k + 3)
        rows.append(
            {
                "imgPath": f"{PHOTOS[k]}.png",
                "isValid": [True, True, True],
                "occlusion": [0.0, 15.0, 40.0] if k == 0 else [95.0, 20.0, 20.5],
                "kid": [False, False, k == 0],
                "gt_joints_2d": list(pixels[own]),
                "gt_joints_3d": list(points[own]),
                "gt_verts": list(meshes[own]),
            }
            | changes
        )
    return rows


def measured(columns, rows, ehm, tmp_path, keep=range(6), **changes):
    """What labels of some of these people, changed, come to."""
    own = {name: [values[k] for k in keep] for name, values in (columns | changes).items()}
    own["sample_id"] = [f"{name.partition('#')[0]}#{k}" for k, name in enumerate(own["sample_id"])]
    path = write_moving(tmp_path, [own], ehm.assets.entry, dataset="agora_like")
    with Shard(path) as shard:
        labels = Columns(shard.table(shard.schema))
    errors = AgoraErrors(ehm.assets, None, agora_photos(rows))
    errors._bodies[ehm.size] = ehm
    for photo in PHOTOS[: len(rows)]:
        mine = np.flatnonzero([image_id_of(name) == photo for name in labels["sample_id"]])
        errors.add(Said([ImageRecord(image_id=photo, path=photo)], labels.take(mine)))
    return errors


def test_labels_that_are_the_truth_have_no_error_whoever_is_where(columns, posed, ehm, tmp_path):
    """People of a photo come in another order, and nearer: parts are moved by their own joints."""
    nearer = {"transl_m": [own * 0.9 for own in columns["transl_m"]]}
    figures = measured(columns, rows_of(posed), ehm, tmp_path, keep=[2, 0, 1, 5, 4, 3], **nearer).figures()
    everybody = figures["groups"]["all"]
    assert (everybody["found"], everybody["missed"], everybody["false"]) == (5, 0, 1)
    assert everybody["mve"]["f1"] == round(5 / 5.5, 2)
    assert everybody["mve"]["body_mm"] == everybody["mve"]["all_mm"] == everybody["mpjpe"]["normalised_all_mm"] == 0
    assert (figures["groups"]["adults"]["found"], figures["groups"]["kids"]["found"]) == (4, 1)


def test_errors_are_those_of_numpy_and_misses_count_as_the_official_program_has_them(columns, posed, ehm, tmp_path):
    turned = [own.copy() for own in columns["body_pose"]]
    turned[1].reshape(21, 3)[17] += [0, 0, 0.5]  # left elbow
    turned[1] = turned[1].reshape(-1)
    errors = measured(columns, rows_of(posed), ehm, tmp_path, keep=[1, 2], body_pose=turned)
    own, points, known = errors.errors[PHOTOS[0], 1], posed[0][1], posed[1][1]
    said = pose_bodies(ehm, {name: np.stack((columns | {"body_pose": turned})[name])[1:2] for name in LABEL_PARAMETERS})
    joints, mesh = smplx_points(said.joints, said.keypoints)[0, :127], said.vertices[0].double().numpy()
    for part, about, rows in (
        ("body", [1, 2], slice(22)),
        ("left_hand", [20], slice(25, 40)),
        ("face", [12], slice(76, 127)),
    ):
        shift = joints[about].mean(0) - points[about].mean(0)
        ids = errors.vertices.ids[part]
        wanted = np.linalg.norm(mesh[ids] - known[ids] - shift, axis=1).mean()
        assert own[f"agora_mve_{part}_mm"] == pytest.approx(1000 * wanted, rel=1e-6)
        wanted = np.linalg.norm(joints[rows] - points[rows] - shift, axis=1).mean()
        assert own[f"agora_mpjpe_{part}_mm"] == pytest.approx(1000 * wanted, rel=1e-6)
    everybody = errors.figures()["groups"]["all"]
    assert (everybody["found"], everybody["missed"], everybody["false"]) == (2, 3, 0)
    body, hand = (own[f"agora_mve_{part}_mm"] for part in ("body", "left_hand"))
    assert everybody["mve"]["body_mm"] == pytest.approx(body / 2, abs=0.051)
    assert hand > 5
    assert everybody["mve"]["left_hand_mm"] == pytest.approx(hand / 3, abs=0.051), (
        "a miss is 0 mm where anybody is said"
    )


def test_errors_are_told_by_occlusion(columns, posed, ehm, tmp_path):
    bins = measured(columns, rows_of(posed), ehm, tmp_path, keep=[0, 1, 2, 4]).figures()["occlusion"]
    told = [(own["percent"], own["people"], own["missed_percent"]) for own in bins]
    assert told == [([0, 10], 1, 0.0), ([10, 20], 2, 0.0), ([20, 30], 1, 100.0), ([30, 40], 1, 0.0)]
    assert "mve_body_mm" not in bins[2]


def test_extra_people_people_twice_and_people_of_nowhere_are_false(columns, posed, ehm, tmp_path):
    places = [own.copy() for own in columns["transl_m"]]
    places[3] = np.float32([0, 0, -2])  # behind the camera
    errors = measured(columns, rows_of(posed), ehm, tmp_path, keep=[0, 0, 1, 2, 3, 4, 5], transl_m=places)
    everybody = errors.figures()["groups"]["all"]
    assert (everybody["found"], everybody["missed"], everybody["false"]) == (5, 0, 2)
    nobody = measured(columns, rows_of(posed), ehm, tmp_path / "none", keep=[])
    everybody = nobody.figures()["groups"]["all"]
    assert (everybody["found"], everybody["missed"], everybody["false"]) == (0, 5, 0)
    assert everybody["mve"] == {"f1": 0.0, "recall": 0.0}
    assert "| all | 5 | 0 | 0 | 0.00 | missing | 0.00 | MVE, vertices | missing |" in agora_markdown(
        {"it": nobody.figures()}
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gt_verts": None}, "no gt_verts of everybody"),
        ({"gt_verts": [np.zeros((7, 3))] * 3}, "gt_verts has 7, open_body_smplx has 12932"),
    ],
)
def test_without_vertices_joints_are_measured_and_the_rest_is_missing(columns, posed, ehm, tmp_path, changes, reason):
    figures = measured(columns, rows_of(posed, **changes), ehm, tmp_path).figures()
    assert "mve" not in figures["groups"]["kids"]
    assert figures["groups"]["kids"]["mpjpe"]["body_mm"] == 0
    told = agora_markdown({"it": figures})
    assert "MVE, vertices | missing |" in told
    assert reason in told


def test_rows_and_people_that_cannot_be_read_are_left_to_the_listing(posed):
    rows = rows_of(posed)
    rows[0]["gt_joints_3d"][1] = np.zeros((5, 3))
    rows[1] |= {"occlusion": "?", "kid": None, "isValid": None}
    first, second = agora_photos([{"imgPath": 3}, *rows, "?"])
    assert first.persons.tolist() == [0, 2]
    assert second.is_valid.all()
    assert not second.is_kid.any()
    assert np.isnan(second.occlusion).all()
    assert list(agora_photos({"not": "rows"})) == []


@pytest.mark.long
def test_the_command_s_tables_have_it_and_the_test_column_stays_missing(columns, posed, ehm, tmp_path):
    (tmp_path / "data/images").mkdir(parents=True)
    (tmp_path / "data/validation_0_withjv.pkl").write_bytes(pickle.dumps(rows_of(posed)))
    for photo in PHOTOS[:2]:
        cv2.imwrite(str(tmp_path / f"data/images/{photo}_1280x720.png"), np.full((720, 1280, 3), 90, np.uint8))
    (tmp_path / "agora.yaml").write_text(MANIFEST.format(root=tmp_path / "data"))
    path = write_moving(tmp_path / "moved", [columns], ehm.assets.entry, dataset="agora_like")
    (tmp_path / "labels/agora_like/val").mkdir(parents=True)
    path.rename(tmp_path / "labels/agora_like/val/00000.parquet")
    done = evaluate_on([str(tmp_path / "agora.yaml")], [tmp_path / "labels"], BenchmarkRun(folder=tmp_path))
    assert "## AGORA: agora_like" in done.markdown
    assert "the column is of the test set, whose truth is hidden" not in done.markdown.partition("## Table")[0]
    assert f"| {tmp_path / 'labels'} | all | 5 | 5 | 1 | 0.91 | 0.83 | 1.00 | MVE, vertices | 0.0 |" in done.markdown
    assert "agora_mve_body_mm" in (tmp_path / REPORT / "tables.md").read_text()

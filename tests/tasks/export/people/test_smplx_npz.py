"""The NPZ of SMPL-X parameters, read again without pickle: the model gives the labels' points in the photo."""

import io
import logging
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import torch
from moving_people import write_moving
from pickling import arrays_of_npz
from scipy.spatial.transform import Rotation

from datasets_manifest.reviews.digest import label_digests
from datasets_manifest.reviews.schema import Review
from datasets_manifest.reviews.session import ReviewSession
from datasets_manifest.reviews.verdicts import read_verdicts
from datasets_manifest.schema.labels import PART_NAMES, label_schema, label_source_column
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.snapshot import shard_files
from datasets_manifest.shards.store import write_shard
from model.body import skeleton
from tasks.display import Lines
from tasks.export.people.npz_file import Columns, write_npz
from tasks.export.run import ExportRequest, export_labels


@pytest.fixture(scope="module")
def file(exported):
    written = exported("smplx-npz")
    assert list(written.lines()) == [f"{written.folder}: 6 people"]
    with np.load(written.folder / "photos_all.npz", allow_pickle=False) as found:
        return dict(found)


def test_the_package_smplx_would_put_the_joints_into_the_photo(file, columns, ehm):
    """By its formula: joints of the shaped template, chained, `transl` added; then the pinhole camera."""
    assets, count = ehm.assets.smplx, len(file["image"])
    pose = np.concatenate([file[name] for name in ("global_orient", "body_pose", "jaw_pose", "leye_pose", "reye_pose",
                                                   "left_hand_pose", "right_hand_pose")], 1)  # fmt: skip
    assert pose.shape == (count, 165)
    shaped = assets.v_template + np.einsum("vcs,ns->nvc", assets.shapedirs[..., :10].astype(float), file["betas"])
    rest = assets.joint_regressor.astype(float) @ shaped
    turns = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(count, 55, 3, 3)
    world, place = turns.copy(), rest.copy()
    for joint, parent in enumerate(assets.parents[1:].tolist(), 1):
        world[:, joint] = world[:, parent] @ turns[:, joint]
        place[:, joint] = place[:, parent] + np.einsum("nij,nj->ni", world[:, parent], rest[:, joint] - rest[:, parent])
    place += file["transl"][:, None]
    np.testing.assert_allclose(place[:, 0], file["pear_pelvis_m"], atol=1e-5)
    shown = file["focal_px"][:, None, None] * place[..., :2] / place[..., 2:] + file["principal_px"][:, None]
    exact = np.stack(columns["keypoints_2d"])
    keypoints = [k for k in skeleton.KEYPOINT_JOINT if k < 17]
    moved = exact[:, keypoints, :2] - shown[:, [skeleton.KEYPOINT_JOINT[k] for k in keypoints]]
    # The fixture moved all points of a person by the same.
    assert np.abs(moved - moved.mean(1, keepdims=True)).max() < 0.01


def test_trust_and_terms_are_stated(file, rows_of, columns):
    assert file["part_names"].tolist() == ["body", "left_hand", "right_hand", "face"]
    assert file["part_valid"][:, 1].tolist() == columns["left_hand_valid"]
    assert file["limb_valid"][rows_of[1]].tolist() == [True, True, True, True, False, True]
    assert not file["limb_valid"][rows_of[2]].any()
    assert str(file["licence"]) == "labels: for tests alone; body model: CC0-1.0"
    assert file["image"].tolist() == columns["image"]
    assert bool(file["flat_hand_mean"])


def test_with_torch_the_arrays_are_a_batch(file):
    assert torch.from_numpy(file["body_pose"]).shape == (6, 63)


def test_what_labels_come_from_is_told(file, columns, ehm, tmp_path):
    """By a column that only labels of data sets have that know people in 3D."""
    assert file["label_source"].tolist() == [""] * 6
    write_moving(tmp_path / "labels", [columns], ehm.assets.entry)
    (path,) = (tmp_path / "labels").rglob("*.parquet")
    with Shard(path) as shard:
        table, footer = shard.table(label_schema(in_groups=True)), shard.footer
    table = table.append_column(label_source_column(), pa.array(["body in 3D"] * 6))
    write_shard(path, table, footer)
    request = ExportRequest(form="smplx-npz", out=tmp_path)
    (written,) = export_labels(tmp_path / "labels", ehm, request, Lines(logging.getLogger("tests")))
    with np.load(written.folder / "moving_all.npz") as found:
        assert found["label_source"].tolist() == ["body in 3D"] * 6


def test_columns_of_batches_are_one_array_of_what_holds_them_all(tmp_path):
    """As numpy joins them, written without any of them whole; nothing is left beside the file."""
    batches = [
        {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "name": np.array(["a", "größer"]), "n": np.array([1, 2])},
        {"x": np.ones((0, 3), np.float32), "name": np.zeros(0, "<U1"), "n": np.zeros(0, int)},
        {"x": np.full((1, 3), np.nan, np.float32), "name": np.array(["人"]), "n": np.array([2.5])},
    ]
    for batch in batches:
        batch["x"] = np.asfortranarray(batch["x"])
    written = []
    for _ in range(2):
        out = io.BytesIO()
        with Columns(tmp_path / "new") as own:
            assert own.take(batches) == 3
            write_npz(out, own.columns | {"said": np.array({"x": own.columns["x"].array()}, object)})
        written.append(out.getvalue())
    found = arrays_of_npz(io.BytesIO(written[0]))
    for name in batches[0]:
        wanted = np.concatenate([batch[name] for batch in batches])
        assert found[name].dtype == wanted.dtype
        np.testing.assert_array_equal(found[name], wanted)
    np.testing.assert_array_equal(found["said"].item()["x"], found["x"])
    assert written[0] == written[1]
    assert not list((tmp_path / "new").iterdir())


def test_members_may_be_longer_than_a_plain_zip_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("zipfile.ZIP64_LIMIT", 1000)
    random = np.random.default_rng(0).random((300, 3))
    out = io.BytesIO()
    with Columns(tmp_path / "new") as own:
        own.take([{"x": random}])
        write_npz(out, own.columns | {"alone": random})
    with np.load(io.BytesIO(out.getvalue())) as file:
        np.testing.assert_array_equal(file["x"], random)
        np.testing.assert_array_equal(file["alone"], random)


def test_nobody_gives_no_columns(tmp_path):
    with Columns(tmp_path / "new") as own:
        assert (own.take([]), own.columns) == (0, {})
    assert not (tmp_path / "new").exists()


def test_a_rule_that_needs_verdicts_needs_their_folder(tmp_path):
    with pytest.raises(ValueError, match=r"--review-rule only_accepted needs the folder of the verdicts \(--reviews\)"):
        ExportRequest(form="smplx-npz", out=tmp_path, review_rule="only_accepted")


def test_what_people_rejected_is_not_given_on_as_trusted(photo_labels, ehm, columns, tmp_path):
    tables = []
    for path in shard_files(photo_labels):
        with Shard(path) as shard:
            tables.append(shard.table(label_schema(in_groups=True)))
    digests = [digest for table in tables for digest in label_digests(table)]
    session = ReviewSession(tmp_path / "reviews", "photos", started_utc=datetime.now(UTC), code_version="1")
    valid = [(k, part) for k in (1,) for part in PART_NAMES if columns[f"{part}_valid"][k]] + [(3, "face")]
    session.add(
        *(
            Review(
                sample_id=columns["sample_id"][k], part=part, verdict="reject", reviewer="me",
                reviewed_utc=datetime.now(UTC), label_config_hash="", label_digest=digests[k],
            )
            for k, part in valid
        )
    )  # fmt: skip
    request = ExportRequest(form="smplx-npz", out=tmp_path, verdicts=read_verdicts(tmp_path / "reviews"))
    (written,) = export_labels(photo_labels, ehm, request, Lines(logging.getLogger("tests")))
    assert list(written.lines()) == [
        f"{written.folder}: 5 people",
        "  5 parts not trusted: rejected in review",
        "  1 people left out: no part was left of them after review",
    ]
    with np.load(written.folder / "photos_all.npz", allow_pickle=False) as found:
        assert found["image"].tolist() == [image for k, image in enumerate(columns["image"]) if k != 1]
        expected = [columns["face_valid"][k] and k != 3 for k in range(6) if k != 1]
        assert found["part_valid"][:, 3].tolist() == expected

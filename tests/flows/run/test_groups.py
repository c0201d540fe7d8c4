"""A clip and a rig from pictures to labels: who is who, one body of all views, gaps led through, what is done anew."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_project import annotate, step_states
from scipy.spatial.transform import Rotation

from model.estimators import registry
from model.estimators.simulated import SimulatedKeypoints

pytestmark = pytest.mark.long

VIEWS, MOMENTS, FRAMES, GAP, REFUSED = 3, 2, 6, 2, 4
MANIFEST = """
id: {name}
version: "1"
licence: CC0
access: rendered
adapter: synthetic
root: unused
split: all
layout: {{count: 1, frames: {frames}, cameras: {cameras}, seed: 5}}
boxes: manifest
keypoints: coco_wholebody
purpose: test
"""


class AwayForAFrame(SimulatedKeypoints):
    """Simulated keypoints that find nothing in one frame of the clip, and trust nothing in another."""

    def estimate(self, image, boxes=None, annotated=None):
        found = super().estimate(image, boxes, annotated)
        if "clip/" in image.image_id and image.image_id.endswith(f"{GAP:06d}"):
            found.sigma_px[:], found.keypoints[:] = np.inf, 0
        if "clip/" in image.image_id and image.image_id.endswith((f"{GAP:06d}", f"{REFUSED:06d}")):
            found = replace(found, part_valid=np.zeros((found.num_people, 4), bool))
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Settings of a project whose clip and rig are annotated."""
    folder = tmp_path_factory.mktemp("groups")
    for name, frames, cameras in (("clip", FRAMES, 1), ("rig", MOMENTS, VIEWS)):
        (folder / f"{name}.yaml").write_text(MANIFEST.format(name=name, frames=frames, cameras=cameras))
    params = folder / "params.yaml"
    params.write_text(
        f"""
annotate:
  datasets: [{folder / "clip.yaml"}, {folder / "rig.yaml"}]
  keypoints: {{backend: away_for_a_frame}}
  body: {{backend: simulated}}
  hands: {{backend: simulated}}
  face: {{backend: simulated}}
  run: {{workers: 1, retries: 0}}
"""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._FACTORIES, ("keypoints", "away_for_a_frame"), AwayForAFrame)
        assert not annotate(params).failed_parts
    return params


def rows_of(folder, name):
    tables = [pq.read_table(path) for path in sorted((folder / "labels" / name).rglob("*.parquet"))]
    return pa.concat_tables(tables).to_pylist()


def in_world(row):
    """Rotation (3, 3) and pelvis (3,) metres of a row in the world."""
    stated = np.reshape(row["world_to_camera"], (3, 4)).astype(float)
    turn = stated[:, :3].T
    return turn @ Rotation.from_rotvec(row["global_orient"]).as_matrix(), turn @ (row["transl_m"] - stated[:, 3])


def test_all_views_of_a_moment_are_one_body(project):
    rows = rows_of(project.parent, "rig")
    assert len(rows) == VIEWS * MOMENTS
    assert all(row["views_joined"] and row["frames_joined"] and row["group_detail"] is None for row in rows)
    assert {row["track"] for row in rows} == {0}
    for moment in range(MOMENTS):
        own = [row for row in rows if row["frame"] == moment]
        assert {row["camera"] for row in own} == {f"camera_{k}" for k in range(VIEWS)}
        turns, places = zip(*map(in_world, own), strict=True)
        assert np.ptp(turns, axis=0).max() < 1e-3
        assert np.ptp(places, axis=0).max() < 1e-3
        for name in ("betas", "body_pose", "left_hand_pose", "flame_expression"):
            assert np.ptp([row[name] for row in own], axis=0).max() < 1e-5


def test_a_clip_has_one_shape_and_leads_through_a_frame_that_shows_nothing(project):
    rows = rows_of(project.parent, "clip")
    assert [row["frame"] for row in rows] == list(range(FRAMES))
    assert [row["frames_joined"] for row in rows] == [True] * FRAMES, [row["group_detail"] for row in rows]
    assert not any(row["views_joined"] for row in rows)
    assert {row["track"] for row in rows} == {0}
    assert np.ptp([row["betas"] for row in rows], axis=0).max() == 0
    for row in (rows[GAP], rows[REFUSED]):
        assert (row["status"], row["error_code"]) == ("partial", "bridged")
        assert row["error_detail"].endswith("the label leads between the frames around it")
        assert not any(row[f"{part}_valid"] for part in ("body", "left_hand", "right_hand", "face"))
    way = [np.array(row["transl_m"]) for row in rows]
    step = np.linalg.norm(way[GAP + 1] - way[GAP - 1])
    assert np.linalg.norm(way[GAP] - (way[GAP - 1] + way[GAP + 1]) / 2) < max(0.3 * step, 0.01)


def test_frames_apart_are_fitted_apart_and_only_the_refinement_is_done_anew(project, tmp_path):
    with step_states() as states, pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._FACTORIES, ("keypoints", "away_for_a_frame"), AwayForAFrame)
        own = {f"output__{name}": str(tmp_path / name) for name in ("labels", "report", "metrics")}
        annotate(project, groups__together=False, **own)
    assert {name.split("/")[0] for name, state in states.items() if state == "done"} == {"refine"}
    assert Counter(states.values())["failed"] == 0
    rows = rows_of(tmp_path, "clip") + rows_of(tmp_path, "rig")
    assert not any(row["views_joined"] or row["frames_joined"] for row in rows)
    fitted = [row for row in rows if row["status"] != "failed"]
    assert len(fitted) == FRAMES - 2 + VIEWS * MOMENTS
    assert {row["group_detail"] for row in fitted} == {"groups.together is off"}

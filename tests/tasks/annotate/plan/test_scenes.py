"""Plans of scenes: groups, cameras and moments, and what is done again where a camera file changed."""

import numpy as np
import pytest
from plans import plan_of
from scenes import camera_entry, camera_file, look_at_middle, write_cameras, write_photo, write_scene_manifest

from tasks.annotate.plan_files import planned_shard, planned_shards
from tasks.annotate.provenance import step_footer
from tasks.annotate.settings import AnnotateConfig, RunConfig
from tasks.annotate.workspace import STEPS, ShardRef, Workspace

SHARD = ShardRef(dataset="rig", split="all", index=0)


@pytest.fixture
def scene(tmp_path):
    """A scene of two cameras and two moments, and a function that plans it and gives rows and footer."""
    root = tmp_path / "rig"
    for name in ("left/001", "left/002", "right/001", "right/002"):
        write_photo(root / f"walk/{name}.jpg")
    write_cameras(root / "walk/cameras.yaml", camera_file())
    source = str(write_scene_manifest(root, images="{scene}/{camera}/{frame}.jpg", fps=10))
    config = AnnotateConfig(datasets=(source,), run=RunConfig(images_per_shard=1))
    workspace = Workspace(work=tmp_path / "work", labels=tmp_path / "labels")

    def planned():
        plan_of(config, workspace)
        plan = planned_shard(workspace, SHARD)
        return plan.columns(), plan.footer.manifest

    return root, config, workspace, planned


def test_the_views_of_a_scene_are_one_group_in_one_shard(scene):
    _, _, workspace, planned = scene
    rows, footer = planned()
    assert list(planned_shards(workspace)) == [SHARD]
    assert list(zip(rows["group"], rows["camera"], rows["frame"], rows["time_s"], strict=True)) == [
        ("walk", camera, frame, frame / 10) for camera in ("left", "right") for frame in (1, 2)
    ]
    np.testing.assert_allclose(rows["world_to_camera"][3].reshape(3, 4), look_at_middle(45.0), atol=1e-6)
    assert {"inputs_hash", "parts_hash"} <= set(footer)


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({"translation": [0.1, 0.0, 4.0]}, {"refine"}),
        ({"rotation": look_at_middle(46.0)[:, :3].tolist()}, {"refine"}),
        ({"focal_px": [101.0, 101.0]}, {"refine"}),
        ({"lens": "brown", "coefficients": [0.1, 0.0, 0.0, 0.0]}, {"refine"}),
        ({}, set()),
    ],
)
def test_a_changed_camera_file_does_the_refinement_again_and_no_other_step(scene, changed, again):
    root, config, _, planned = scene
    before = planned()[1]
    cameras = {"left": camera_entry(-45.0), "right": camera_entry(45.0, **changed)}
    write_cameras(root / "walk/cameras.yaml", camera_file(cameras=cameras))
    after = planned()[1]
    differing = {
        step
        for step in STEPS
        if step_footer(step, config, SHARD, before).manifest != step_footer(step, config, SHARD, after).manifest
    }
    assert differing == again

"""Where rows are, as the plan says, and estimates made for other cameras than it states now."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from table_rows import table_from_rows

from benchmarks.synthetic_people import make_people
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.part_files import PLAN_SCHEMA, plan_schema
from fitting import so3
from fitting.refine import Camera
from model.imaging.crop_camera import view_ray_rotation
from tasks.annotate.groups.places import places_of, seen_through, stated_camera
from tasks.annotate.settings import AnnotateConfig
from tasks.body_model import sparse_body

KEYS = {"dataset": "d", "split": "all", "status": "ok", "person": -1, "image_width": 640, "image_height": 480}


def plan(*rows):
    """A plan of (group, camera, frame, time_s)."""
    names = [f"{group}_{camera}_{frame}" for group, camera, frame, _ in rows]
    told = [
        KEYS
        | {"sample_id": f"d/all/{name}#0", "image": f"{name}.jpg", "person": 0}
        | {"group": group, "camera": camera, "frame": frame, "time_s": time}
        for name, (group, camera, frame, time) in zip(names, rows, strict=True)
    ]
    schema = plan_schema(in_groups=True)
    return Columns(table_from_rows([{k: v for k, v in row.items() if k in schema.names} for row in told], schema))


def test_plans_without_groups_have_no_places():
    assert {"group", "frame"} <= set(plan_schema(in_groups=True).names) - set(plan_schema().names)
    assert PLAN_SCHEMA.names == plan_schema().names
    assert pa.types.is_float64(plan_schema(in_groups=True).field("time_s").type)


def test_rows_have_the_place_of_their_photo_whoever_they_are():
    rows = plan(("a", None, 0, 0.0), ("a", None, 1, 0.1), ("b", "left", 0, 0.0), ("b", "right", 0, 0.0))
    places = places_of(rows, ["d/all/b_right_0#3", "d/all/a_None_1#0", "d/all/b_left_0#1", "d/all/a_None_0#7"])
    assert places.group.tolist() == [1, 0, 1, 0]
    assert places.camera.tolist() == [2, 0, 1, 0]
    assert places.frame.tolist() == [0, 1, 0, 0]
    assert places.plan_row.tolist() == [3, 1, 2, 0]
    assert np.isnan(places.world_to_camera).all()


def test_frames_out_of_time_are_refused_by_name():
    rows = plan(("a", None, 0, 0.2), ("a", None, 1, 0.1))
    with pytest.raises(ValueError, match=r"a_None_1: frame 1 of its camera was taken at 0\.1 s, frame 0 at 0\.2"):
        places_of(rows, rows["sample_id"])


def test_cameras_of_photos_are_those_of_the_plan_where_it_states_any():
    rows = plan(("a", None, 0, 0.0))
    given = Camera(focal_px=torch.tensor([500.0]), principal_px=torch.tensor([[320.0, 240.0]]))
    found = stated_camera(rows, places_of(rows, rows["sample_id"]), given)
    assert torch.equal(found.focal_px, given.focal_px)
    assert torch.equal(found.principal_px, given.principal_px)


def turned(seed, *shape):
    return so3.exp(torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def test_estimates_stay_as_they_are_to_the_line_of_sight():
    boxes = torch.tensor([[500.0, 100.0, 600.0, 400.0], [0.0, 0.0, 100.0, 200.0]], dtype=torch.float64)
    before = Camera(focal_px=torch.tensor([600.0, 600.0]), principal_px=torch.tensor([[320.0, 240.0]] * 2))
    after = replace(before, focal_px=torch.tensor([300.0, 600.0]))
    people = make_people(sparse_body(AnnotateConfig().body_model), 2, seed=0).coarse
    coarse = replace(people, wrist_orient=turned(2, 2, 2), global_orient=turned(0, 2))
    found = seen_through(coarse, boxes, before, after)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    old, new = (view_ray_rotation(centre, own.focal_px, own.principal_px) for own in (before, after))
    torch.testing.assert_close(new.mT @ found.global_orient, old.mT @ coarse.global_orient)
    assert found.wrist_orient is not None
    assert coarse.wrist_orient is not None
    torch.testing.assert_close(new.mT[:, None] @ found.wrist_orient, old.mT[:, None] @ coarse.wrist_orient)
    assert (found.global_orient[0] - coarse.global_orient[0]).abs().max() > 0.1
    assert torch.equal(found.global_orient[1], coarse.global_orient[1]), "its camera is the same"
    assert torch.equal(found.body_pose, coarse.body_pose)
    assert seen_through(coarse, boxes, before, before) is coarse

"""A label of a group is shown among the other frames and views of its person."""

import numpy as np
import pytest
from moving_people import HEIGHT, WIDTH, bridge, moving_columns, write_moving
from plans import write_plan

from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.shard import Shard
from datasets_manifest.sources.images import decode_image
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body
from tasks.annotate.look import inspect as module
from tasks.annotate.look.inspect import company_lines, draw_sample, find_company, find_label
from tasks.annotate.photos import PhotoReader
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.workspace import ShardRef, Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A scene of two people in two views, one of whom nobody found in a frame of the second."""
    folder = tmp_path_factory.mktemp("workspace")
    found = Workspace(work=folder / "work", labels=folder / "labels")
    assets = load_open_body()
    scene = moving_columns(SparseBody.from_assets(assets), people=2, frames=4, views=2, seed=5)
    row = scene["sample_id"].index("moving/all/scene/cam1.mp4::000002#1")
    bridge(scene, [row])
    scene["views_joined"][row], scene["group_detail"][row] = False, "nobody was found in camera cam1"
    with Shard(write_moving(found.labels, [scene], assets.entry)) as labels:
        shard = ShardRef(dataset="moving", split="all", index=0)
        write_plan(found, shard, labels.table(label_schema(in_groups=True)), labels.footer)
    return found


def company_of(workspace, sample_id):
    row, shard = find_label(workspace, sample_id)
    company = find_company(row, shard, workspace)
    assert company is not None
    return row, shard, company


def test_where_a_label_is_and_whom_it_was_fitted_with_is_told(workspace):
    row, _, company = company_of(workspace, "moving/all/scene/cam0.mp4::000001#1")
    assert list(company_lines(row, company)) == [
        "group scene, camera cam0, frame 1 (0.033 s), track 1",
        "fitted with other views and frames",
        "before: frame 0, moving/all/scene/cam0.mp4::000000#1",
        "after: frame 2, moving/all/scene/cam0.mp4::000002#1",
        "other view: camera cam1, moving/all/scene/cam1.mp4::000001#1",
    ]
    assert len(company.moment) == 4


def test_why_views_were_left_out_is_told(workspace):
    row, _, company = company_of(workspace, "moving/all/scene/cam1.mp4::000002#1")
    told = list(company_lines(row, company))
    assert told[1:3] == ["fitted with other frames", "left out: nobody was found in camera cam1"]
    assert len(told) == 6


def test_the_first_frame_has_none_before_it(workspace):
    row, _, company = company_of(workspace, "moving/all/scene/cam0.mp4::000000#0")
    assert company.before is None
    assert company.after is not None
    assert company.after["frame"] == 1
    assert not [line for line in company_lines(row, company) if line.startswith("before")]


def test_all_of_it_is_drawn_on_one_sheet(workspace, monkeypatch):
    """The label, two frames of three, the moment in both views, the world from two sides."""

    class Grey:
        def read(self, image):
            return np.full((HEIGHT, WIDTH, 3), 120, np.uint8)

    monkeypatch.setattr(module, "_TILE_PX", 64)
    monkeypatch.setattr(module, "_WIDTH_PX", 192)
    monkeypatch.setattr(PhotoReader, "of_dataset", lambda *_: Grey())
    row, shard, company = company_of(workspace, "moving/all/scene/cam0.mp4::000003#0")
    config = AnnotateConfig()
    alone = decode_image(draw_sample(row, shard, workspace, config), name="sample")
    sheet = decode_image(draw_sample(row, shard, workspace, config, company), name="sample")
    assert sheet.shape == (64 + 64 + 96 + 96, 192, 3)
    np.testing.assert_array_equal(sheet[:64], alone)
    assert sheet[64:128, :128].std() > 10 > 0 == sheet[64:128, 128:].reshape(-1, 3).std(0).sum()

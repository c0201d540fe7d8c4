"""Points of people in photos that a lens bends, and who is left out of what a format of people takes."""

import logging

import numpy as np
import torch
from moving_people import bridge, moving_columns, write_moving

from datasets_manifest.shards.shard import Shard
from fitting.sparse_body import SparseBody
from model.imaging.lenses import Lens
from tasks.display import Lines
from tasks.export.people.people import People, PointBody
from tasks.export.rows import label_rows
from tasks.export.run import ExportRequest, export_labels

LENS = Lens(focal_px=(310.0, 290.0), principal_px=(160.0, 120.0), coefficients=(-0.2, 0.05, 0.001, -0.002, 0.0))


def test_points_are_where_the_lens_shows_them(columns, ehm, tmp_path):
    one = {name: values[:2] for name, values in columns.items()}
    one |= {
        "lens_model": ["brown", None], "lens_coefficients": [LENS.coefficients, None],
        "focal_xy_px": [LENS.focal_px, None], "focal_px": [LENS.pinhole_focal_px, 300.0],
    }  # fmt: skip
    with Shard(write_moving(tmp_path, [one], ehm.assets.entry)) as shard:
        people = People(label_rows(shard), PointBody(ehm))
    rays = people.points_m[..., :2] / people.points_m[..., 2:]
    bent = LENS.to_pixels(torch.from_numpy(rays[0])).numpy()
    np.testing.assert_allclose(people.points_px[0], bent, atol=1e-6)
    np.testing.assert_allclose(people.points_px[1], 300 * rays[1] + [160, 120], atol=1e-6)
    assert np.abs(bent - (LENS.pinhole_focal_px * rays[0] + [160, 120])).max() > 0.05


def test_frames_of_tracks_are_people_but_for_bridged_ones(ehm, tmp_path):
    frames = moving_columns(SparseBody.from_assets(ehm.assets), group="a.mp4", frames=5)
    bridge(frames, [2])
    write_moving(tmp_path / "labels", [frames], ehm.assets.entry)
    request = ExportRequest(form="smplx-npz", out=tmp_path)
    (written,) = export_labels(tmp_path / "labels", ehm, request, Lines(logging.getLogger("tests")))
    assert list(written.lines())[1:] == ["  1 bridged left out: nobody was found there"]
    with np.load(written.folder / "moving_all.npz") as file:
        assert file["frame"].tolist() == [0, 1, 3, 4]
        assert file["track"].tolist() == [0] * 4

"""The official crops of HaMeR and HMR2, where their packages are installed."""

import numpy as np
import pytest
import torch
from photo_people import photo
from upstream_packages import upstream

from model.estimators.crop_network import normalised
from model.imaging.squares import PORTRAIT, square_of_box
from model.imaging.upstream_crop import cut

pytestmark = pytest.mark.upstream
GREY_STEP = 1 / (255 * 0.224)
"""One grey level after normalisation."""


@pytest.mark.parametrize(("name", "scale"), [("hamer", 2.0), ("hmr2", 1.0)])
@pytest.mark.parametrize("side", [0, 1])
def test_crop_is_upstreams(name, scale, side):
    """Upstream blurs in double precision, where OpenCV interpolates in steps of 1/32 px: hence the mean difference."""
    node = upstream("yacs.config").CfgNode
    data = upstream(f"{name}.datasets.vitdet_dataset")
    settings = {"IMAGE_SIZE": 256, "IMAGE_MEAN": [0.485, 0.456, 0.406], "IMAGE_STD": [0.229, 0.224, 0.225]}
    cfg = node({"MODEL": settings | {"BBOX_SHAPE": [192, 256]}})
    rgb = np.kron(photo(0), np.ones((4, 4, 1), np.uint8))
    boxes = np.array([[100.0, 80, 180, 190], [-40, 200, 500, 700], [300, 100, 1200, 900]])
    hands = {"right": np.full(3, side), "rescale_factor": scale} if name == "hamer" else {}
    theirs = data.ViTDetDataset(cfg, np.ascontiguousarray(rgb[..., ::-1]), boxes, **hands)
    for row, box in enumerate(boxes):
        square = square_of_box(box, scale, PORTRAIT)
        crop = cut(rgb, square, 256, antialias=True, mirrored=name == "hamer" and side == 0)
        ours = normalised(torch.from_numpy(crop.pixels)[None])[0].numpy()
        assert np.isclose(square.side_px, theirs[row]["box_size"], rtol=1e-6)
        assert np.abs(ours - theirs[row]["img"]).mean() < 0.15 * GREY_STEP

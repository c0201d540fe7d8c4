"""A renderer of the open body that knows nothing of people."""

import torch

from model.body.assets import EhmAssets
from model.renderer.sites import Sites
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture


def grey_renderer(assets: EhmAssets) -> TextureRenderer:
    """Grey all over, in the light or in the dark; one Gaussian a face."""
    faces, vertices = torch.as_tensor(assets.smplx.faces).long(), torch.as_tensor(assets.smplx.v_template).float()
    sites = Sites.spread(faces, vertices, torch.full((len(faces),), torch.inf))
    grey = Texture(
        mean=torch.full((len(sites), 3), 0.5),
        directions=torch.full((1, len(sites), 3), 0.1),
        offset_m=torch.zeros(len(vertices)),
        light_mean=torch.tensor([1.0] + 8 * [0.0]),
        light_factor=0.1 * torch.eye(9),
    )
    return TextureRenderer(faces, sites, grey)

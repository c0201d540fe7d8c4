"""Draws the pictures of the refinement by pixels in `docs/fitting.md`.

python docs/pixels.py          a minute; writes docs/pixels.jpg
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.pixel_people import FRAMINGS, close_ups, make_trial, open_ehm, open_sparse  # noqa: E402
from benchmarks.pixel_renderers import learn_renderer  # noqa: E402
from fitting.part_pictures import part_boxes, part_pictures  # noqa: E402
from fitting.picture_parts import picture_parts  # noqa: E402
from fitting.picture_term import PictureTerm  # noqa: E402
from fitting.pixel_settings import PixelConfig  # noqa: E402
from fitting.refine_pixels import refine_pixels  # noqa: E402
from model.renderer.splat.draw import fastest  # noqa: E402
from model.renderer.texture.renderer import TextureRenderer  # noqa: E402

SEED = 71
SIZE_PX = 256
SHOWN = (("face", (0, 1, 3)), ("left_hand", (1,)))
"""Framing and the people of it."""


def rows(framing: str, chosen: tuple[int, ...], renderer: TextureRenderer) -> list[np.ndarray]:
    """Photo, drawn as keypoints have it and with pixels, and three times the differences of both from the photo."""
    settings, rasteriser = PixelConfig(), fastest(torch.device("cpu"))
    large = replace(
        settings, head=replace(settings.head, size_px=SIZE_PX), hand=replace(settings.hand, size_px=SIZE_PX)
    )
    trial = make_trial(close_ups(framing, max(chosen) + 1, seed=SEED), framing, seed=SEED)
    part, shown = (
        picture_parts(open_sparse(), open_ehm(), renderer, each)[FRAMINGS[framing]] for each in (settings, large)
    )
    result = refine_pixels(trial.problem, trial.solution, trial.photos, trial.masks, [part], settings, rasteriser)
    camera, before = trial.problem.people.camera, trial.solution.state
    pictures = part_pictures(shown, part_boxes(shown, before, camera), camera, trial.photos, trial.masks)
    drawn = [
        PictureTerm.settled(shown, pictures, state, rasteriser)[0].drawn(state)
        for state in (before, result.solution.state)
    ]
    apart = [3 * (each - pictures.rgb).abs() * (each.sum(-1, keepdim=True) > 0) for each in drawn]
    cells = torch.cat([pictures.rgb, *drawn, *apart], 2)[list(chosen)].clamp(0, 1)
    return list((255 * cells).round().byte().numpy())


def main() -> None:
    """Writes the picture."""
    renderer = learn_renderer(300, PixelConfig().num_directions, spacing_m=0.007)
    with torch.inference_mode():
        picture = np.concatenate([row for framing, chosen in SHOWN for row in rows(framing, chosen, renderer)])
    cv2.imwrite(str(ROOT / "docs" / "pixels.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()

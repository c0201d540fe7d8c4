"""Pictures of one part of people, cut from their photos, with the cameras that draw it there.

Nothing is drawn large and cut: projection is linear in focal length and principal point, so that a crop has a camera of
its own.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.sources.masks import PERSON
from fitting.picture_parts import PicturePart, one_by_one
from fitting.picture_term import Pictures
from fitting.unknowns import State
from model.imaging.camera import NEAR_M, Camera, project
from model.imaging.crop import cut_crop
from model.imaging.squares import crop_affine, square_of_box

MARGIN = 1.15
"""Side of a picture, by the longer side of the part's box."""


def part_boxes(part: PicturePart, state: State, camera: Camera) -> Tensor:
    """Boxes (B, 4) xyxy of the part in the photo, px; NaN where some of it is not in front of the camera."""
    vertices = torch.cat([part.mesh(one)[:, part.framed] for one in one_by_one(state)])
    points = project(vertices, camera)
    boxes = torch.cat([points.amin(1), points.amax(1)], 1)
    return torch.where((vertices[..., 2] > NEAR_M).all(1, keepdim=True), boxes, torch.nan)


def part_pictures(
    part: PicturePart,
    boxes: Tensor,
    camera: Camera,
    photos: Sequence[np.ndarray],
    masks: Sequence[np.ndarray | None],
) -> Pictures:
    """Cuts the pictures of B people.

    Args:
        part: which part.
        boxes: (B, 4) finite xyxy px.
        camera: of the photos (B,).
        photos: (h, w, 3) uint8 RGB each.
        masks: (h, w) uint8 each, as in `datasets_manifest.sources.masks`; None: not known.
    """
    size = part.settings.size_px
    rgb, known, focal, principal = [], [], [], []
    for k, box in enumerate(boxes.double().cpu().numpy()):
        square = square_of_box(box, MARGIN)
        affine = crop_affine(square, size)
        rgb.append(cut_crop(photos[k], affine, size))
        shown = np.full(photos[k].shape[:2], PERSON, np.uint8) if masks[k] is None else masks[k]
        shown = np.where(shown == PERSON, np.uint8(PERSON), np.uint8(0))[..., None]
        known.append(cut_crop(np.repeat(shown, 3, 2), affine, size)[..., 0] == PERSON)
        focal.append(affine[0, 0] * float(camera.focal_px[k]))
        principal.append(affine @ [*camera.principal_px[k].tolist(), 1.0])

    def tensor(values: list) -> Tensor:
        return torch.from_numpy(np.array(values)).to(camera.focal_px)

    return Pictures(
        rgb=tensor(rgb) / 255,
        known=tensor(known),
        camera=Camera(focal_px=tensor(focal), principal_px=tensor(principal)),
    )

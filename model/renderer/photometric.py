"""The photometric objective (equation 8 of the PEAR paper): parts of a person, drawn, against the photo.

Head and hands are drawn by cameras of their own. A picture of a part is a square of the crop, cut from the photo in
its own resolution; projection is linear in focal length and principal point, so that the camera of the crop with
another focal length and principal point draws it.

Legend: B people, P side of a picture in px.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets_manifest.schema.ehm_fields import BodySize
from model.batches import take_rows
from model.body.assets import EhmAssets
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.skeleton import HEAD, PELVIS
from model.imaging.camera import Camera
from model.imaging.crop_camera import crop_translation, project_into_crop
from model.renderer.part_windows import Part, off_share
from model.renderer.perceptual.similarity import l1
from model.renderer.perceptual.term import Perceptual, PerceptualConfig
from model.renderer.splat.draw import Rasteriser
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Looks

AROUND_HEAD_M = 0.35
"""What is further from the head's joint at rest is not in a picture of the head, but for raised arms."""
_COVERED = 0.5
"""Share of a pixel from which on it is the person's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotometricConfig:
    """What a drawn picture is charged for: L1 and a perceptual distance to the photo, within the mask."""

    l1: float = 1.0
    """Weight of the mean absolute difference, of values in 0..1."""
    perceptual: float = 0.15
    """Weight of the perceptual term."""
    term: PerceptualConfig = field(default_factory=PerceptualConfig)
    """Which that is."""
    outline: float = 0.3
    """Weight of the pixels along the outline of the mask: hair and clothes stand off the body."""
    outline_px: int = 2
    """How far from the outline they lie."""
    reach: float = 0.06
    """A part whose keypoints are further than this share of its square from where they are seen is not drawn."""
    rasteriser: Rasteriser = "tiles"
    """How Gaussians are drawn (docs/render.md): `native` is three times as fast on a CPU with a compiler."""

    def __post_init__(self) -> None:
        for name in ("l1", "perceptual"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: expected a weight of 0 or more, got {getattr(self, name)}")
        if not self.l1 and not self.perceptual:
            raise ValueError("l1 and perceptual are both 0: no picture would be compared")
        if not 0 <= self.outline <= 1:
            raise ValueError(f"outline: expected a weight from 0 to 1, got {self.outline}")
        if self.outline_px < 0:
            raise ValueError(f"outline_px: expected 0 or more, got {self.outline_px}")
        if self.term.batch == "sum":
            raise ValueError("term.batch: each person has a loss of its own here, and sum is of a batch; leave it out")


@dataclass(frozen=True, kw_only=True, slots=True)
class PartPictures:
    """Pictures of one part of B people, as the photo shows it."""

    rgb: Tensor
    """(B, 3, P, P) uint8."""
    person: Tensor
    """(B, 1, P, P) uint8, 0..255: which share of a pixel is the person's; without a mask 255."""
    known: Tensor
    """(B, 1, P, P) bool: whether that is known, and the pixel inside the photo."""
    has_mask: Tensor
    """(B,) bool: without one, outlines do not count."""
    window: Tensor
    """(B, 3) where it lies in the crop: its centre from the crop's centre, and its side, in sides of the crop."""
    is_shown: Tensor
    """(B,) bool: whether there is a picture at all."""

    @property
    def photo(self) -> Tensor:
        """(B, 3, P, P) float, 0..1; black where it is not the person."""
        return self.rgb.float() / 255 * (self.person.float() / 255)

    def camera(self, focal_sides: float) -> Camera:
        """The cameras of the pictures, by the focal length of the crop in its sides."""
        side_px = self.rgb.shape[-1] / self.window[:, 2]
        return Camera(
            focal_px=focal_sides * side_px, principal_px=self.rgb.shape[-1] / 2 - self.window[:, :2] * side_px[:, None]
        )


class PartLoss(NamedTuple):
    """What the pictures of a part say of B people."""

    loss: Tensor
    """(B,); 0 of whom is not drawn."""
    is_drawn: Tensor
    """(B,) bool."""


class Photometric(nn.Module):
    """Draws parts of people and compares them with the photo. Nothing in it is trained.

    Args:
        assets: The body.
        size: Numbers of coefficients of the people.
        renderer: Of that body.
        config: What is charged.
        perceptual: The term of ``config.term``.
        parts: What is drawn.
        focal_sides: Focal length of the crop in its sides.
    """

    def __init__(
        self,
        assets: EhmAssets,
        size: BodySize,
        renderer: TextureRenderer,
        config: PhotometricConfig,
        perceptual: Perceptual,
        parts: tuple[Part, ...],
        focal_sides: float,
    ) -> None:
        super().__init__()
        near = _near_head(assets) if parts == ("head",) else np.ones(assets.smplx.num_vertices, bool)
        self.renderer, ids = renderer.part(renderer.sites.within(torch.from_numpy(near)))
        self.body = KeypointBody(assets, size, extra_vertex_ids=ids.numpy())
        self.perceptual = perceptual
        self.config, self.parts, self.focal_sides = config, parts, focal_sides

    def forward(
        self,
        people: EhmParameters,
        camera: Tensor,
        pictures: Mapping[Part, PartPictures],
        observed: Tensor,
    ) -> dict[Part, PartLoss]:
        """The loss of each part; a person whose part is not shown, or too far from where it is seen, is not drawn.

        Args:
            people: B people as the crop's camera sees them.
            camera: (B, 3) s, tx, ty, see ``model.imaging.crop_camera``.
            pictures: Of each part.
            observed: (B, 133, 3) keypoints in sides of the crop, with a score.
        """
        shown = torch.stack([pictures[part].is_shown for part in self.parts]).any(0)
        chosen = torch.nonzero(shown).squeeze(1)
        people, camera, observed = take_rows((people, camera, observed), chosen)
        vertices, keypoints = self.pose(people, camera)
        found: dict[Part, PartLoss] = {}
        for part in self.parts:
            loss, is_drawn = vertices.new_zeros(len(shown)), torch.zeros_like(shown)
            own = take_rows(pictures[part], chosen)
            # Comparing with a share that is not finite fails: who is not finite is told of by the other terms.
            near = off_share(keypoints, observed, part, own.window[:, 2]) <= self.config.reach
            rows = torch.nonzero(own.is_shown & near).squeeze(1)
            if len(rows):
                is_drawn[chosen[rows]] = True
                loss = loss.index_put((chosen[rows],), self.compare(vertices[rows], take_rows(own, rows)))
            found[part] = PartLoss(loss, is_drawn)
        return found

    def pose(self, people: EhmParameters, camera: Tensor) -> tuple[Tensor, Tensor]:
        """The vertices that are drawn (B, M, 3), in the crop's camera, metres, and the 133 keypoints (B, 133, 2) in
        sides of the crop."""
        posed = self.body(people)
        pelvis = posed.joints[:, PELVIS : PELVIS + 1]
        place = crop_translation(camera, self.focal_sides)[:, None]
        keypoints = project_into_crop(posed.keypoints - pelvis, camera, self.focal_sides)
        return posed.extra_vertices - pelvis + place, keypoints.detach()

    @torch.no_grad()
    def looks(self, vertices_m: Tensor, pictures: PartPictures) -> Looks:
        """What the photo says of the colours and the light of people (B, M, 3)."""
        mask = (pictures.person > 255 * _COVERED) & pictures.known
        camera = pictures.camera(self.focal_sides)
        return self.renderer.looks(pictures.photo, mask, vertices_m, camera, rasteriser=self.config.rasteriser)

    def draw(self, vertices_m: Tensor, pictures: PartPictures, looks: Looks) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, P, P) of people (B, M, 3), and alpha (B, 1, P, P). How light falls has derivatives, too."""
        colours = self.renderer.colours(looks, vertices_m)
        size = pictures.rgb.shape[-1]
        camera = pictures.camera(self.focal_sides)
        drawn = self.renderer.draw(vertices_m, colours, camera, (size, size), rasteriser=self.config.rasteriser)
        return drawn.colour.movedim(-1, 1), drawn.alpha[:, None]

    def compare(self, vertices_m: Tensor, pictures: PartPictures, looks: Looks | None = None) -> Tensor:
        """Loss (B,) of the pictures of people (B, M, 3).

        Args:
            vertices_m: Of ``pose``.
            pictures: What is compared with.
            looks: How they are drawn; None: as the photo says now.
        """
        found = self.looks(vertices_m.detach(), pictures) if looks is None else looks
        drawn, alpha = self.draw(vertices_m, pictures, found)
        photo, weight = pictures.photo, self.weight(pictures, alpha.detach())
        loss = drawn.new_zeros(len(drawn))
        if self.config.l1:
            loss = loss + self.config.l1 * l1(drawn, photo, weight)
        if self.config.perceptual:
            loss = loss + self.config.perceptual * self.perceptual.of_each(drawn, photo, weight)
        return loss

    def weight(self, pictures: PartPictures, alpha: Tensor) -> Tensor:
        """Weight (B, 1, P, P) of the pixels: the band along the outline, and what is not known, count less.

        Without a mask only what lies well inside the drawn part counts, so that the outline has no say.
        """
        person = (pictures.person > 255 * _COVERED).float()
        radius = self.config.outline_px
        with_mask = 1 - (1 - self.config.outline) * (_grown(person, radius) - _shrunk(person, radius))
        without = _shrunk((alpha > _COVERED).float(), radius)
        return torch.where(pictures.has_mask[:, None, None, None], with_mask, without) * pictures.known


def _grown(mask: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(mask, 2 * radius + 1, 1, radius)


def _shrunk(mask: Tensor, radius: int) -> Tensor:
    return 1 - _grown(1 - mask, radius)


def _near_head(assets: EhmAssets) -> np.ndarray:
    """(V,) bool: which vertices a picture of the head can show."""
    body = assets.smplx
    head = body.joint_regressor[HEAD] @ body.v_template
    return np.linalg.norm(body.v_template - head, axis=1) < AROUND_HEAD_M

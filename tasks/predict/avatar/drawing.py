"""People of a photo drawn anew: turned on the spot, and in the poses of a motion, as films and strips of frames.

Legend: P people of a photo, T poses of one of them, V vertices, S sites of the renderer.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.sources.masks import PERSON
from model.batches import map_tensors, take_rows
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import NEAR_M, Camera, project
from model.renderer.overlay import BACKDROP_RGB, View, encode_png
from model.renderer.splat.draw import Rasteriser, fastest
from model.renderer.texture.light import brightness
from model.renderer.texture.renderer import TextureRenderer
from tasks.display import Counter, Display
from tasks.predict.avatar.film import film_and_strip
from tasks.predict.avatar.poses import Motion, turntable, wearing
from tasks.predict.settings import AvatarConfig

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Poses in a batch."""
LEAST_SHOWN = 0.02
"""A body of which the photo shows a smaller share of the vertices has no looks."""
MARGIN = 1.1
"""Side of a picture, in sides of what is to be seen in it."""
SURE_FACING = 0.3, 0.6
"""Cosine to the way to the camera up to which a site has the texture's colour, and from which on the photo's."""
LEAST_LIGHT = 0.2
"""What is darker says nothing of the colour of the surface."""
TURN_S = 4.0
"""One turn of the turntable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoWithPeople:
    """A photo and who was found in it."""

    name: str
    """For messages."""
    rgb: np.ndarray
    """(H, W, 3) uint8."""
    people: EhmParameters
    """P people in the photo's camera, all numbers finite."""
    numbers: Sequence[int]
    """(P,) by which the rows call them."""
    camera: Camera
    """(1)."""
    masks: Sequence[np.ndarray | None]
    """(P) each (H, W) uint8 as `datasets_manifest.sources.masks` has them; None: not known."""


class Worn(NamedTuple):
    """What a person looks like."""

    surface: Tensor
    """(1, S, 3) colours of the sites, 0..1, in white light."""
    light: Tensor
    """(1, 9) that falls on them in the photo, see ``model.renderer.texture.light``."""


class Avatars:
    """Reads the looks of people in photos and draws them in new poses."""

    def __init__(
        self, renderer: TextureRenderer, body: EHMs, config: AvatarConfig, motion: Motion | None = None
    ) -> None:
        """Takes what is the same for all photos; the renderer is the body's, the motion is worn by everybody."""
        self.renderer, self.body, self.config, self.motion = renderer, body, config, motion
        self._rasteriser: Rasteriser = fastest(torch.device("cpu"))
        self._backdrop = torch.tensor(BACKDROP_RGB, dtype=torch.float32) / 255

    @torch.inference_mode()
    def draw(self, photo: PhotoWithPeople, display: Display | None = None) -> Iterator[tuple[str, bytes]]:
        """Name and content of the files of each person, such as ``person0-turntable.mp4``.

        Of whom the photo shows next to nothing, there is none, which the log says.
        """
        meshes = self.body(photo.people).vertices
        per_person = self.config.views + (0 if self.motion is None else len(self.motion))
        counter = Counter("pictures of avatars", per_person * len(photo.numbers), display, note=photo.name)
        for index, number in enumerate(photo.numbers):
            shown = self._shown(photo, meshes[index])
            if shown.float().mean() < LEAST_SHOWN:
                log.warning("%s: no avatar of person %d, of whom the photo shows nothing", photo.name, number)
                continue
            person = take_rows(photo.people, torch.tensor([index]))
            nearer = meshes[photo.people.known("transl_m")[:, 2] < person.known("transl_m")[:, 2]]
            worn = self.looks(photo, index, meshes[index], shown, nearer)
            for what, poses, fps in self._poses(person):
                frames = counter.count(self.frames(poses, worn, photo.camera, shown))
                film, strip = film_and_strip(frames, len(poses), fps)
                yield f"person{number}-{what}.mp4", film
                yield f"person{number}-{what}.png", encode_png(strip)

    def looks(self, photo: PhotoWithPeople, index: int, mesh: Tensor, shown: Tensor, nearer: Tensor) -> Worn:
        """What one person wears as the photo shows it, and the light there.

        Args:
            photo: The photo.
            index: Of the person in it.
            mesh: (V, 3) the person as posed there.
            shown: (V,) bool, which vertices lie in it.
            nearer: (N, V, 3) people in front.
        """
        view = self._view([mesh[None]], photo.camera, shown)
        size_hw, camera = (view.size_px, view.size_px), _seen_by(view, photo.camera)
        picture = torch.from_numpy(view.cut(photo.rgb)).float().permute(2, 0, 1)[None] / 255
        mask = torch.from_numpy(_inside(view, photo.rgb.shape)).float()
        if (own := photo.masks[index]) is not None:
            mask = mask * torch.from_numpy(view.cut(own)) / PERSON
        for other in nearer:
            blank = torch.zeros(1, len(self.renderer.sites), 1)
            drawn = self.renderer.draw(other[None], blank, camera, size_hw, rasteriser=self._rasteriser)
            mask = mask * (1 - drawn.alpha[0])
        pixels, facing = self.renderer.read(picture, mask[None, None], mesh[None], camera, rasteriser=self._rasteriser)
        texture, normals = self.renderer.texture, self.renderer.site_normals(mesh[None])
        looks = texture.fit(pixels, facing, normals)
        unlit = (pixels / brightness(looks.light, normals).clamp(min=LEAST_LIGHT)).clamp(max=1.0)
        sure = ((facing - SURE_FACING[0]) / (SURE_FACING[1] - SURE_FACING[0])).clamp(0, 1)[..., None]
        return Worn(sure * unlit + (1 - sure) * texture.surface(looks.coefficients), looks.light)

    def frames(self, poses: EhmParameters, worn: Worn, camera: Camera, shown: Tensor) -> Iterator[np.ndarray]:
        """Pictures (size, size, 3) uint8 of one person in T poses, all cut out alike.

        Args:
            poses: T.
            worn: What the person looks like.
            camera: (1) the photo's.
            shown: (V,) bool, which vertices are to be seen.
        """
        view = self._view(self._meshes(poses), camera, shown)
        size_hw, own = (view.size_px, view.size_px), _seen_by(view, camera)
        for meshes in self._meshes(poses):
            batch = len(meshes)
            colours = worn.surface * brightness(worn.light, self.renderer.site_normals(meshes))
            drawn = self.renderer.draw(
                meshes,
                colours.clamp(max=1.0),
                Camera(focal_px=own.focal_px.expand(batch), principal_px=own.principal_px.expand(batch, 2)),
                size_hw,
                background=self._backdrop,
                rasteriser=self._rasteriser,
            )
            yield from (drawn.colour.clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    def _poses(self, person: EhmParameters) -> Iterator[tuple[str, EhmParameters, float]]:
        """What the pictures show, the poses and their frames a second."""
        if self.config.views:
            yield "turntable", turntable(person, self.config.views), self.config.views / TURN_S
        if self.motion is not None:
            yield "motion", wearing(person, self.motion, face=self.config.face == "motion"), self.motion.fps

    def _meshes(self, poses: EhmParameters) -> Iterator[Tensor]:
        """(<= AT_ONCE, V, 3) of T poses."""
        for first in range(0, len(poses), AT_ONCE):
            rows = slice(first, first + AT_ONCE)
            yield self.body(map_tensors(poses, lambda value, rows=rows: value[rows])).vertices

    def _shown(self, photo: PhotoWithPeople, mesh: Tensor) -> Tensor:
        """(V,) bool: which vertices lie in the photo."""
        height, width = photo.rgb.shape[:2]
        place = project(mesh[None], photo.camera)[0]
        return (mesh[:, 2] > NEAR_M) & ((place >= 0) & (place <= torch.tensor([width, height]))).all(1)

    def _view(self, meshes: Iterable[Tensor], camera: Camera, shown: Tensor) -> View:
        """The square around some vertices (V,) bool of meshes (N, V, 3)."""
        low, high = torch.full((2,), torch.inf), torch.full((2,), -torch.inf)
        for some in meshes:
            place = project(some[:, shown].flatten(0, 1)[None], camera)[0]
            low, high = torch.minimum(low, place.amin(0)), torch.maximum(high, place.amax(0))
        return View.around(torch.cat([low, high]).numpy(), self.config.size_px, MARGIN)


def _seen_by(view: View, camera: Camera) -> Camera:
    """The camera (1) of a cut-out of the photo."""
    offset = torch.from_numpy(np.asarray(view.offset_px)).float()
    return Camera(focal_px=view.scale * camera.focal_px, principal_px=view.scale * camera.principal_px + offset)


def _inside(view: View, shape: Sequence[int]) -> np.ndarray:
    """(size, size) bool: which pixels of a cut-out lie in the photo (H, W, 3)."""
    places = (np.arange(view.size_px)[:, None] + 0.5 - view.offset_px) / view.scale
    x, y = ((places >= 0) & (places <= np.array([shape[1], shape[0]]))).T
    return y[:, None] & x

"""People in photos with labels and masks: the colours at their sites, as far as they are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import LABEL_FIELDS
from datasets_manifest.sources.images import ImageError, decode_image
from datasets_manifest.sources.masks import PERSON
from model.body.ehms import EHMs
from model.imaging.camera import Camera
from model.renderer.texture.learn import Principal, Rows, adapt, light_of_people, unlit
from model.renderer.texture.renderer import TextureRenderer
from model.renderer.texture.texture import Texture
from tasks.display import Display
from tasks.posing import pose_bodies
from tasks.training.labelled_photos import LabelledPhotos
from tasks.training.renderer.settings import RendererConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenPeople:
    """What photos show of P people."""

    colours: Tensor
    """(P, S, 3) uint8, as seen."""
    weight: Tensor
    """(P, S) uint8, how squarely each site is seen; 0: not at all."""
    normals: Tensor
    """(P, S, 3) float16, camera frame."""


def read_people(
    sets: Sequence[LabelledPhotos], config: RendererConfig, renderer: TextureRenderer, body: EHMs, display: Display
) -> SeenPeople:
    """Reads the colours of the people of all sets.

    Raises:
        ValueError: A photo or a mask cannot be used, or nobody has a mask.
    """
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    numbers = [_spread(each.selection.num_rows, config.max_people) for each in sets]
    total, done = sum(map(len, numbers)), 0
    for each, rows in zip(sets, numbers, strict=True):
        for person in _people(each, rows, config, renderer, body):
            done += 1
            display.show("people in photos", done, total, "", None)
            if person is not None:
                found.append(person)
    if not found:
        folders = ", ".join(str(each.masks) for each in sets)
        raise ValueError(f"masks: none of {total} people has a mask in {folders}; make masks, or leave the set out")
    return SeenPeople(
        **dict(zip(("colours", "weight", "normals"), map(torch.cat, zip(*found, strict=True)), strict=True))
    )


def _people(
    photos: LabelledPhotos, rows: np.ndarray, config: RendererConfig, renderer: TextureRenderer, body: EHMs
) -> Iterator[tuple[Tensor, Tensor, Tensor] | None]:
    """Colours, weight and normals of each person whose body is labelled; None of one without a mask."""
    selection = photos.selection
    columns = {field.name: selection.array(field.name) for field in LABEL_FIELDS} | {
        name: selection.array(name) for name in ("focal_px", "principal_px", "person")
    }
    rows = rows[(columns["transl_m"][rows, 2] > 0) & selection.array("body_valid")[rows].astype(bool)]
    names = selection.table["image"].take(pa.array(rows, pa.int64())).to_pylist()
    last = ("", np.empty((0, 0, 3), np.uint8))
    for row, name in zip(rows, map(str, names), strict=True):
        try:
            if last[0] != name:
                last = (name, decode_image(photos.images.read(name), name=name))
            photo = last[1]
            height, width = photo.shape[:2]
            mask = photos.mask(name, int(columns["person"][row]), (width, height))
        except ImageError as error:
            raise ValueError(f"{selection.path}: {name} cannot be used ({error.detail}): leave it out") from error
        if mask is None:
            yield None
            continue
        own: dict[str, Any] = {key: values[row : row + 1] for key, values in columns.items()}
        share = min(1.0, config.max_photo_px / max(photo.shape[:2]))
        camera = Camera(
            focal_px=torch.from_numpy(own["focal_px"] * share).float(),
            principal_px=torch.from_numpy(own["principal_px"] * share).float(),
        )
        vertices = pose_bodies(body, {each.name: own[each.name] for each in LABEL_FIELDS}).vertices.clone()
        picture, shown = (
            torch.from_numpy(_resized(image, share)).float()[None] / 255.0
            for image in (photo.transpose(2, 0, 1), 255 * (mask == PERSON)[None].astype(np.uint8))
        )
        colours, weight = renderer.read(picture, shown, vertices, camera, rasteriser=config.rasteriser)
        yield (
            (255 * colours).round().to(torch.uint8),
            (255 * weight).round().to(torch.uint8),
            renderer.site_normals(vertices).half(),
        )


def _resized(image: np.ndarray, share: float) -> np.ndarray:
    """(C, H, W) uint8, smaller by a share."""
    if share == 1.0:
        return image
    height, width = image.shape[1:]
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.stack([cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_AREA) for part in image])


def _spread(total: int, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spread."""
    return np.unique(np.linspace(0, total - 1, min(total, most)).round().astype(np.int64))


def adapted(texture: Texture, people: SeenPeople, others: Tensor, passes: int, display: Display) -> Texture:
    """The texture that says best what people in photos show, and what others (Q, S, 3) uint8 are known to look like.

    Args:
        texture: To begin with.
        people: In photos.
        others: Colours of the surface of people of whom all is known; may be none.
        passes: How often the light is taken out and the texture adapted.
        display: Shows how far it is.
    """
    known = torch.full(others.shape[:2], 255, dtype=torch.uint8)
    for number in range(passes):
        surfaces, lights = [], []
        for colours, weight, normals in zip(*(part.split(8) for part in _parts(people)), strict=True):
            rows, looks = unlit(texture, colours.float() / 255, weight.float() / 255, normals.float())
            surfaces.append(rows)
            lights.append(looks.light)
        rows = Rows(*(torch.cat(each) for each in zip(*surfaces, (others, known), strict=True)))
        found = adapt(Principal(texture.mean, texture.directions), rows)
        mean, factor = texture.light_mean, texture.light_factor
        if len(people.colours) > len(mean):  # fewer lights do not tell how lights vary
            mean, factor = light_of_people(torch.cat(lights))
        texture = Texture(found.mean, found.directions, texture.offset_m, mean, factor)
        display.show("passes over the photos", number + 1, passes, "", None)
    return texture


def _parts(people: SeenPeople) -> tuple[Tensor, Tensor, Tensor]:
    return people.colours, people.weight, people.normals

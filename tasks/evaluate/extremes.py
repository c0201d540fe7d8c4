"""Pictures of the people of whom a subject says best and worst how they are: photo and body side by side."""

from __future__ import annotations

import glob
import hashlib
import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from datasets_manifest.files import write_bytes
from datasets_manifest.manifest import Manifest
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.labels import image_id_of
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, decode_image
from model.body.ehms import EHMs
from model.renderer.overlay import View, draw_mesh, encode_jpeg, side_colours
from tasks.evaluate.label_errors import parameters_of_labels
from tasks.evaluate.matching import match_people
from tasks.evaluate.reference import known_people
from tasks.evaluate.said import Subject
from tasks.posing import posed_vertices

log = logging.getLogger(__name__)

HEADLINES = (
    *("pa_mpjpe_mm", "pa_mpjpe_h36m14_mm", "points_pa_mm", "keypoint_rel", "head_pa_mm", "left_hand_pa_pve_mm"),
)
"""Errors by which people are ordered: the first that two or more have, else one that somebody has."""
COUNT = 3
"""Pictures of the best, and of the worst."""
_TILE_PX = 384
_LONGEST = 100
"""Letters of a subject's name in those of its files."""


def draw_extremes(
    people: pa.Table, subject: Subject, manifest: Manifest, images: ImageSource, body: EHMs, folder: Path
) -> list[Path]:
    """Draws the people of the smallest and of the largest error.

    Args:
        people: Everybody's errors, see ``PeopleErrors.table``.
        subject: What says how they are; it is asked again for these photos.
        manifest: The data set.
        images: Its photos.
        body: The body of the labels.
        folder: Where the pictures go; those that the subject had there are deleted.

    Returns:
        The files.
    """
    prefix = file_name(subject.name)
    for old in folder.glob(f"{glob.escape(prefix)}-*-[0-9].jpg"):
        old.unlink()
    chosen = _chosen(people)
    wanted = {image for image, _ in chosen}
    records = [record for record in known_people(manifest) if record.image_id in wanted] if wanted else []
    path_of = {record.image_id: record.path for record in records}
    written = []
    for said in subject.say(manifest, records, images) if records else ():
        matching = match_people(said.labels, said.records)
        for row, (sample_id, person) in enumerate(zip(matching.labels["sample_id"], matching.people, strict=True)):
            key = image_id_of(sample_id), person.index
            if key not in chosen:
                continue
            path = folder / f"{prefix}-{chosen[key]}.jpg"
            try:
                rgb = decode_image(images.read(path_of[key[0]]), name=path_of[key[0]])
            except ImageError as error:
                log.warning("%s is not drawn: %s", path_of[key[0]], error.detail)
                continue
            assert person.bbox_xyxy is not None
            write_bytes(path, encode_jpeg(_picture(rgb, person.bbox_xyxy, matching.labels.take(np.array([row])), body)))
            written.append(path)
    return sorted(written)


def file_name(name: str) -> str:
    """How the files of a subject begin; where letters and digits alone would be those of another too, with a hash."""
    words = re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_.")[:_LONGEST]
    if words == name.replace("/", "_"):
        return words
    return f"{words}_{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def _chosen(people: pa.Table) -> dict[tuple[str, int], str]:
    """Image and person -> `best-1` ..., `worst-1` ...; nobody is both, and who is alone is the worst."""
    errors = {name: people[name].to_numpy(zero_copy_only=False).astype(float) for name in HEADLINES}
    ranked = [np.argsort(values, kind="stable")[: np.isfinite(values).sum()].tolist() for values in errors.values()]
    order = next((rows for rows in ranked if len(rows) > 1), max(ranked, key=len))
    count = min(COUNT, max(1, len(order) // 2))
    pairs = zip(people["image"].to_pylist(), people["person"].to_pylist(), strict=True)
    keys = [(str(image), int(person or 0)) for image, person in pairs]
    best = {keys[row]: f"best-{k + 1}" for k, row in enumerate(order[:count])}
    return best | {keys[row]: f"worst-{k + 1}" for k, row in enumerate(order[: -count - 1 : -1])}


def _picture(rgb: np.ndarray, bbox_xyxy: np.ndarray, label: Columns, body: EHMs) -> np.ndarray:
    """(tile, 2 tile, 3): what is around a person's box, and the same with the body over it."""
    view = View.around(bbox_xyxy, _TILE_PX)
    photo = view.cut(rgb)
    drawn = draw_mesh(
        photo,
        posed_vertices(body, parameters_of_labels(label)),
        np.asarray(body.assets.smplx.faces),
        float(label["focal_px"][0]) * view.scale,
        view.apply(label["principal_px"][0]),
        colours=side_colours(body.assets),
    )
    return np.concatenate([photo, drawn], 1)

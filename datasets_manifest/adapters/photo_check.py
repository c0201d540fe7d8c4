"""What the first photos say of annotations and cameras: sizes, turns and bends that are not those of the photos stop
the listing. A single photo that is wrong has a row that fails; here most are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, PersonRecord
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, exif_orientation, image_size
from datasets_manifest.sources.video import is_video

_PHOTOS = 32
"""That are looked at."""
_LEAST_PHOTOS = 4
"""Of which something has to be wrong: of fewer, each row says it."""
_PEOPLE = 256
_MAX_HELD = 500
"""Entries that are held back at most until so many were seen."""
_ON_ITS_SIDE = 5
"""The first EXIF orientation that exchanges width and height."""
_RESIZED = 1.5
"""Times that a principal point is further from the corner than the middle of the photo, or nearer, along both axes
alike: cut photos have it off along one."""
_ALIKE = 0.1
_LEAST_POINTS, _LEAST_PEOPLE, _LEAST_PER_PERSON = 60, 4, 6
_LEAST_BEND_PX = 3.0
"""Of the points that are furthest out: a bend of less is below what keypoints are off by."""
_EXPLAINED = 0.5
"""Share of the residual that is left once the bend is taken out: noise leaves nearly all of it."""
_SCALED = 0.15
"""That a camera may show people larger or smaller than their points in the photo are."""
_SCALED_ALIKE = 0.03


class _Seen(NamedTuple):
    """A person whose points are known in the photo and, by a pinhole camera, in 3D."""

    focal_px: float
    ray: np.ndarray
    """(N, 2) x / z, y / z."""
    shown: np.ndarray
    """(N, 2) where they are in the photo, at unit focal length, from the principal point."""


def with_photos_checked(entries: Iterable[Entry], images: ImageSource, source: str) -> Iterator[Entry]:
    """The entries of an adapter, whose first photos and people were looked at.

    Args:
        entries: Of an adapter.
        images: Their photos.
        source: What they come from, in an error.

    Raises:
        ValueError: Most photos are of another size than was annotated, or turned by their EXIF blocks; the camera is of
            photos of another size; or a lens that distorts is taken for a pinhole. It comes before the first entry.
    """
    entries = iter(entries)
    held: list[Entry] = []
    photos: list[ImageRecord] = []
    people: list[_Seen] = []
    for entry in entries:
        held.append(entry)
        if isinstance(entry, ImageRecord):
            if len(photos) < _PHOTOS and _is_told(entry):
                photos.append(entry)
            people += [seen for person in entry.people if (seen := _seen(entry, person)) is not None]
        if len(held) >= _MAX_HELD or (len(photos) >= _PHOTOS and (not people or len(people) >= _PEOPLE)):
            break
    way_out = "If they are as they should be, say check_photos: false in the manifest."
    _check_sizes(photos, images, source, way_out)
    _check_cameras(people, source, way_out)
    yield from held
    yield from entries


def _is_told(record: ImageRecord) -> bool:
    """Whether something is said of a photo that another size or turn contradicts; frames of videos are not read."""
    is_stated = record.principal_px is not None or any(person.keypoints is not None for person in record.people)
    is_stated |= record.width is not None and record.height is not None and bool(record.people)
    return is_stated and not is_video(record.path.partition(MEMBER_MARK)[0])


def _check_sizes(photos: list[ImageRecord], images: ImageSource, source: str, way_out: str) -> None:
    turned, resized, off_centre = list[str](), list[str](), list[str]()
    num_read = num_cameras = 0
    for record in photos:
        try:
            data = images.read(record.path)
            (width, height), turn = image_size(data, record.path), exif_orientation(data)
        except ImageError:  # It has a row, which fails.
            continue
        num_read += 1
        stated = record.width or width, record.height or height
        if turn >= _ON_ITS_SIDE and width != height and _was_unturned(record, (width, height)):
            turned.append(f"{record.path} is {height} x {width} px as it is stored")
        elif stated != (width, height):
            resized.append(f"{record.path} has {width} x {height} px, {stated[0]} x {stated[1]} are stated")
        elif record.principal_px is not None:
            num_cameras += 1
            x, y = (2 * place / side for place, side in zip(record.principal_px, (width, height), strict=True))
            if y > 0 and abs(x / y - 1) < _ALIKE and not 1 / _RESIZED < x < _RESIZED:
                at = f"{record.principal_px[0]:g}, {record.principal_px[1]:g}"
                off_centre.append(f"{record.path} has {width} x {height} px and its principal point is {at}")
    for found, number, what in (
        (turned, num_read, "were annotated as they are stored, not upright as their EXIF blocks turn them. Turn the "
         "annotations, or drop the tag from the photos"),
        (resized, num_read, "are of another size than was annotated or calibrated. Give those photos, or scale what is "
         "stated with them"),
        (off_centre, num_cameras, "have a camera that is of photos of another size. Scale focal lengths and principal "
         "points with the photos"),
    ):  # fmt: skip
        if len(found) >= _LEAST_PHOTOS and 2 * len(found) > number:
            raise ValueError(f"{source}: {len(found)} of the first {number} photos {what} ({found[0]}). {way_out}")


def _was_unturned(record: ImageRecord, upright: tuple[int, int]) -> bool:
    """Whether what is said of a photo that lies on its side is of the photo as it is stored."""
    width, height = upright
    if record.width is not None and record.height is not None:
        return (record.width, record.height) == (height, width)
    points = [
        person.keypoints[person.keypoints[:, 2] > 0, :2] for person in record.people if person.keypoints is not None
    ]
    known = np.concatenate([np.zeros((0, 2)), *points])
    return bool((known > (width, height)).any() and (known <= (height, width)).all())


def _seen(record: ImageRecord, person: PersonRecord) -> _Seen | None:
    """What a photo by a stated pinhole shows of a person who is known in 3D; None where either is not there."""
    truth, points = person.truth_3d, person.keypoints
    if truth is None or truth.keypoints_m is None or points is None or record.lens is not None:
        return None
    if truth.root_relative or not truth.points_turned or record.focal_px is None or record.principal_px is None:
        return None
    places = truth.keypoints_m[:, :3].astype(np.float64)
    if truth.frame == "world":
        if record.place is None or record.place.world_to_camera is None:
            return None
        places = places @ record.place.world_to_camera[:, :3].T + record.place.world_to_camera[:, 3]
    known = (truth.keypoints_m[:, 3] > 0) & (points[:, 2] > 0) & (places[:, 2] > 0)
    if known.sum() < _LEAST_PER_PERSON:
        return None
    shown = (points[known, :2] - np.array(record.principal_px)) / record.focal_px
    return _Seen(record.focal_px, places[known, :2] / places[known, 2:], shown)


def _check_cameras(people: list[_Seen], source: str, way_out: str) -> None:
    """Refuses cameras that show people larger or smaller than they are in the photos, all alike, and those whose
    residual grows as the third power of the way from the middle, as a lens bends."""
    if len(people) < _LEAST_PEOPLE:
        return
    scales = np.array([np.linalg.norm(own.shown - own.shown.mean(0)) for own in people])
    scales /= np.maximum([np.linalg.norm(own.ray - own.ray.mean(0)) for own in people], 1e-9)
    scale = float(np.median(scales))
    if abs(scale - 1) > _SCALED and float(np.median(np.abs(scales / scale - 1))) < _SCALED_ALIKE:
        raise ValueError(
            f"{source}: the camera shows people in 3D {1 / scale:.3g} times as large as their points in the photo are "
            f"(median of {len(people)}): its focal length is of photos of another size. Scale focal lengths and "
            f"principal points with the photos. {way_out}"
        )
    ray, shown = (np.concatenate(values) for values in ([own.ray for own in people], [own.shown for own in people]))
    focal = np.concatenate([np.full(len(own.ray), own.focal_px) for own in people])
    length = np.linalg.norm(ray, axis=1)
    if len(ray) < _LEAST_POINTS or not length.max() > 0:
        return
    off = ((shown - ray) * ray).sum(1) / np.maximum(length, 1e-9)
    straight, curved = (np.linalg.lstsq(np.stack(terms, 1), off)[0] for terms in ([length], [length, length**3]))
    left = [np.median(np.abs(off - fit)) for fit in (straight[0] * length, curved[0] * length + curved[1] * length**3)]
    far = length > np.quantile(length, 0.9)
    bend = float(np.median(np.abs(curved[1]) * length[far] ** 3 * focal[far]))
    if bend > _LEAST_BEND_PX and left[1] < _EXPLAINED * left[0]:
        raise ValueError(
            f"{source}: points in 3D are up to {bend:.0f} px off their places in the photos, the more the further they "
            f"are from the middle, as a lens that distorts moves them (k1 about {curved[1]:.2g}): the camera is stated "
            f"as a pinhole. State its lens, or give undistorted photos with their camera. {way_out}"
        )

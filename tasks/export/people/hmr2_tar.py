"""People as HMR2's training tars: of each photo itself and a pickled list of records, one a person.

Points are its 44 in 2D, those that were seen in the first 25. Poses are SMPL's, where SMPL's files are beside those of
the body, else none (``has_body_pose`` 0); shapes of the open body mean nothing to SMPL (``has_betas`` 0). There are no
3D points: HMR2 wants the joints that its regressor makes of SMPL's mesh. Points that may not supervise have the
confidence 0, and a pose of which a limb may not is none.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from datasets_manifest.files import whole_file
from datasets_manifest.paths import inside
from datasets_manifest.restricted_pickle import pickled
from datasets_manifest.schema.keypoint_sets import HMR2_44
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, decode_image, exif_orientation
from datasets_manifest.sources.opening import open_images
from fitting.delta_theta import DeltaTheta
from model.renderer.overlay import encode_jpeg
from tasks.export.people.people import People
from tasks.export.people.smpl import NUM_BETAS, NUM_JOINTS, smpl_parameters
from tasks.export.people.target import BOX_MARGIN, Target
from tasks.export.terms import is_open

PHOTOS_OF_TAR = 1000
PIXELS_OF_SCALE = 200.0
"""Pixels of a scale of 1."""
_SEEN = np.array([-1 if index is None else index for index in HMR2_44.wholebody[:25]])
"""Of the 133 points, those of the first 25 places."""
_SIGNATURES = {b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png"}
_QUALITY = 95

Sample = tuple[str, bytes, bytes]
"""Suffix and bytes of a photo, and its records."""


def write(batches: Iterable[People], target: Target) -> int:
    """Writes ``<stem>-000000.tar`` and so on, a thousand photos each; returns the number of people."""
    samples = _Samples(target)
    found, number = samples.of(batches), 0
    while first := list(islice(found, 1)):
        name = f"{target.stem}-{number:06d}.tar"
        photos = 0
        with (
            whole_file(inside(target.exported.folder, name)) as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for key, (suffix, photo, records) in (*first, *islice(found, PHOTOS_OF_TAR - 1)):
                _add(tar, f"{key}.{suffix}", photo)
                _add(tar, f"{key}.data.pyd", records)
                photos += 1
        target.exported.files[name] = {"photos": photos}
        number += 1
    target.exported.remarks += samples.remarks()
    return samples.people


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


class _Samples:
    """Makes samples of people, and counts those whose photos cannot be had."""

    def __init__(self, target: Target) -> None:
        self.people = 0
        self._target = target
        self._transfer = target.transfer()
        self._has_betas = not is_open(target.terms.body_model)
        self._keys: set[str] = set()
        self._lost: list[str] = []
        self._turned = 0

    def of(self, batches: Iterable[People]) -> Iterator[tuple[str, Sample]]:
        """Key and content of every photo; people of one follow each other."""
        for people in batches:
            records = _records(people, self._transfer, has_betas=self._has_betas)
            names = zip(people.columns["dataset"], people.columns["split"], people.columns["image"], strict=True)
            for (dataset, split, image), rows in groupby(enumerate(names), lambda entry: entry[1]):
                own = [records[row] for row, _ in rows]
                try:
                    suffix, photo = self._photo(dataset, split, image)
                except ImageError as error:
                    self._lost += [str(error)] * len(own)
                    continue
                self.people += len(own)
                yield self._key(f"{dataset}_{split}", image), (suffix, photo, pickled(own))

    def _photo(self, dataset: str, split: str, image: str) -> tuple[str, bytes]:
        """Suffix and bytes: the file itself, where it is a JPEG or PNG that stands upright; else a JPEG of it."""
        photos = self._target.photos
        source, name = _beside(image) if photos is None else (photos(dataset, split), image)
        data = source.read(name)
        suffix = next((own for start, own in _SIGNATURES.items() if data.startswith(start)), None)
        if suffix is not None and exif_orientation(data) == 1:
            return suffix, data
        self._turned += 1
        return "jpg", encode_jpeg(decode_image(data, name=image), _QUALITY)

    def _key(self, folder: str, image: str) -> str:
        """A name of its own below a folder, without the dots at which keys end."""
        stem = re.sub(r"[^A-Za-z0-9-]+", "_", str(PurePosixPath(image).with_suffix("")))
        key, number = f"{folder}/{stem}", 1
        while key in self._keys:
            key, number = f"{folder}/{stem}_{number}", number + 1
        self._keys.add(key)
        return key

    def remarks(self) -> list[tuple[int, str]]:
        """Whose photos are not there, and what of the records is not."""
        lost = len(self._lost)
        return [
            (lost, f"{lost} left out, whose photos cannot be read: {self._lost[0] if lost else ''}"),
            (self._turned, f"{self._turned} photos turned upright or made JPEG of another format"),
            (
                int(self._transfer is None and self.people),
                "poses left out (has_body_pose 0): smpl.npz and smpl_to_smplx.npz are not beside the body's files",
            ),
        ]


def _beside(image: str) -> tuple[ImageSource, str]:
    """Where a predicted photo is read from, and its name there."""
    file, mark, member = image.partition(MEMBER_MARK)
    path = Path(file)
    return open_images(path.parent), f"{path.name}{mark}{member}"


def _records(people: People, transfer: DeltaTheta | None, *, has_betas: bool) -> list[dict[str, Any]]:
    """One a person, as HMR2 stores them."""
    count = len(people)
    boxes = people.boxes_xywh(BOX_MARGIN)
    points = np.zeros((count, len(HMR2_44.points), 3), np.float32)
    points[:, np.flatnonzero(_SEEN >= 0)] = people.keypoints[:, _SEEN[_SEEN >= 0]]
    pose, betas = np.zeros((count, 3 * NUM_JOINTS)), np.zeros((count, NUM_BETAS))
    if transfer is not None:
        pose, betas = smpl_parameters(people, transfer)
    has_pose = people.limb_valid.all(1) & np.full(count, transfer is not None)
    return [
        {
            "keypoints_2d": points[k],
            "keypoints_3d": np.zeros((len(HMR2_44.points), 4), np.float32),
            "center": (boxes[k, :2] + boxes[k, 2:] / 2).astype(np.float32),
            "scale": (boxes[k, 2:] / PIXELS_OF_SCALE).astype(np.float32),
            "body_pose": (pose[k] * has_pose[k]).astype(np.float32),
            "betas": (betas[k] * (has_pose[k] and has_betas)).astype(np.float32),
            "has_body_pose": np.array(float(has_pose[k]), np.float32),
            "has_betas": np.array(float(has_pose[k] and has_betas), np.float32),
            "personid": int(people.columns["person"][k]),
            "extra_info": {"fitting_loss": np.array({}, dtype=object)},
        }
        for k in range(count)
    ]

"""People as predictions for AGORA's evaluation: a pickle a person, which is to be zipped as the folder `predictions`.

    joints           (24, 2) px of a picture of 3840 x 2160, by which people are matched
    verts            (10475, 3) metres, in the camera
    allSmplJoints3d  (127, 3) metres, likewise, in the order of the package `smplx`

All float32. The mesh is EHM-s's, which no parameters of SMPL-X give, so that these are not written.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from datasets_manifest.restricted_pickle import pickled
from tasks.export.people.people import People
from tasks.export.people.smplx_mesh import check_smplx, meshes
from tasks.export.people.target import Target

_NUM_MATCHED, _NUM_JOINTS = 24, 127
_SIZE = (3840, 2160)
_SMALL, _SMALL_ENDING = (1280, 720), "_1280x720"
"""Pictures are distributed in this size too, under other names; predictions have those of the large ones."""


def write(batches: Iterable[People], target: Target) -> int:
    """Writes ``predictions/<photo>_personId_<k>.pkl`` of each person; returns their number.

    Raises:
        ValueError: The body is not SMPL-X's, a photo is in another size than AGORA's, or two have one name.
    """
    count, photo_of = 0, dict[str, str]()
    for people in batches:
        check_smplx("agora", people.body.ehm)
        scales = _scales(people)
        joints = (scales[:, None, None] * people.points_px[:, :_NUM_MATCHED]).astype(np.float32)
        points = people.points_m[:, :_NUM_JOINTS].astype(np.float32)
        vertices = meshes(people)
        for image, person, *arrays in zip(
            target.images(people), people.columns["person"].tolist(), joints, vertices, points, strict=True
        ):
            name = PurePosixPath(image).stem.removesuffix(_SMALL_ENDING)
            if photo_of.setdefault(name, image) != image:
                raise ValueError(
                    f"{photo_of[name]} and {image}: agora names predictions by the photo's name alone, expected each "
                    "once; export the splits of AGORA one by one"
                )
            content = dict(zip(("joints", "verts", "allSmplJoints3d"), arrays, strict=True))
            target.put(f"predictions/{name}_personId_{person}.pkl", pickled(content))
            count += 1
    return count


def _scales(people: People) -> np.ndarray:
    """(N,) from pixels of the photo to those of the large picture."""
    columns = people.columns
    sizes = np.column_stack([columns["image_width"], columns["image_height"]])
    is_known = (sizes == _SIZE).all(1) | (sizes == _SMALL).all(1)
    if not is_known.all():
        first = int(np.flatnonzero(~is_known)[0])
        raise ValueError(
            f"{columns['image'][first]} has {sizes[first][0]} x {sizes[first][1]} px, expected AGORA's 3840 x 2160 or "
            "1280 x 720; agora is for its pictures alone"
        )
    return _SIZE[0] / sizes[:, 0]

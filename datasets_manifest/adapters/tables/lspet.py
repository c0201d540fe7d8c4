"""LSP and LSP-Extended: photos that are numbered, and one MATLAB array of 14 points for all of them.

The array is (14, 2 or 3, N) in LSP-Extended and (3, 14, N) in LSP. Nothing but the order of the photos says which
column is whose, so that a photo that is missing would move all that follow: the numbers must be those of the columns.
All points count as seen, as in the usual evaluation; one at (0, 0) or with a value that is not finite is not labelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from datasets_manifest.adapters.base import Entry, ImageRecord, PersonRecord
from datasets_manifest.adapters.people.reading import photo_path
from datasets_manifest.adapters.people.values import box_around, placed
from datasets_manifest.adapters.tables.layout import TableLayout
from datasets_manifest.numpy_files import DAMAGED
from datasets_manifest.paths import inside
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS
from datasets_manifest.sources.image_source import ImageSource

_LSP = KEYPOINT_SETS["lsp"]
_NAME = re.compile(r"im(\d+)\.(?:png|jpg)")
_NUM_POINTS = 14


def entries(images: ImageSource, layout: TableLayout) -> Iterator[Entry]:
    """Photos by their numbers.

    Raises:
        ValueError: The file is no such array, or photos and columns do not belong together.
    """
    points = _points(images, layout)
    folder = layout.images
    names = _photos(images, folder)
    numbers = [int(match[1]) for match in map(_NAME.fullmatch, names) if match]
    if numbers != list(range(1, points.shape[0] + 1)):
        gap = next((k for k, number in enumerate(numbers, 1) if number != k), len(numbers) + 1)
        raise ValueError(
            f"{layout.annotations} has points of {points.shape[0]} photos, {images.root / folder} has {len(numbers)} "
            f"photos, and im{gap:05d} is not among them in its place: all that follow would have the points of others; "
            "fetch the photos again."
        )
    for name, own in zip(names, points, strict=True):
        known = own[own[:, 2] > 0, :2]
        if len(known) < 2:
            detail = f"{name}: fewer than two of its points are labelled."
            code = ErrorCode.SOURCE_ROW_INVALID
            person = PersonRecord(index=0, error_code=code, error_detail=detail)
        else:
            low, high = known.min(axis=0), known.max(axis=0)
            box = box_around((low + high) / 2, np.maximum(high - low, 1))
            found = placed(own, _LSP)
            person = PersonRecord(index=0, bbox_xyxy=box, keypoints=found.placed, other_points=found.others)
        yield ImageRecord(image_id=PurePosixPath(name).stem, path=photo_path(folder, name), people=(person,))


def _points(images: ImageSource, layout: TableLayout) -> np.ndarray:
    """(N, 14, 3) float64: x, y px, 1 where labelled."""
    path = inside(images.root, layout.annotations, links="follow")  # The manifest names it, not the data.
    try:
        joints = np.asarray(scipy.io.loadmat(str(path), variable_names=["joints"])["joints"], dtype=np.float64)
    except FileNotFoundError as error:
        raise ValueError(f"The annotation file {path} does not exist; put it there or correct the manifest.") from error
    except (MatReadError, *DAMAGED) as error:
        raise ValueError(f"The annotation file {path} has no array joints that can be read ({error}).") from error
    if joints.ndim == 3 and joints.shape[:2] == (3, _NUM_POINTS):
        joints = joints.transpose(1, 0, 2)
    if joints.ndim != 3 or joints.shape[0] != _NUM_POINTS or joints.shape[1] not in (2, 3):
        raise ValueError(f"{path}: joints must be 14 x 2 or 3 x N, or 3 x 14 x N, got {joints.shape}.")
    xy = joints[:, :2].transpose(2, 0, 1)
    is_known = np.isfinite(xy).all(axis=2) & (xy != 0).any(axis=2)
    return np.concatenate([np.where(is_known[..., None], xy, 0), is_known[..., None]], axis=2)


def _photos(images: ImageSource, folder: str) -> list[str]:
    """Names of the photos in a folder below the root, sorted."""
    path = inside(images.root, folder, links="follow")
    if not path.is_dir():
        raise ValueError(f"The folder of photos {path} does not exist; correct layout.images in the manifest.")
    return sorted(entry.name for entry in path.iterdir() if _NAME.fullmatch(entry.name))

"""Masks of published people: packed as COCO packs them, as pixels, or in a file of pixels beside the people."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_manifest.adapters.base import MaskReader
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.numpy_files import DAMAGED
from datasets_manifest.schema.rle import Rle
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive

_MOST_BYTES = 1 << 30
"""Of the masks of a photo."""
DETECTION = "detection.npz"
"""Ending of the member of HMR2's tars that has the masks of all people of a photo."""


def packed_mask(size: Any, counts: Any) -> MaskReader | None:
    """A mask of COCO's packed runs and its height and width; None where the size says that there is none.

    Raises:
        RowError: It is none.
    """
    sides = np.asarray([] if size is None else size).reshape(-1)
    if len(sides) != 2 or sides.dtype.kind not in "iu" or sides.min() <= 0:
        return None
    counts = counts.encode("latin-1") if isinstance(counts, str) else counts
    if not isinstance(counts, bytes):
        raise RowError(f"the runs of the mask must be bytes, got {type(counts).__name__}.")
    mask = Rle((int(sides[0]), int(sides[1])), counts)
    try:
        _ = mask.runs
    except ValueError as error:
        raise RowError(f"{error}.") from error
    return lambda: mask


def stated_mask(said: Any) -> MaskReader | None:
    """The mask that a record holds: pixels (H, W), or packed runs; None where it is neither.

    Raises:
        RowError: The runs are of no mask.
    """
    if isinstance(said, dict):
        return packed_mask(said.get("size"), said.get("counts"))
    if not isinstance(said, np.ndarray) or said.dtype.kind not in "biu":
        return None
    pixels = said[0] if said.ndim == 3 and len(said) == 1 else said
    mask = Rle.of_mask(pixels > 0) if pixels.ndim == 2 and pixels.size else None
    return None if mask is None else lambda: mask


def detected_mask(archive: TarArchive, member: str, record: Mapping[str, Any]) -> MaskReader | None:
    """The mask of a person among those of a photo, which is read when it is asked for; None where the person has no
    place among them."""
    more = record.get("extra_info")
    place = np.asarray(more.get("detection_npz_idx") if isinstance(more, dict) else None)
    if place.size != 1 or place.dtype.kind not in "iu" or (index := int(place.reshape(()))) < 0:
        return None

    def read() -> Rle:
        try:
            data = archive.read(member)
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                if (num_bytes := file.getinfo("masks.npy").file_size) > _MOST_BYTES:
                    raise ValueError(f"it would be {num_bytes} bytes")
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                return Rle.of_mask(file["masks"][index] > 0)
        except (ImageError, *DAMAGED) as error:
            raise ValueError(f"{member}: mask {index} cannot be read ({error})") from error

    return read

"""The file of mean parameters that the setting `mean` names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets_manifest.numpy_files import DAMAGED


def read_mean_file(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file; objects in it are not read.

    Raises:
        ValueError: It is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except DAMAGED:
        # What numpy says of a file that is none is advice to trust it.
        raise ValueError(
            f"mean: {path} is no .npz file of arrays; give SPIN's smpl_mean_params.npz, or say labels or neutral"
        ) from None

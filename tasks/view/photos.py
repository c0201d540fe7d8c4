"""Photos of the people that are looked at: by the data set's root, never by a path that somebody sends."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.decoded import MIB, DecodedPhotos
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.opening import open_images
from datasets_manifest.sources.video import frame_name
from tasks.annotate.photos import PhotoReader
from tasks.annotate.workspace import Workspace
from tasks.view.state import Opened

_KEPT_MB = 128.0
PREDICTED = "predictions"
"""What the root of the photos of predictions is called: ``--root predictions=FOLDER``."""


class ViewPhotos:
    """Gives photos of labels and predictions; threads share it."""

    def __init__(self, opened: Opened) -> None:
        """Takes where things are."""
        self._opened, self._decoded = opened, DecodedPhotos(_KEPT_MB * MIB)
        self._sources: dict[tuple[str, str], ImageSource] = {}
        self._lock = threading.Lock()

    def read(self, row: Mapping[str, Any]) -> np.ndarray:
        """The photo (H, W, 3) of a row, uint8 RGB, upright, read-only.

        Raises:
            ImageError: It is not there, or nobody knows where the photos of the data set are.
        """
        if "dataset" in row:
            name = row["image"]
            source = self.source(row["dataset"], row["split"])
        else:
            is_frame = row.get("frame") is not None
            name = f"{row['source']}{MEMBER_MARK}{frame_name(row['frame'])}" if is_frame else row["source"]
            source = self.source(PREDICTED, "")
        return self._decoded.decode(source.read(name), name)

    def source(self, dataset: str, split: str) -> ImageSource:
        """The photos of a data set; raises as ``read``."""
        with self._lock:
            if (dataset, split) not in self._sources:
                self._sources[dataset, split] = self._open(dataset, split)
            return self._sources[dataset, split]

    def _open(self, dataset: str, split: str) -> ImageSource:
        try:
            if dataset in self._opened.roots:
                return open_images(self._opened.roots[dataset])
            if split:
                workspace = Workspace.of(self._opened.config.output)
                return PhotoReader.of_dataset(workspace, (dataset, split), _KEPT_MB).source
        except (ValueError, OSError) as error:
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{error}; or say --root {dataset}=FOLDER") from error
        raise ImageError(ErrorCode.IMAGE_MISSING, f"say where the photos are: --root {dataset}=FOLDER")

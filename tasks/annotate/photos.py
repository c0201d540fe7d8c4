"""Photos of a shard: read through the data set's source, decoded by the one strict decoder."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from datasets_manifest.manifest import load_manifest, open_source
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.decoded import MIB, DecodedPhotos
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, exif_focal_px, exif_orientation
from tasks.annotate.dataset_records import read_record
from tasks.annotate.workspace import Group, Workspace


@lru_cache(maxsize=8)
def _source(manifest: str, root: str) -> ImageSource:
    return open_source(load_manifest(manifest, root_override=root))


_LOCK = threading.Lock()


@lru_cache(maxsize=1)
def _decoded(max_bytes: float) -> DecodedPhotos:
    """What the threads of this process share."""
    return DecodedPhotos(max_bytes)


@dataclass(slots=True)
class PhotoReader:
    """Reads photos of one data set; keeps the last one, since people of one photo follow each other."""

    source: ImageSource
    """Gives the bytes."""
    decoded: DecodedPhotos
    """Decodes them, each once."""
    _last: tuple[str, np.ndarray, float | None] | None = field(default=None)

    @classmethod
    def of_dataset(cls, workspace: Workspace, group: Group, cache_mb: float) -> PhotoReader:
        """The reader of a planned data set's photos.

        Args:
            workspace: Where it is planned.
            group: Data set and split.
            cache_mb: MiB of decoded photos that the process keeps.

        Raises:
            ValueError: Its record, manifest or folder is gone.
        """
        record = read_record(workspace, group)
        with _LOCK:
            return cls(source=_source(record.manifest, record.root), decoded=_decoded(cache_mb * MIB))

    def read(self, image: str) -> np.ndarray:
        """Decodes a photo.

        Args:
            image: Path as the ``image`` column has it.

        Returns:
            (H, W, 3) uint8 RGB, upright, read-only: people of one photo, and the steps of a shard, share it.

        Raises:
            ImageError: Missing, corrupt, too large or of an unsupported kind.
        """
        return self._read(image)[0]

    def focal_px(self, image: str) -> float | None:
        """The focal length that the photo's EXIF block states; raises as ``read``."""
        return self._read(image)[1]

    def turn(self, image: str) -> int:
        """The EXIF orientation 1..8 that ``read`` applied to a photo, which reads it again."""
        return exif_orientation(self.source.read(image))

    def _read(self, image: str) -> tuple[np.ndarray, float | None]:
        if self._last is None or self._last[0] != image:
            data = self.source.read(image)
            self._last = (image, self.decoded.decode(data, image), exif_focal_px(data))
        return self._last[1:]


class WorkspacePhotos:
    """Photos of any data set that was annotated in a workspace."""

    def __init__(self, workspace: Workspace, cache_mb: float) -> None:
        """Takes the workspace, and the MiB of decoded photos that the process keeps."""
        self._workspace, self._cache_mb = workspace, cache_mb
        self._readers: dict[Group, PhotoReader] = {}

    def __call__(self, dataset: str, split: str, image: str) -> np.ndarray:
        """A photo; raises as ``PhotoReader.read``, also where the data set is gone."""
        group = dataset, split
        if group not in self._readers:
            try:
                self._readers[group] = PhotoReader.of_dataset(self._workspace, group, self._cache_mb)
            except (ValueError, OSError) as error:
                raise ImageError(ErrorCode.IMAGE_MISSING, str(error)) from error
        return self._readers[group].read(image)

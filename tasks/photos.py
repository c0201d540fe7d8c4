"""Photos of a shard: read through the data set's adapter, decoded by the one strict decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from datasets_manifest.adapters.base import Adapter, ImageRecord, open_adapter
from datasets_manifest.images import decode_image
from datasets_manifest.manifest import load_manifest
from datasets_manifest.store import read_footer
from tasks.workspace import ShardRef, Workspace


@lru_cache(maxsize=8)
def _adapter(source: str, root: str | None) -> Adapter:
    return open_adapter(load_manifest(source, root_override=None if root is None else Path(root)))


@dataclass(slots=True)
class PhotoReader:
    """Reads photos of one data set; keeps the last one, since people of one photo follow each other."""

    adapter: Adapter
    """Gives the bytes."""
    _last: tuple[str, np.ndarray] | None = field(default=None)

    @classmethod
    def of_shard(cls, shard: ShardRef, workspace: Workspace) -> PhotoReader:
        """The reader of a planned shard; its plan's footer says which manifest and root the photos come from."""
        manifest = read_footer(workspace.plan_path(shard)).manifest
        return cls(_adapter(manifest["source"], manifest["root"]))

    def read(self, image: str) -> np.ndarray:
        """Decodes a photo.

        Args:
            image: Path as the ``image`` column has it.

        Returns:
            (H, W, 3) uint8 RGB, upright. People of one photo get the same array: do not write to it.

        Raises:
            ImageError: Missing, corrupt, too large or of an unsupported kind.
        """
        if self._last is None or self._last[0] != image:
            data = self.adapter.read(ImageRecord(image_id=image, path=image))
            self._last = (image, decode_image(data, name=image))
        return self._last[1]

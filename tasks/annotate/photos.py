"""Photos of a shard: read through the data set's source, decoded by the one strict decoder."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from datasets_manifest.manifest import load_manifest, open_source
from datasets_manifest.shards.footer import Footer
from datasets_manifest.sources.image_sources import ImageSource
from datasets_manifest.sources.images import decode_image

Item = TypeVar("Item")


@lru_cache(maxsize=8)
def _source(manifest: str, root: str | None) -> ImageSource:
    return open_source(load_manifest(manifest, root_override=None if root is None else Path(root)))


class DecodedPhotos:
    """The photos a process decoded last, by the hash of their bytes, so that the steps of a shard decode each once.

    That holds while the photos of the shards in progress fit into ``max_bytes``; photos of larger shards are decoded
    again in each step, and so are those of steps that run in other processes. Threads share it. Beside it a step holds
    the chunk of photos that it works on (``in_chunks``) and, while the next one is made, that one, so that the photos
    of a process take no more than ``max_bytes`` and, a worker, twice ``CHUNK_BYTES`` and a photo, however large a shard
    is. A file that changed between two steps has other bytes, and so is decoded again.
    """

    def __init__(self, max_bytes: int):
        """Keeps at most ``max_bytes`` of pixels; the photo used longest ago goes first."""
        self.max_bytes = max_bytes
        self._photos: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    def decode(self, data: bytes, name: str) -> np.ndarray:
        """Decodes like ``decode_image``, or gives the array it gave before (read-only)."""
        key = hashlib.blake2b(data, digest_size=16).digest()
        with self._lock:
            if key in self._photos:
                self._photos.move_to_end(key)
                return self._photos[key]
        photo = decode_image(data, name=name)
        photo.flags.writeable = False
        with self._lock:
            if key not in self._photos and photo.nbytes <= self.max_bytes:
                self._photos[key] = photo
                self._num_bytes += photo.nbytes
                while self._num_bytes > self.max_bytes:
                    self._num_bytes -= self._photos.popitem(last=False)[1].nbytes
        return photo


_DECODED = DecodedPhotos(max_bytes=2**30)
"""A shard of 64 photos of 5 megapixels, or a thousand photos of COCO."""
CHUNK_BYTES = 2**28
"""Pixels that a step works on at a time: 300 photos of COCO, 7 of 12 megapixels."""


def in_chunks(items: Iterable[Item], photo_of: Callable[[Item], np.ndarray | None]) -> Iterator[list[Item]]:
    """Cuts items into runs whose photos take at most ``CHUNK_BYTES``, or into single photos where one is larger.

    Args:
        items: Made one by one, so that one photo beyond the chunk is decoded at most.
        photo_of: The decoded photo of an item, None where it has none; neighbours with the same array share it.

    Yields:
        Neighbouring items, at least one.
    """
    chunk: list[Item] = []
    num_bytes, last = 0, None
    for item in items:
        photo = photo_of(item)
        size = 0 if photo is None or photo is last else photo.nbytes
        if num_bytes and num_bytes + size > CHUNK_BYTES:
            yield chunk
            chunk, num_bytes, size = [], 0, 0 if photo is None else photo.nbytes
        chunk.append(item)
        num_bytes, last = num_bytes + size, last if photo is None else photo
    if chunk:
        yield chunk


@dataclass(slots=True)
class PhotoReader:
    """Reads photos of one data set; keeps the last one, since people of one photo follow each other."""

    source: ImageSource
    """Gives the bytes."""
    _last: tuple[str, np.ndarray] | None = field(default=None)

    @classmethod
    def of_plan(cls, footer: Footer) -> PhotoReader:
        """The reader of a planned shard, whose plan's footer says which manifest and root the photos come from."""
        return cls(_source(footer.manifest["source"], footer.manifest["root"]))

    def read(self, image: str) -> np.ndarray:
        """Decodes a photo.

        Args:
            image: Path as the ``image`` column has it.

        Returns:
            (H, W, 3) uint8 RGB, upright, read-only: people of one photo, and the steps of a shard, share it.

        Raises:
            ImageError: Missing, corrupt, too large or of an unsupported kind.
        """
        if self._last is None or self._last[0] != image:
            self._last = (image, _DECODED.decode(self.source.read(image), image))
        return self._last[1]

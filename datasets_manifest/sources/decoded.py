"""Decoded photos in memory: what was decoded last, and work in chunks of a bounded size."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from datasets_manifest.sources.images import decode_image

Item = TypeVar("Item")

MIB = 2**20


class DecodedPhotos:
    """The photos a process decoded last, by the hash of their bytes, so that the steps of a shard decode each once.

    That holds while the photos of the shards in progress fit into ``max_bytes``; photos of larger shards are decoded
    again in each step, and so are those of steps that run in other processes. Threads share it. Beside it a step holds
    the chunk of photos that it works on (``in_chunks``) and, while the next one is made, that one, so that the photos
    of a process take no more than ``max_bytes`` and, a worker, twice a chunk and a photo, however large a shard is. A
    file that changed between two steps has other bytes, and so is decoded again.
    """

    def __init__(self, max_bytes: float) -> None:
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


def in_chunks(
    items: Iterable[Item], photo_of: Callable[[Item], np.ndarray | None], max_bytes: float
) -> Iterator[list[Item]]:
    """Cuts items into runs whose photos take at most ``max_bytes``, or into single photos where one is larger.

    Args:
        items: Made one by one, so that one photo beyond the chunk is decoded at most.
        photo_of: The decoded photo of an item, None where it has none; neighbours with the same array share it.
        max_bytes: Of pixels.

    Yields:
        Neighbouring items, at least one.
    """
    chunk: list[Item] = []
    num_bytes, last = 0, None
    for item in items:
        photo = photo_of(item)
        size = 0 if photo is None or photo is last else photo.nbytes
        if num_bytes and num_bytes + size > max_bytes:
            yield chunk
            chunk, num_bytes, size = [], 0, 0 if photo is None else photo.nbytes
        chunk.append(item)
        num_bytes, last = num_bytes + size, last if photo is None else photo
    if chunk:
        yield chunk

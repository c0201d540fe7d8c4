"""Are the photos of a data set whole? Each is read and decoded as a run decodes it, by the processor alone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from datasets_manifest.adapters.base import Missing
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, decode_reduced

_AT_ONCE = 256
_REDUCTION = 8
"""Of JPEGs, whose data is read as strictly then, in a fraction of the time."""


def damaged_photos(source: ImageSource, photos: Iterable[str]) -> Iterator[Missing]:
    """The photos that are there and cannot be decoded: empty, cut short, damaged, too large, or no pictures.

    Args:
        source: Of the data set.
        photos: Their names; those that are not there are passed over.
    """
    names = iter(photos)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        while some := list(itertools.islice(names, _AT_ONCE)):
            for name, problem in zip(some, threads.map(lambda name: _problem(source, name), some), strict=True):
                if problem is not None and problem.code != ErrorCode.IMAGE_MISSING:
                    yield Missing.of(name, problem.code, problem.detail, has_row=True)


def _problem(source: ImageSource, name: str) -> ImageError | None:
    try:
        decode_reduced(source.read(name), name=name, reduction=_REDUCTION)
    except ImageError as error:
        return error
    return None

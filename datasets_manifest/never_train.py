"""Data sets that nobody may learn from, because methods are compared on them: told by name and by their photos.

A photo of a benchmark can come back in other data sets, under another id: COCO's photos of val2017 lie in those of
2014, tars of training people mix sources. So a manifest with ``never_train`` also says how its photos are known.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.manifest import Manifest, load_manifest, open_adapter
from datasets_manifest.named_sources import manifest_ids
from datasets_manifest.stores import Place

log = logging.getLogger(__name__)

_SHOWN = 3
"""Photos that a sentence names."""


@cache
def never_trained() -> tuple[Manifest, ...]:
    """The manifests of the project that say so."""
    return tuple(manifest for manifest in map(load_manifest, manifest_ids()) if manifest.never_train)


def check_may_train(labels: Place, stated: Mapping[str, str], images: Iterable[str]) -> None:
    """Refuses labels of a data set that is never learnt from, or of its photos.

    Args:
        labels: Where they lie.
        stated: What their footers say of the data set.
        images: Names of their photos.

    Raises:
        ValueError: They are; the sentence says of which data set, and by what it is known.
    """
    name = str(stated.get("id", ""))
    if stated.get("never_train") or any(manifest.id == name for manifest in never_trained()):
        raise ValueError(
            f"Labels in {labels} are of the data set {name}, which methods are compared on and nothing may learn from "
            "(never_train in its manifest); leave them out, or name them under validation."
        )
    names = pa.array(sorted({str(image) for image in images}), pa.string())
    for manifest in never_trained():
        found = [image for image in _like(names, manifest) if _is_of(image, manifest)]
        if found:
            raise ValueError(
                f"{len(found)} of the {len(names)} photos of the labels in {labels} are those of {manifest.id}, such "
                f"as {', '.join(found[:_SHOWN])}: methods are compared on them, and nothing may learn from them. Leave "
                "them out of the data set, or rename them if they are other photos of the same names."
            )


def _like(names: pa.Array, manifest: Manifest) -> list[str]:
    """Names in which a pattern of a data set is found: of millions, for which Python's own search takes minutes."""
    is_like = np.zeros(len(names), bool)
    for pattern in manifest.photo_names:
        is_like |= pc.match_substring_regex(names, pattern).to_numpy(zero_copy_only=False)
    return [str(name) for name in names.filter(pa.array(is_like)).to_pylist()]


def _is_of(image: str, manifest: Manifest) -> bool:
    """Whether a name is that of a photo of a data set: by itself, or because the data set has it."""
    return any(key is None or key in _own_keys(manifest.id) for key in _keys(image, manifest))


def _keys(image: str, manifest: Manifest) -> Iterator[str | None]:
    """What a name says of a photo by each pattern that is in it; None: that it is of the data set."""
    for pattern in manifest.photo_names:
        if match := re.search(pattern, image):
            yield next((group for group in match.groups() if group is not None), None)


@cache
def _own_keys(name: str) -> frozenset[str]:
    """The same of the photos that a data set of the project has, empty where it is not there."""
    manifest = load_manifest(name)
    try:
        records = [entry for entry in open_adapter(manifest).entries() if isinstance(entry, ImageRecord)]
    except ValueError as error:
        log.warning("Photos are called like those of %s; whether they are those cannot be told: %s", name, error)
        return frozenset()
    return frozenset(key for record in records for key in _keys(record.path, manifest) if key is not None)

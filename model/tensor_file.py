"""Named tensors as the bytes of a ``.safetensors`` file, which runs nothing when it is read and says what it is.

All metadata is one canonical JSON under one name: equal content gives equal bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import safetensors
import safetensors.torch
from torch import Tensor

from datasets_manifest.canonical import canonical_json

Meta = TypeVar("Meta")

METADATA_NAME = "pear"
"""Name of the metadata in the file's header."""
LENGTH_BYTES = 8
"""A safetensors file begins with the length of its JSON header, little-endian."""


def pack(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """Named tensors and metadata as the bytes of a safetensors file; the same content gives the same bytes.

    Args:
        tensors: On any device; tensors may share memory.
        metadata: Plain values.

    Raises:
        ValueError: The metadata holds a value that is not plain, or not finite.
    """
    own: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu().contiguous()
        # Only what shares memory is copied: a training's state is several times its network.
        if kept.untyped_storage().data_ptr() in storages:
            kept = kept.clone()
        storages.add(kept.untyped_storage().data_ptr())
        own[name] = kept
    return safetensors.torch.save(own, {METADATA_NAME: canonical_json(metadata)})


def unpack(data: bytes, source: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of ``pack``.

    Args:
        data: The bytes of a file.
        source: What to call the file in an error.

    Raises:
        ValueError: The bytes are cut short, no safetensors file, or without this package's metadata.
    """
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
        found = header.get("__metadata__", {}).get(METADATA_NAME)
        metadata = None if found is None else json.loads(found)
    except (safetensors.SafetensorError, UnicodeDecodeError, json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{source} is no safetensors file or is cut short ({error})") from error
    if not isinstance(metadata, dict):
        raise ValueError(
            f"{source} has tensors but not the metadata {METADATA_NAME!r} that training writes; it is not a checkpoint "
            "of this package"
        )
    return tensors, metadata


def read_metadata(kind: type[Meta], metadata: Mapping[str, Any], expected: str, source: str) -> Meta:
    """Metadata of ``unpack`` as a value.

    Args:
        kind: A dataclass whose fields the metadata has, one of them ``format``.
        metadata: See ``unpack``.
        expected: The format.
        source: What to call the file in an error.

    Raises:
        ValueError: It is of another format, or its values are not those of ``kind``.
    """
    if metadata.get("format") != expected:
        raise ValueError(f"checkpoint {source} is of the format {metadata.get('format')!r}, expected {expected!r}")
    if missing := sorted({each.name for each in dataclasses.fields(kind)} - set(metadata)):  # type: ignore[arg-type]
        raise ValueError(f"checkpoint {source}: the metadata lacks {', '.join(missing)}")
    from datasets_manifest.settings import read_settings  # Whoever reads no checkpoint does without pydantic.

    return read_settings(kind, metadata, f"checkpoint {source}")

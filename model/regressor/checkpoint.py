"""A regressor as the bytes of a file (``model.tensor_file``) that says what it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from model.regressor.config import RegressorConfig
from model.regressor.network import EhmRegressor
from model.tensor_file import pack, read_metadata, unpack
from model.weights import load_into

FORMAT = "ehm-regressor/1"
"""Says that a file is a regressor, and the version of names and metadata."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointMeta:
    """What a regressor's file says about it."""

    config: RegressorConfig
    """Size of the network."""
    step: int = 0
    """Training steps it has seen."""
    snapshot_hashes: tuple[str, ...] = ()
    """Hash of each label set it was trained with."""
    body_model: Mapping[str, Any] = field(default_factory=dict)
    """What states the body model whose parameters it speaks of."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """All settings of the training, plain values."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Held-out metrics, plain finite values."""
    code_version: str = ""
    """Version of this package that wrote it."""
    format: str = FORMAT
    """Kind and version of the file."""


def save_regressor(network: EhmRegressor, meta: CheckpointMeta) -> bytes:
    """A network and its metadata as the bytes of a file.

    Args:
        network: The network.
        meta: Its ``config`` is the network's.

    Raises:
        ValueError: Settings differ from the network's, or the metadata is not plain.
    """
    if differences := meta.config.differences(network.config):
        raise ValueError(f"metadata does not describe the network to save: {'; '.join(differences)}")
    return pack(network.state_dict(), {**dataclasses.asdict(meta), "config": meta.config.to_dict()})


def load_regressor(data: bytes, *, source: str) -> tuple[EhmRegressor, CheckpointMeta]:
    """The network in a file, on the CPU in evaluation mode, and what the file says about it.

    Args:
        data: The bytes of the file.
        source: What to call the file in an error.

    Raises:
        ValueError: Not a regressor's file, its settings are not known, or its tensors are not those of its settings.
    """
    tensors, metadata = unpack(data, source)
    meta = read_metadata(CheckpointMeta, metadata, FORMAT, source)
    with torch.device("meta"):
        network = EhmRegressor(meta.config)
    return load_into(network, tensors, path=source).eval(), meta

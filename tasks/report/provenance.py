"""Where labels come from: what the footers of their files say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from datasets_manifest.canonical import canonical_json
from datasets_manifest.shards.footer import Footer

_OF_SHARDS = ("inputs_hash", "unmasked_hash", "parts_hash", "corrections")
"""Entries of a manifest in which the shards of a data set differ."""


@dataclass(slots=True)
class Provenance:
    """What made the labels; where shards differ, every value is listed once, however many shards there are."""

    config_hashes: set[str] = field(default_factory=set)
    code_versions: set[str] = field(default_factory=set)
    schema_versions: set[int] = field(default_factory=set)
    body_models: dict[str, dict[str, Any]] = field(default_factory=dict)
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    estimators: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: tuple[str, str] = ("", "")
    """When the first and the last shard were written."""
    num_shards: int = 0
    corrections: Counter[str] = field(default_factory=Counter)
    """People, keypoints, and stale corrections, of all shards."""
    _last: tuple[Any, ...] = ()
    """What the last shard stated: most state the same, and to tell values apart by their text is dear."""

    def add(self, footer: Footer) -> None:
        """Takes the footer of a shard."""
        self.num_shards += 1
        times = [footer.created_utc, *filter(None, self.created)]
        self.created = min(times), max(times)
        self.config_hashes.add(footer.config_hash)
        self.code_versions.add(footer.code_version)
        self.schema_versions.add(footer.schema_version)
        self.corrections.update(footer.manifest.get("corrections", {}))
        data_set = {name: value for name, value in footer.manifest.items() if name not in _OF_SHARDS}
        stated = (footer.body_model, data_set, footer.estimators)
        if stated == self._last:
            return
        self._last = stated
        for known, values in (
            (self.body_models, [footer.body_model]),
            (self.manifests, [data_set]),
            (self.estimators, footer.estimators),
        ):
            known.update({canonical_json(value): dict(value) for value in values if value})

"""The footer of a shard: how it was made, as JSON in the Parquet key-value metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from datasets_manifest.canonical import canonical_json, config_hash
from datasets_manifest.schema.labels import SCHEMA_VERSION
from datasets_manifest.stores import Place

FOOTER_KEYS = (
    "schema_version",
    "code_version",
    "config_hash",
    "config",
    "body_model",
    "estimators",
    "manifest",
    "shard",
    "row_count",
    "failed_count",
    "empty_count",
    "created_utc",
)
"""Keys of the Parquet key-value metadata of every shard; each value is JSON."""

_LATER_KEYS = ("empty_count",)
"""Those that shards of earlier programs do not have."""

_SHOWN_CHARACTERS = 40
"""Longer values of settings are cut in messages."""


class ShardError(ValueError):
    """A shard cannot be read or is not what was asked for."""


class ForeignFileError(ShardError):
    """A Parquet file that this project did not write."""


class RowCounts:
    """What the counts of a file's rows say of its people."""

    row_count: int
    failed_count: int
    empty_count: int

    @property
    def num_people(self) -> int:
        """Rows that are people."""
        return self.row_count - self.empty_count

    @property
    def num_failed(self) -> int:
        """People that failed."""
        return self.failed_count - self.empty_count


@dataclass(frozen=True, kw_only=True)
class Footer(RowCounts):
    """How a shard was made. ``write_shard`` counts the rows itself, so the counts always agree with the table."""

    config: Mapping[str, Any]
    """Everything that decides the content; its canonical JSON makes ``config_hash``."""
    code_version: str
    """Version of this package, with the commit where it is known."""
    manifest: Mapping[str, Any]
    """id, version and hash of the manifest."""
    shard: str
    """Name of the shard inside its data set and split, such as 00012."""
    body_model: Mapping[str, Any] = field(default_factory=dict)
    """What ``datasets_manifest.shards.body_entry`` says of the body model; empty where none is used."""
    estimators: tuple[Mapping[str, Any], ...] = ()
    """name, version, sha256 of the weights and licence, one each."""
    schema_version: int = SCHEMA_VERSION
    """Version of the schema of the rows."""
    created_utc: str = ""
    """ISO time; empty = now, or SOURCE_DATE_EPOCH where that is set (then files are the same byte for byte)."""
    row_count: int = -1
    """Rows in the file; filled in on writing."""
    failed_count: int = -1
    """Rows with status failed; filled in on writing."""
    empty_count: int = -1
    """Those of them that are photos without people, no failed people (see ``schema.people``); filled in on writing."""

    @cached_property
    def config_hash(self) -> str:
        """sha256 of the canonical config."""
        return config_hash(self.config)


def differing_settings(one: Mapping[str, Any], other: Mapping[str, Any], *, shown: int = 3) -> str:
    """The first settings in which two footers' configs differ, each with both values.

    Names are those of the settings file: the footer of labels has ``keypoints.options`` in
    ``reads.keypoints.settings.options``.
    """
    ours, theirs = dict(_by_name(one, ())), dict(_by_name(other, ()))
    differing = [name for name in dict.fromkeys((*ours, *theirs)) if ours.get(name) != theirs.get(name)]
    # Of a step that is stated by its hash and in full, the hash says nothing more.
    names = [name for name in differing if not any(other.startswith(f"{name}.") for other in differing)]
    told = [f"{name} is {ours.get(name, 'absent')}, not {theirs.get(name, 'absent')}" for name in names[:shown]]
    return "; ".join(told) + (f"; and {len(names) - shown} more" if len(names) > shown else "")


def _by_name(value: Any, name: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every setting of a footer's config by its dotted name, as text."""
    if not isinstance(value, Mapping):
        text = canonical_json(value).strip('"')
        yield ".".join(name), text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 4]} ..."
        return
    own = (str(value["step"]),) if "step" in value else name
    for key, item in value.items():
        yield from _by_name(item, () if key == "reads" else own if key == "settings" else (*own, key))


def parse_footer(path: Place, metadata: Mapping[bytes, bytes] | None, num_rows: int) -> Footer:
    """The footer in a file's key-value metadata.

    Args:
        path: The file, for messages.
        metadata: Its key-value metadata.
        num_rows: Rows that it really has.

    Raises:
        ForeignFileError: There is none of ours.
        ShardError: It is incomplete, or contradicts itself or the file.
    """
    raw = metadata or {}
    missing = [key for key in FOOTER_KEYS if key.encode() not in raw and key not in _LATER_KEYS]
    if len(missing) == len(FOOTER_KEYS) - len(_LATER_KEYS):
        raise ForeignFileError(f"{path} has no footer of a shard; it was not written by this project.")
    if missing:
        raise ShardError(f"Shard {path} has no {', '.join(missing)} in its footer; it was not written by this project.")
    try:
        values = {key: _parsed(raw[key.encode()]) for key in FOOTER_KEYS if key.encode() in raw}
        stated_hash = values.pop("config_hash")
        footer = Footer(**{**values, "estimators": tuple(values["estimators"])})
        actual_hash = _hash_of(raw[b"config"])
    except (ValueError, TypeError) as error:
        raise ShardError(f"Shard {path} has a footer that is not valid JSON ({error}); run it again.") from error
    if actual_hash != stated_hash:
        raise ShardError(f"Shard {path}: its footer's config has the hash {actual_hash}, but it states {stated_hash}.")
    if footer.row_count != num_rows:
        raise ShardError(f"Shard {path} has {num_rows} rows, but its footer states {footer.row_count}.")
    vars(footer)["config_hash"] = actual_hash
    return footer


@lru_cache(maxsize=256)
def _parsed(raw: bytes) -> Any:
    """A value of a footer; the shards of a step have most of theirs in common."""
    return json.loads(raw)


@lru_cache(maxsize=256)
def _hash_of(raw: bytes) -> str:
    return config_hash(_parsed(raw))

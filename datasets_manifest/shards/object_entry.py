"""What the object of a shard says of itself by its metadata, so that whether it is done is known without reading it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.journal import Entry
from datasets_manifest.stores import stated_of

if TYPE_CHECKING:  # What runs without stores runs without their packages.
    from upath import UPath

_STATED = ("config_hash", "inputs_hash", "schema_version", "row_count", "failed_count", "empty_count")


def metadata_of(footer: Footer) -> Mapping[str, str]:
    """What is stated of a file with this footer."""
    entry = Entry.of(footer)
    return {name.replace("_", "-"): str(getattr(entry, name)) for name in _STATED}


def entry_of_object(place: UPath) -> Entry | None:
    """What an object states, by one request; None for one that is not there, or that others put.

    Its entry knows hashes and counts, and nothing of its people.
    """
    try:
        stated = stated_of(place)
    except FileNotFoundError:
        return None
    try:
        return Entry(
            config_hash=stated["config-hash"],
            inputs_hash=stated["inputs-hash"],
            schema_version=int(stated["schema-version"]),
            row_count=int(stated["row-count"]),
            failed_count=int(stated["failed-count"]),
            empty_count=int(stated["empty-count"]),
        )
    except (KeyError, ValueError):
        return None

"""All that an adapter tells, at once."""

from typing import NamedTuple

from datasets_manifest.adapters.base import Adapter, ImageRecord, Inventory, Missing


class Listed(NamedTuple):
    """An inventory with its records and whatever is missing."""

    records: tuple[ImageRecord, ...]
    missing: tuple[Missing, ...]
    notes: dict[str, int]
    summary: str
    reasons: str

    @property
    def num_people(self) -> int:
        return sum(len(record.people) for record in self.records)


def inventory_of(adapter: Adapter) -> Listed:
    """Lists a data set to its end."""
    inventory, missing = Inventory(), []
    records = tuple(inventory.records(adapter.entries(), missing.append))
    return Listed(records, tuple(missing), inventory.notes, inventory.summary, inventory.reasons)

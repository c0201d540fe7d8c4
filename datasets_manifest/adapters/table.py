"""Native formats of single data sets that are one table: JSON, CSV, a MATLAB array, or a tree of small JSON files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

from datasets_manifest.adapters.base import Entry
from datasets_manifest.adapters.people.adapter import PublishedPeople
from datasets_manifest.adapters.people.reading import with_missing_photos, with_wanted_people
from datasets_manifest.adapters.people.unit_checks import check_people
from datasets_manifest.adapters.point_checks import with_points_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.adapters.tables import aic, ava, instavariety, lspet, mpii, sa1b
from datasets_manifest.adapters.tables.layout import Kind, TableLayout
from datasets_manifest.sources.image_source import ImageSource

_KINDS: dict[Kind, Callable[[ImageSource, TableLayout], Iterator[Entry]]] = {
    "aic_native": aic.entries,
    "ava": ava.entries,
    "instavariety_tracks": instavariety.entries,
    "lspet": lspet.entries,
    "mpii_json": mpii.entries,
    "sa1b": sa1b.entries,
}
_WITHOUT_PEOPLE = ("sa1b",)
_WITHOUT_POINTS = ("ava", "sa1b")


@register("table")
class TableAdapter(PublishedPeople[TableLayout]):
    """People of a native format. A person's index counts those of the photo in the order of the format."""

    Layout: ClassVar[type] = TableLayout

    def __init__(self, images: ImageSource, layout: TableLayout, *, boxes: str, keypoints: str) -> None:
        super().__init__(images, layout, boxes=boxes, keypoints=keypoints)
        if boxes == "manifest" and layout.kind in _WITHOUT_PEOPLE:
            raise ValueError(f"layout.kind {layout.kind} annotates no people; set boxes to detector")
        if keypoints != "none" and layout.kind in _WITHOUT_POINTS:
            raise ValueError(f"layout.kind {layout.kind} annotates no points; set keypoints to none")

    def entries(self) -> Iterator[Entry]:
        """List photos and people, in the order of the format.

        Raises:
            ValueError: The file cannot be read or is of another format, or the data are in another unit or order.
        """
        source = f"{self._images.root / self._layout.annotations}"
        told = _KINDS[self._layout.kind](self._images, self._layout)
        checked = with_points_checked(told, partial(check_people, source=source))
        wanted = with_wanted_people(checked, self._boxes, self._keypoints)
        yield from with_missing_photos(self._images, wanted)

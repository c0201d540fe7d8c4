"""3DPW and AGORA by their own pickles, which the one restricted unpickler reads; those of pandas and torch are refused
with the command that writes them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from datasets_manifest.adapters.base import Entry, Missing
from datasets_manifest.adapters.coco_values import RowError
from datasets_manifest.adapters.people.adapter import PublishedPeople, matching_files
from datasets_manifest.adapters.people.reading import with_missing_photos, with_wanted_people
from datasets_manifest.adapters.people.unit_checks import check_people
from datasets_manifest.adapters.point_checks import with_points_checked
from datasets_manifest.adapters.registry import register
from datasets_manifest.adapters.sequences import agora, pw3d
from datasets_manifest.adapters.sequences.agora_photos import AgoraPhoto, agora_photos
from datasets_manifest.adapters.sequences.layout import SequencePickleLayout
from datasets_manifest.paths import inside
from datasets_manifest.restricted_pickle import PickleError, RefusedName, unpickle
from datasets_manifest.schema.error_codes import ErrorCode

_MAX_BYTES = 4 << 30
_CONVERT = {
    "pandas": (
        "import pandas, pickle; rows = pandas.read_pickle('{file}').drop(columns='gt_verts', errors='ignore'); "
        "pickle.dump(rows.to_dict('records'), open('{file}', 'wb'))"
    ),
    "torch": None,
}
"""Package -> what Python has to run, once; None where that depends on what is in the file."""


@register("sequence_pickle")
class SequencePickleAdapter(PublishedPeople[SequencePickleLayout]):
    """People of pickled sequences. A person's index counts those of the photo, by their numbers in the file."""

    Layout: ClassVar[type] = SequencePickleLayout

    def entries(self) -> Iterator[Entry]:
        """List photos and people, file by file.

        Raises:
            ValueError: No file matches, one is a pickle of pandas or torch, or points are in another unit or order.
        """
        root = self._images.root
        whole: list[str] = []
        # What cannot be looked into is told before the first photo; one file is held at a time.
        for name in matching_files(root, self._layout.files):
            try:
                self._content(name)
            except (PickleError, OSError) as error:
                yield Missing.of(name, ErrorCode.LISTING_INCOMPLETE, str(error))
            else:
                whole.append(name)
        checked = with_points_checked(self._listed(whole), partial(check_people, source=str(root)))
        wanted = with_wanted_people(checked, self._boxes, self._keypoints)
        yield from with_missing_photos(self._images, wanted)

    def agora_photos(self) -> Iterator[AgoraPhoto]:
        """People of AGORA as its evaluation takes them, in the order of the listing; nobody of other kinds, or of files
        that the listing says are not whole."""
        for name in matching_files(self._images.root, self._layout.files) if self._layout.kind == "agora" else ():
            with suppress(PickleError, OSError):
                yield from agora_photos(self._content(name))

    def _listed(self, names: list[str]) -> Iterator[Entry]:
        kinds: dict[str, Callable[[Any, str, SequencePickleLayout], Iterator[Entry]]] = {
            "pw3d": pw3d.entries,
            "agora": partial(agora.entries, read=self._content),
        }
        for name in names:
            try:
                yield from kinds[self._layout.kind](self._content(name), name, self._layout)
            except RowError as error:
                yield Missing.of(name, error.code, f"the file is not one of {self._layout.kind}: {error}")

    def _content(self, name: str) -> Any:
        path = inside(self._images.root, name, links="follow")
        if path.stat().st_size > _MAX_BYTES:
            raise PickleError(f"{name} has {path.stat().st_size} bytes, allowed are {_MAX_BYTES}.")
        try:
            return unpickle(path.read_bytes(), name)
        except RefusedName as error:
            package = error.asked.partition(".")[0]
            if package not in _CONVERT:
                raise
            command = _CONVERT[package]
            how = "with its arrays as those of numpy" if command is None else f'python -c "{command.format(file=path)}"'
            raise ValueError(
                f"{path} is a pickle of {package}, which could run anything, and is not read. If it comes from its "
                f"publisher, write it anew as dicts, lists and arrays, once: {how}"
            ) from error

"""Which photos of a data set show one person: a track, frames of a clip, or what the names of photos say."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from datasets_manifest.shards.selection_columns import WHO_IS_WHO
from datasets_manifest.sources.video import clip_of
from tasks.training.labelled_photos import LabelledPhotos


@dataclass(frozen=True, slots=True)
class SamePerson:
    """The rule.

    Photos in which more than one person is labelled have no part in it: who is who in another photo is not known.
    """

    pattern: str | None
    """Regular expression, from the beginning of a photo's name: photos with the same groups, or without a group the
    same match, show one person. None: those of a track do, and frames of a clip where labels know no tracks."""

    def photos(self, people: LabelledPhotos, *, first: bool) -> dict[int, np.ndarray]:
        """Rows of photos, and for each the rows of other photos of the person.

        Args:
            people: One data set.
            first: Whether the others of a row are the first row of its person alone, which is then no row itself.

        Raises:
            ValueError: There is nobody in two photos, or a name does not match.
        """
        names = list(map(str, people.selection.table["image"].to_pylist()))
        persons: dict[object, list[int]] = {}
        for row, (name, track) in enumerate(zip(names, _tracks(people), strict=True)):
            persons.setdefault(self._person(name, track), []).append(row)
        found: dict[int, np.ndarray] = {}
        for rows in persons.values():
            if len(rows) < 2 or len({names[row] for row in rows}) < len(rows):
                continue
            if first:
                found |= {row: np.array(rows[:1]) for row in rows[1:]}
            else:
                found |= {row: np.array([other for other in rows if other != row]) for row in rows}
        if not found:
            rule = "of one clip or track" if self.pattern is None else f"of one person by same_person: {self.pattern}"
            raise ValueError(
                f"{people.selection.path}: no two photos with one person each are {rule}, and a renderer is learnt "
                "from pairs; annotate frames of videos of one person each, or say by same_person whose photos are whose"
            )
        return found

    def _person(self, name: str, track: tuple[str, int] | None) -> object:
        if self.pattern is None:
            return track or clip_of(name)
        match = re.match(self.pattern, name)
        if match is None:
            raise ValueError(f"same_person: {self.pattern} does not match the photo {name}; it must match all of them")
        return match.groups() or match.group()


def _tracks(people: LabelledPhotos) -> list[tuple[str, int] | None]:
    """Of each row its group and its track in it; None where labels do not say."""
    table = people.selection.table
    if not {*WHO_IS_WHO} <= {*table.column_names}:
        return [None] * table.num_rows
    rows = zip(*(table[name].to_pylist() for name in WHO_IS_WHO), strict=True)
    return [None if group is None or track is None else (group, track) for group, track in rows]

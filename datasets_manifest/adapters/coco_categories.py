"""Which categories of a COCO file are people, and what their keypoints are: by name, as the file itself says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets_manifest.adapters.coco_values import RowError, is_text, whole_number
from datasets_manifest.schema.keypoint_sets import KEYPOINT_SETS, KeypointSet, KeypointSetName, keypoint_set

COCO_PERSON = 1
"""Id of people in COCO's own files; it counts only in files that list no categories."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonCategories:
    """The categories of a file."""

    people: Mapping[int, KeypointSet]
    """Ids of those that are people, with the points of each."""
    names: Mapping[int, str] | None
    """All that the file lists, None if it lists none."""

    def points_of(self, row: Mapping[str, Any]) -> KeypointSet | None:
        """The keypoints of an annotation's category; None if it is no person.

        An annotation without ``category_id`` is of the file's only category, or of COCO's own people where the file
        lists none.

        Raises:
            RowError: Its category is not in the file.
        """
        names = {COCO_PERSON: ""} if self.names is None else self.names
        if "category_id" not in row and len(names) == 1:
            return self.people.get(next(iter(names)))
        number = whole_number(row, "category_id")
        if self.names is not None and number not in names:
            raise RowError(f"the category {number} is not among the file's, which are {listed(names)}.")
        return self.people.get(number)


def person_categories(rows: Any, name: str, stated: KeypointSetName | None, *, keypoints: bool) -> PersonCategories:
    """Finds the people among the categories of a file.

    Args:
        rows: The file's ``categories``, or None. A file that lists none is taken to have COCO's people.
        name: What people are called; capitals make no difference.
        stated: What the keypoints are where a category does not name them; None: COCO's.
        keypoints: Whether they are wanted; else their names are not looked at.

    Raises:
        ValueError: No category has the name, one is written wrongly or twice, or its keypoints are unknown or not those
            that are stated.
    """
    unnamed = KEYPOINT_SETS[stated or "coco"]
    if not rows:
        return PersonCategories(people={COCO_PERSON: unnamed}, names=None)
    names: dict[int, str] = {}
    people: dict[int, KeypointSet] = {}
    for row in rows if isinstance(rows, list) else [rows]:
        try:
            number = whole_number(row, "id")
            if not is_text(row.get("name")):
                raise RowError(f"category {number} has no name.")
        except RowError as error:
            reason = str(error).removesuffix(".")
            raise ValueError(f"its categories must be a list of ids and names: {reason}") from error
        if names.setdefault(number, row["name"]) != row["name"]:
            raise ValueError(f"its category {number} stands for both {names[number]!r} and {row['name']!r}")
        if row["name"].strip().casefold() == name.strip().casefold():
            people[number] = _points(row.get("keypoints"), stated) if keypoints else unnamed
    if not people:
        raise ValueError(
            f"none of its categories is called {name!r}; it has {listed(names)}. If people have another name there, "
            "say so by layout.category"
        )
    return PersonCategories(people=people, names=names)


def _points(names: Any, stated: KeypointSetName | None) -> KeypointSet:
    if not names:
        return KEYPOINT_SETS[stated or "coco"]
    if not isinstance(names, list) or not all(map(is_text, names)):
        raise ValueError(f"the keypoints of its people must be a list of names, got {names!r:.80}")
    found = keypoint_set(names)
    if stated is not None and found.wholebody != KEYPOINT_SETS[stated].wholebody:
        raise ValueError(
            f"its people have the keypoints {', '.join(names)}, which are not those of layout.keypoint_set {stated} "
            f"({', '.join(KEYPOINT_SETS[stated].points)}); drop the setting, or correct the names in the file"
        )
    return found


def listed(names: Mapping[int, str]) -> str:
    """``1 dog, 2 person``."""
    shown: Sequence[str] = [f"{number} {name}" for number, name in sorted(names.items())]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")

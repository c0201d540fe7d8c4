"""The data sets of one training: what each is, and whether the rows selected of them go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import PositiveFloat

from datasets_manifest.canonical import config_hash
from datasets_manifest.placed_settings import PathText, PlaceText
from datasets_manifest.reviews.verdicts import Obedience, ReviewRule, read_verdicts
from datasets_manifest.shards.body_entry import body_identity, body_name
from datasets_manifest.shards.footer import differing_settings
from datasets_manifest.shards.selection import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSet:
    """One data set of a training: labels, the photos they are about, and how often it is drawn."""

    path: PlaceText
    """Folder of label shards of one data set, for example `labels/my_photos`, or its address in a store."""
    images: PlaceText
    """What the `image` column is relative to: a folder of photos, a folder of tar files, or one tar file, or the
    address of photos in a store."""
    weight: PositiveFloat = 1.0
    """Share of the samples, relative to the weights of the other sets."""
    masks: PathText | None = None
    """Folder of the people's masks (``datasets_manifest.sources.masks``), for a training that looks at pixels; null:
    there are none."""
    reviews: PathText | None = None
    """Folder of verdicts of people on these labels, for example `reviews/my_photos`; null: none are asked for."""
    review_rule: ReviewRule = "drop_rejected"
    """What verdicts do: `drop_rejected` takes parts that were rejected for not valid, `only_accepted` also those that
    nobody accepted, `ignore` only counts. A verdict about a label that was made again with another outcome is
    counted and not obeyed."""

    def __post_init__(self) -> None:
        if self.reviews is None and self.review_rule == "only_accepted":
            raise ValueError(f"{self.path}: review_rule only_accepted needs the folder of the verdicts (reviews)")

    def obedience(self) -> Obedience | None:
        """What verdicts do to the labels; None: none are asked for.

        Raises:
            ValueError: As ``read_verdicts``.
        """
        return None if self.reviews is None else Obedience(read_verdicts(self.reviews), self.review_rule)


def check_same_body(selections: Sequence[Selection]) -> Mapping[str, Any]:
    """The one body model of several data sets.

    Raises:
        ValueError: Two of them are labels of different bodies.
    """
    first = selections[0]
    for other in selections[1:]:
        if body_identity(other.body_model) != body_identity(first.body_model):
            raise ValueError(
                f"Labels in {first.path} are of the body {body_name(first.body_model)}, those in {other.path} of "
                f"{body_name(other.body_model)}; a model is trained on labels of one body, so annotate one of them "
                "again."
            )
    return first.body_model


def unlike_settings(selections: Sequence[Selection]) -> list[str]:
    """A sentence for each data set whose labels were made with other settings than those of the first of their kind.

    That is no fault: who gives each a label set of its own wants them together.
    """
    first: dict[str, Selection] = {}
    told = []
    for other in selections:
        one = first.setdefault(str(other.config.get("step")), other)
        if differing := differing_settings(other.config, one.config):
            told.append(
                f"labels in {other.path} ({config_hash(other.config)[:12]}) were made with other settings than in "
                f"{one.path} ({config_hash(one.config)[:12]}): {differing}"
            )
    return told


def check_splits(selections: Sequence[Selection], asked: Sequence[str]) -> None:
    """Refuses a name of a split that none of several data sets has: nobody would miss its rows.

    Raises:
        ValueError: There is such a name.
    """
    present = {split for selection in selections for split in selection.splits}
    unknown = [split for split in asked if split not in present]
    if unknown:
        raise ValueError(
            f"No label set has the split {' or '.join(unknown)} that the filter asks for; present are "
            f"{', '.join(sorted(present))}."
        )

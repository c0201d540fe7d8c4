"""How good labels are, where the data set knows better: 3D truth of synthetic people, 2D annotations of real ones.

Legend: P people, each a label with the known person that it is of (``tasks.evaluate.matching``).
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.adapters.registry import adapter_class
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS, PART_NAMES
from datasets_manifest.schema.labels import LABEL_SCHEMA, image_id_of
from fitting.quality import BODY, FACE, HAND
from model.body import skeleton
from model.body.ehms import EHMs
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.shown import shown_parts
from model.estimators.annotations import is_possible
from model.metrics.person import PosedByParameters, person_errors
from model.metrics.summary import means_and_medians, rounded
from tasks.evaluate.matching import KnownPhotos, Matching, match_people
from tasks.lenses import photo_points

log = logging.getLogger(__name__)

WRONG_REL = 0.07
"""A part whose worst point is further off, as a fraction of the box's longer side, is wrong."""
_RICHEST_FIRST = ("coco_wholebody", "coco", "none")
"""Sets of annotated keypoints that a file is tried to have."""
_CLAIMED = ("left_hand", "right_hand", "face")
"""Parts whose 3D errors count only where the label calls them valid; a body always counts."""
_RANKED = {
    "body_quality": (BODY, "pa_mpjpe_mm"),
    "hand_quality": (HAND, "hand_pa_mpjpe_mm"),
    "face_quality": (FACE, "head_pa_mm"),
}
"""Quality -> what it was made with, and the error that falls with it."""
MEASURED_POINTS = {
    "body": skeleton.BODY,
    "feet": skeleton.FEET,
    "face": skeleton.FACE,
    "left_hand": skeleton.LEFT_HAND,
    "right_hand": skeleton.RIGHT_HAND,
}
"""Keypoints of what is told apart."""
_PEOPLE_AT_ONCE = 64
"""People whose bodies are posed together."""


def truth_errors(matching: Matching, pose: PosedByParameters, *, of_shown: bool = False) -> dict[str, np.ndarray]:
    """3D errors of labels against known truth, posed by the body of the labels.

    Args:
        matching: P labels with the known people.
        pose: The body.
        of_shown: Whether a part counts where the photo shows it, whatever the label claims, and has no quality.

    Returns:
        For the P matched people with truth the errors of ``model.metrics.person``, NaN for hands and heads that the
        label itself does not call valid, and the qualities, NaN where the label has none: `body_quality` and
        `face_quality` (P,), `hand_quality` (P, 2). Empty without such people.
    """
    rows = np.flatnonzero([bool(person.truth) for person in matching.people])
    if not len(rows):
        return {}
    labels, people = matching.labels.take(rows), [matching.people[row] for row in rows]
    truths = [dict(person.truth or {}) for person in people]
    truth = {name: np.stack([own[name] for own in truths]) for name in truths[0] if all(name in own for own in truths)}
    valid = _shown(people) if of_shown else {part: labels[f"{part}_valid"] for part in _CLAIMED}
    errors = person_errors(pose(parameters_of_labels(labels)), pose(EhmParameters.from_columns(truth)), valid)
    if of_shown:
        return errors
    hands = np.stack([labels["left_hand_quality"], labels["right_hand_quality"]], 1)
    qualities = {"body": labels["body_quality"], "hand": hands, "face": labels["face_quality"]}
    return errors | {f"{part}_quality": values.astype(np.float64) for part, values in qualities.items()}


def _shown(people: Sequence[PersonRecord]) -> dict[str, np.ndarray]:
    """Part -> (P,) whether the photo shows it, by the known keypoints; all of whom none are known."""
    points = [
        np.ones(skeleton.NUM_KEYPOINTS, bool) if person.keypoints is None else person.keypoints[:, 2] > 0
        for person in people
    ]
    parts = shown_parts(torch.from_numpy(np.stack(points))).numpy()
    return {part: parts[:, k] for k, part in enumerate(PART_NAMES)}


def parameters_of_labels(labels: Columns) -> EhmParameters:
    """The people of labels; what some label lacks is neutral in all."""
    return EhmParameters.from_columns({name: labels[name] for name in LABEL_PARAMETERS if labels.has(name).all()})


def keypoint_errors(matching: Matching, projected: np.ndarray) -> dict[str, np.ndarray]:
    """2D errors of the labels' projected keypoints against annotated ones, as a fraction of the box's longer side.

    Args:
        matching: P labels with the annotated people.
        projected: (P, 133, 2) px.

    Returns:
        For the P matched people with annotated keypoints `<part>_rel` (P,), the median over the annotated points of a
        part, and `<part>_worst_rel` (P,), the largest; NaN for a part without such points. Empty without such people.
    """
    people = [
        _annotated(person, points, size)
        for person, points, size in zip(matching.people, projected, _sizes(matching.labels), strict=True)
        if _is_annotated(person)
    ]
    if not people:
        return {}
    errors = {}
    for part, points in MEASURED_POINTS.items():
        own = [distance[points][seen[points]] for distance, seen in people]
        errors[f"{part}_rel"] = np.array([np.median(values) if values.size else np.nan for values in own])
        errors[f"{part}_worst_rel"] = np.array([values.max() if values.size else np.nan for values in own])
    return errors


def _is_annotated(person: PersonRecord) -> bool:
    return person.keypoints is not None and person.bbox_xyxy is not None


def _sizes(labels: Columns) -> np.ndarray:
    """(P, 2) width and height of the photos, px."""
    return np.stack([labels["image_width"], labels["image_height"]], axis=1)


def _annotated(person: PersonRecord, projected: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (133,) of points (133, 2) to the annotated ones, as a fraction of the box's longer side, and which are
    annotated; what the estimator takes for a slip of the annotation is not."""
    assert person.keypoints is not None
    box = np.asarray(person.bbox_xyxy, np.float64)
    side = max(box[2] - box[0], box[3] - box[1])
    distance = np.linalg.norm(projected - person.keypoints[:, :2], axis=-1) / side
    return distance, (person.keypoints[:, 2] > 0) & is_possible(person.keypoints[:, :2], box, *size)


def _annotated_parts(annotated: np.ndarray) -> dict[str, np.ndarray]:
    """Annotated points of each part that has some, by (133,) which are."""
    points = np.arange(len(annotated))
    parts = {part: points[list(members)] for part, members in skeleton.BODY_GROUPS.items()}
    parts |= {part: points[MEASURED_POINTS[part]] for part in _CLAIMED}
    return {part: index[annotated[index]] for part, index in parts.items() if annotated[index].any()}


def count_parts(people: Iterable[PersonRecord]) -> int:
    """How many parts of some people are annotated, found or not; see ``acceptance``."""
    return sum(
        len(_annotated_parts(person.keypoints[:, 2] > 0))
        for person in people
        if person.keypoints is not None and _is_annotated(person)
    )


def acceptance(matching: Matching, projected: np.ndarray) -> Counter[str]:
    """How often a part was accepted, and how often an accepted one is wrong, against annotated keypoints.

    A part (head, torso, arms, legs, face, hands) counts where at least one of its points is annotated. It is wrong if
    its worst annotated point lies more than ``WRONG_REL`` of the box's longer side away.

    Args:
        matching: P labels with the annotated people.
        projected: (P, 133, 2) px.

    Returns:
        Numbers of ``parts``, ``accepted``, ``accepted_wrong`` and ``refused_right``.
    """
    counts: Counter[str] = Counter()
    labels = matching.labels
    sizes = _sizes(labels)
    for row, person in enumerate(matching.people):
        if not _is_annotated(person):
            continue
        distance, annotated = _annotated(person, projected[row], sizes[row])
        accepted = dict(zip(skeleton.BODY_GROUPS, labels["body_group_valid"][row], strict=True))
        accepted |= {part: labels[f"{part}_valid"][row] for part in _CLAIMED}
        for part, seen in _annotated_parts(annotated).items():
            wrong = distance[seen].max() > WRONG_REL
            counts["parts"] += 1
            counts["accepted"] += bool(accepted[part])
            counts["accepted_wrong"] += bool(accepted[part] and wrong)
            counts["refused_right"] += bool(not accepted[part] and not wrong)
    return counts


def summarise(errors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Mean and median of every error over the people who have it, how well the qualities rank what they are of, and
    what they lead to expect of it.

    Args:
        errors: By name, (P,) or (P, 2); see ``truth_errors`` and ``keypoint_errors``.
    """
    if not errors:
        return {}
    summary: dict[str, float | None] = {"people": float(len(next(iter(errors.values()))))}
    summary |= means_and_medians({name: values for name, values in errors.items() if name not in _RANKED})
    for quality, (calibration, error) in _RANKED.items():
        if quality in errors and error in errors:
            summary[f"{quality}_rank_correlation"] = _quality_rank(errors[quality], errors[error])
            expected = calibration.error_mm(torch.from_numpy(errors[quality])).numpy()
            part = quality.removesuffix("_quality")
            summary |= means_and_medians({f"{part}_expected_mm": expected[np.isfinite(errors[error])]})
    known = {name: value for name, value in summary.items() if value is not None}
    return {name: rounded(value) if name.endswith("_m2") else round(value, 5) for name, value in known.items()}


def _quality_rank(quality: np.ndarray, error: np.ndarray) -> float | None:
    """Spearman correlation: -1 is a perfect ranking; None for fewer than three different qualities."""
    known = np.isfinite(quality) & np.isfinite(error)
    if len(np.unique(quality[known])) < 3:
        return None
    return float(np.corrcoef(_ranks(quality[known]), _ranks(error[known]))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Places (N,) in ascending order from 1, equal values share theirs: scipy.stats.rankdata, dear to import."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + 1 + np.searchsorted(ordered, values, "right")) / 2


def posed_points(labels: Columns, body: EHMs | KeypointBody) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (P, 133, 3) and joints (P, 55, 3) of labels in the camera of their photos, metres."""
    with torch.inference_mode():
        posed = body(parameters_of_labels(labels).resized(body.size))
    return posed.keypoints.numpy(), posed.joints.numpy()


def reference_records(manifest: Manifest) -> Iterator[ImageRecord] | None:
    """The people that a data set knows, even where a run was told to find them itself; None if it knows none, or none
    that can be compared. Where the run uses no annotated keypoints, the most that the file gives are taken."""
    if "manifest" not in adapter_class(manifest.adapter).BOXES:
        return None
    error: ValueError | None = None
    choices = _RICHEST_FIRST if manifest.keypoints == "none" else (manifest.keypoints,)
    for keypoints in choices:
        try:
            entries = open_adapter(replace(manifest, boxes="manifest", keypoints=keypoints)).entries()
            first = list(_until_somebody(entries))
        except ValueError as wrong:  # Of annotations that the run itself does not use.
            error = wrong
            continue
        if keypoints == choices[-1] or any(map(_is_somebody, first)):
            return (entry for entry in itertools.chain(first, entries) if isinstance(entry, ImageRecord))
    log.warning("%s: labels are not compared with the annotations: %s", manifest.id, error)
    return None


def _is_somebody(entry: object) -> bool:
    """Whether an entry is a photo of people, one of whom can be read."""
    return isinstance(entry, ImageRecord) and any(person.error_code is None for person in entry.people)


def _until_somebody(entries: Iterable[Any]) -> Iterator[Any]:
    """The first entries, up to one with somebody who can be read."""
    for entry in entries:
        yield entry
        if _is_somebody(entry):
            return


class LabelEvaluation:
    """Errors of a data set's labels, taken shard by shard: misses, 3D errors against truth, 2D errors against
    annotations. Of each person only the errors are kept."""

    def __init__(self, records: Iterable[ImageRecord], body: EHMs) -> None:
        """Measures against the people of these photos; ``body`` is the one that the labels are labels of."""
        self._photos, self._body = KnownPhotos(records), body
        self._pose = PosedByParameters(body.assets, body.size)
        self._pending: list[Matching] = []
        self._num_known = self._num_labels = self._num_pairs = self._known_parts = 0
        self._truth: dict[str, list[np.ndarray]] = defaultdict(list)
        self._annotations: dict[str, list[np.ndarray]] = defaultdict(list)
        self._accepted: Counter[str] = Counter()

    def add(self, labels: Columns) -> None:
        """Takes all rows of the labels of a shard."""
        matching = self._match(labels, self._photos.take(dict.fromkeys(map(image_id_of, labels["sample_id"]))))
        self._num_labels += matching.num_labels
        self._num_pairs += matching.num_pairs
        if matching.num_pairs:
            self._pending.append(matching)
        if sum(part.num_pairs for part in self._pending) >= _PEOPLE_AT_ONCE:
            self._measure()

    def _match(self, labels: Columns, records: Iterable[ImageRecord]) -> Matching:
        matching = match_people(labels, map(self._counted, records))
        self._num_known += matching.num_known
        return matching

    def _counted(self, record: ImageRecord) -> ImageRecord:
        self._known_parts += count_parts(record.people)
        return record

    def _measure(self) -> None:
        matching = Matching.joined(self._pending)
        for name, values in truth_errors(matching, self._pose).items():
            self._truth[name].append(values)
        if any(_is_annotated(person) for person in matching.people):
            projected = photo_points(matching.labels, posed_points(matching.labels, self._body)[0])
            for name, values in keypoint_errors(matching, projected).items():
                self._annotations[name].append(values)
            self._accepted += acceptance(matching, projected)
        self._pending.clear()

    def figures(self) -> dict[str, Any]:
        """What ``metrics/annotate.json`` says of the data set."""
        if self._pending:
            self._measure()
        self._match(Columns(LABEL_SCHEMA.empty_table()), self._photos.rest())
        figures: dict[str, Any] = {
            "known_people": self._num_known,
            "missed_people": self._num_known - self._num_pairs,
            "false_people": self._num_labels - self._num_pairs,
        }
        if truth := summarise({name: np.concatenate(parts) for name, parts in self._truth.items()}):
            figures["against_truth"] = truth
        if annotated := summarise({name: np.concatenate(parts) for name, parts in self._annotations.items()}):
            names = ("parts", "accepted", "accepted_wrong", "refused_right") if self._accepted["parts"] else ()
            counts = {name: float(self._accepted[name]) for name in names}
            figures["against_annotations"] = annotated | counts | {"known_parts": float(self._known_parts)}
        return figures

"""How good labels are, where the data set knows better: 3D truth of synthetic people, 2D annotations of real ones.

Legend: P people, each a label with the known person that it is of (``tasks.evaluate.matching``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from datasets_manifest.adapters.base import ImageRecord, PersonRecord
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS, PART_NAMES
from datasets_manifest.schema.labels import LABEL_SCHEMA, image_id_of
from fitting.quality import BODY, FACE, HAND
from model.body import skeleton
from model.body.ehms import EHMs
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.shown import shown_parts
from model.metrics.person import PosedByParameters, person_errors
from model.metrics.summary import means_and_medians, rounded
from tasks.evaluate.annotation_errors import CLAIMED, acceptance, count_parts, is_annotated, keypoint_errors
from tasks.evaluate.matching import KnownPhotos, Matching, match_people
from tasks.lenses import photo_points

_RANKED = {
    "body_quality": (BODY, "pa_mpjpe_mm"),
    "hand_quality": (HAND, "hand_pa_mpjpe_mm"),
    "face_quality": (FACE, "head_pa_mm"),
}
"""Quality -> what it was made with, and the error that falls with it."""
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
    valid = _shown(people) if of_shown else {part: labels[f"{part}_valid"] for part in CLAIMED}
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
        if any(is_annotated(person) for person in matching.people):
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

"""What is wrong with the labels of some photos, person by person: a row for each label, and for each who was missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import PART_NAMES
from datasets_manifest.schema.labels import make_sample_id
from datasets_manifest.schema.people_errors import ERROR_COLUMNS, PEOPLE_ERRORS
from model.body.ehms import EHMs
from model.metrics.person import PosedByParameters
from tasks.evaluate.annotation_errors import WRONG_REL, is_annotated, keypoint_errors
from tasks.evaluate.label_errors import posed_points, truth_errors
from tasks.evaluate.matching import Matching, match_people, unmatched
from tasks.lenses import photo_points

_OF_LABELS = ("sample_id", "dataset", "split", "image", "error_code", "error_detail", "bbox_xyxy")


class EachPerson:
    """Measures labels of one body against known people."""

    def __init__(self, body: EHMs) -> None:
        self._body, self._pose = body, PosedByParameters(body.assets, body.size)

    def errors(self, labels: Columns, records: Sequence[ImageRecord]) -> pa.Table:
        """Rows of ``PEOPLE_ERRORS``: those of the labels in their order, then those who were missed.

        Args:
            labels: Rows of whole photos, failed ones among them.
            records: These photos, with the people whom the data set knows.
        """
        matching = match_people(labels, records)
        missed, false = unmatched(labels, records, matching)
        measured = self._measured(matching)
        is_false = set(false.tolist())
        names = [*_OF_LABELS, *(f"{part}_valid" for part in PART_NAMES)]
        rows: list[dict[str, Any]] = []
        for row, own in enumerate(labels.table.select(names).to_pylist()):
            errors = measured.get(own["sample_id"])
            found = "false" if row in is_false else "no label" if errors is None else "matched"
            rows.append(own | {"found": found} | dict(errors or {}))
        first = labels.table.select(["dataset", "split"]).slice(0, 1).to_pylist()
        for record, person in missed:
            group = first[0]
            image = record.image_id
            name = make_sample_id(group["dataset"], group["split"], image, 0).rpartition("#")[0]
            box = None if person.bbox_xyxy is None else [float(value) for value in person.bbox_xyxy]
            rows.append(
                group | {"sample_id": f"{name}#missed-{person.index}", "image": record.path, "found": "missed"}
                | {"bbox_xyxy": box}
                | {"known_keypoints": None if person.keypoints is None else person.keypoints.ravel().tolist()}
            )  # fmt: skip
        return pa.Table.from_pylist(rows, schema=PEOPLE_ERRORS)

    def _measured(self, matching: Matching) -> Mapping[str, Mapping[str, Any]]:
        """By sample id of a matched label, what can be told of it."""
        if not matching.num_pairs:
            return {}
        found: list[dict[str, Any]] = [{} for _ in matching.people]
        with_truth = [own for own, person in zip(found, matching.people, strict=True) if person.truth]
        truth = truth_errors(matching, self._pose)
        columns = {name: truth[name] for name in ("pa_mpjpe_mm", "head_pa_mm") if name in truth}
        for side, values in zip(("left", "right"), truth.get("hand_pa_mpjpe_mm", np.zeros((0, 2))).T, strict=True):
            columns[f"{side}_hand_pa_mm"] = values
        assert set(columns) <= set(ERROR_COLUMNS)
        _put(with_truth, columns)
        annotated = [own for own, person in zip(found, matching.people, strict=True) if is_annotated(person)]
        if annotated:
            projected = photo_points(matching.labels, posed_points(matching.labels, self._body)[0])
            errors = keypoint_errors(matching, projected)
            _put(annotated, {f"{part}_worst_rel": errors[f"{part}_worst_rel"] for part in PART_NAMES})
            for own in annotated:
                for part in PART_NAMES:
                    if (worst := own.get(f"{part}_worst_rel")) is not None:
                        own[f"{part}_wrong"] = worst > WRONG_REL
        return dict(zip(matching.labels["sample_id"], found, strict=True))


def _put(rows: Sequence[dict[str, Any]], columns: Mapping[str, np.ndarray]) -> None:
    """Adds values (N,) to N rows where they are finite."""
    for name, values in columns.items():
        for own, value in zip(rows, values.tolist(), strict=True):
            if np.isfinite(value):
                own[name] = value

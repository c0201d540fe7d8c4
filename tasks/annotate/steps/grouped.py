"""The labels of a shard with groups: frames and views of a person fitted together, gaps between frames bridged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from datasets_manifest.schema.columns import Columns, Values, joined, table_from_columns
from datasets_manifest.schema.group_columns import GROUP_COLUMNS, lens_columns, place_columns
from datasets_manifest.schema.labels import ErrorCode, Status, with_widths
from fitting.refine import Camera, RefineResult, refine
from fitting.sparse_body import SparseBody
from model.batches import take_rows
from tasks.annotate.groups.bridges import gaps_of
from tasks.annotate.groups.people import group_wide
from tasks.annotate.groups.places import Places, places_of, seen_through, stated_camera
from tasks.annotate.groups.together import Given, GroupFit, fit_groups, seen_by_several
from tasks.annotate.settings import GroupsConfig
from tasks.annotate.steps.gap_rows import Parts, with_gap_rows
from tasks.annotate.steps.given import camera_of, coarse_of, observations_of, through_pinholes
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.known_parts import own_body, with_known_parts
from tasks.annotate.steps.labels import FIT_FAILED, failed_rows, label_table
from tasks.annotate.steps.masks import has_masks, with_masks
from tasks.annotate.steps.pixels import PixelOutcome, refine_by_pixels
from tasks.annotate.steps.truth import KnownPeople, knows_people, with_label_source
from tasks.body_model import sparse_body
from tasks.tracks.views import NOBODY

_LED = "the label leads between the frames around it"
_LOST = f"too little is seen here for a fit of its own; {_LED}"
_OFF = "groups.together is off"
_BY_PIXELS = "labels that pixels refine are refined photo by photo"
_NO_OTHER = "no other camera shows the person at this moment"


@dataclass(frozen=True, kw_only=True, slots=True)
class _People:
    """Rows (N) of the parts, and those that are fitted: people who did not fail, then frames in which somebody who
    passes was not found."""

    parts: Parts
    at: np.ndarray
    """(N,) where each belongs among the rows of the files; a half lies between two."""
    places: Places
    """(N,)."""
    track: np.ndarray
    """(N,) who it is, whichever camera took it."""
    apart: list[str | None]
    """(N,) why a person is in no other camera."""
    rows: np.ndarray
    """(F,) those that are fitted."""
    camera_rows: np.ndarray
    """(F,) rows whose cameras are theirs."""
    gaps: list[str]
    """Why the last of them show nobody."""
    plan: Columns

    @property
    def fitted_places(self) -> Places:
        """(F,)."""
        return self.places.take(self.rows)

    def given(self) -> Given:
        """Keypoints, estimates and cameras of those that are fitted, the cameras as the plan states them."""
        own = {name: part.take(self.rows) for name, part in self.parts.items()}
        before = camera_of(self.parts["keypoints"].take(self.camera_rows))
        camera = stated_camera(self.plan, self.fitted_places, before)
        observations, coarse = observations_of(own["keypoints"]), coarse_of(own)
        boxes = observations.boxes_xyxy
        assert boxes is not None
        observations = through_pinholes(observations, self.plan.take(self.fitted_places.plan_row))
        if knows_people(self.plan):
            ids, stated = own["keypoints"]["sample_id"], self.fitted_places.world_to_camera
            observations = KnownPeople.of(self.plan, ids, stated).beside(observations)
        return observations, seen_through(coarse, boxes, before, camera), camera

    def with_gaps(self, config: GroupsConfig) -> _People:
        """The same with the frames between others that are to be bridged."""
        lone = self.rows[~seen_by_several(self.fitted_places, self.track[self.rows])]
        everywhere = places_of(self.plan, self.plan["sample_id"])
        gaps = gaps_of(everywhere, self.places, self.track, lone, config)
        parts, gap_rows, at = with_gap_rows(self.parts, gaps, self.plan, self.track)
        before = np.array([gap.before for gap in gaps], int)
        track = np.pad(self.track, (0, len(at) - len(self.at)), constant_values=NOBODY)
        track[gap_rows] = track[before]
        return replace(
            self,
            parts=parts,
            at=at,
            places=places_of(self.plan, parts["keypoints"]["sample_id"]),
            track=track,
            apart=[*self.apart, *[None] * (len(at) - len(self.at))],
            rows=np.concatenate([self.rows, gap_rows]),
            camera_rows=np.concatenate([self.camera_rows, before]),
            gaps=[gap.detail for gap in gaps],
        )


def grouped_labels(job: ShardJob, parts: Parts, schema: pa.Schema) -> pa.Table:
    """Labels of all people of a shard with groups.

    Args:
        job: Which.
        parts: Rows of all people.
        schema: Of the labels.

    Raises:
        ValueError: A frame has no time, or was not taken after the one before.
    """
    config = job.config
    body = sparse_body(config.body_model, job.size, config.coefficients.refined)
    plan, outcome = job.columns("plan"), None
    if knows_people(plan):
        ids = parts["keypoints"]["sample_id"]
        known = KnownPeople.of(plan, ids, places_of(plan, ids).world_to_camera, own_body(config))
        parts = with_known_parts(job, parts, known)
    people = _found(plan, parts, body, config.groups)
    count = len(people.at)
    if not len(people.rows):
        fit = None
    elif config.pixels.renderer is not None:
        result, outcome = refine_by_pixels(job, *people.given())
        fit = _alone(people, result, _BY_PIXELS)
    elif not config.groups.together:
        fit = _alone(people, refine(body, *people.given(), config.refine), _OFF)
    else:
        people = people.with_gaps(config.groups)
        track = people.track[people.rows]
        fit = fit_groups(body, people.given(), people.fitted_places, track, config.refine, config.groups)
    labelled, tables = np.zeros(0, int), list[pa.Table]()
    if fit is not None:
        is_gap = np.arange(len(people.rows)) >= len(people.rows) - len(people.gaps)
        is_lost = np.isin(fit.result.status.numpy(), [int(status) for status in FIT_FAILED])
        is_led = fit.frames_joined & (is_gap | is_lost)
        said = [_LOST] * int((~is_gap).sum()) + people.gaps
        labelled = np.flatnonzero(~is_gap | is_led)
        bridged = [said[row] if is_led[row] else None for row in labelled]
        table = _label_table(people, fit, labelled, bridged, schema, outcome)
        refused = _refused_within(people, fit, labelled, Columns(table))
        if refused:
            bridged = [refused.get(row, reason) for row, reason in enumerate(bridged)]
            table = _label_table(people, fit, labelled, bridged, schema, outcome)
        tables.append(table)
    rows = people.rows[labelled]
    others = np.setdiff1d(np.arange(count), rows)
    tables.append(failed_rows(people.parts["keypoints"].take(others), schema))
    rows, fit_rows = np.concatenate([rows, others]), np.pad(labelled, (0, len(others)), constant_values=-1)
    order = np.argsort(people.at[rows], kind="stable")
    table = _with_groups(joined(tables, schema, [people.at[rows]]), people, fit, rows[order], fit_rows[order])
    table = with_masks(table, plan) if has_masks(plan) else table
    stated = people.places.world_to_camera[rows[order]]
    return with_label_source(table, plan, stated, own_body(config)) if knows_people(plan) else table


def _found(plan: Columns, parts: Parts, body: SparseBody, config: GroupsConfig) -> _People:
    """The people that were found, and who is who over the cameras."""
    everyone = parts["keypoints"]
    track = np.where(everyone.has("track"), everyone["track"], NOBODY)
    rows = np.flatnonzero(everyone["status"] != Status.FAILED)
    people = _People(
        parts=parts,
        at=np.arange(len(track), dtype=float),
        places=places_of(plan, everyone["sample_id"]),
        track=track,
        apart=[None] * len(track),
        rows=rows,
        camera_rows=rows,
        gaps=[],
        plan=plan,
    )
    if len(rows):
        known = np.isin(everyone["sample_id"], plan["sample_id"][plan.has("track")])[rows]
        given, places = people.given(), people.fitted_places
        track[rows], apart = group_wide(body, given, places, track[rows], known, config.rigs)
        for row, why in zip(rows, apart, strict=True):
            people.apart[row] = why
    return people


def _alone(people: _People, result: RefineResult, why: str) -> GroupFit:
    """People fitted photo by photo."""
    places, plan = people.fitted_places, people.plan
    photos = [len({*plan["image"][plan["group"] == name]}) for name in plan["group"][places.plan_row]]
    no = np.zeros(len(people.rows), bool)
    return GroupFit(
        result=result,
        views_joined=no,
        frames_joined=no,
        by_views=~no,
        details=[why if number > 1 else None for number in photos],
        world_to_camera=places.world_to_camera,
    )


def _label_table(
    people: _People,
    fit: GroupFit,
    labelled: np.ndarray,
    bridged: list[str | None],
    schema: pa.Schema,
    outcome: PixelOutcome | None,
) -> pa.Table:
    """Labels of those of the fitted rows whose numbers are given."""
    index = torch.from_numpy(labelled)
    own = {name: part.take(people.rows[labelled]) for name, part in people.parts.items()}
    own["keypoints"] = _with_camera(own["keypoints"], take_rows(people.given()[2], index))
    return label_table(own, take_rows(fit.result, index), schema, outcome, bridged)


def _refused_within(people: _People, fit: GroupFit, labelled: np.ndarray, table: Columns) -> dict[int, str]:
    """Rows of a table of labels (L,) of which no part may supervise, in a clip that shows the person before and after:
    its label leads there as well as where nobody was found. With what is said of them."""
    places, track = people.fitted_places.take(labelled), people.track[people.rows[labelled]]
    failed = table["status"] == Status.FAILED
    shown = ~failed & (table["error_code"] != ErrorCode.BRIDGED)
    found: dict[int, str] = {}
    for row in np.flatnonzero(failed & fit.frames_joined[labelled] & ~fit.by_views[labelled]):
        frames = places.frame[shown & (places.camera == places.camera[row]) & (track == track[row])]
        if len(frames) and frames.min() < places.frame[row] < frames.max():
            found[int(row)] = f"{table['error_detail'][row]}; {_LED}"
    return found


def _with_camera(people: Columns, camera: Camera) -> Columns:
    """Rows of the keypoints with other cameras."""
    table = people.table
    for name, values in (("focal_px", camera.focal_px.tolist()), ("principal_px", camera.principal_px.tolist())):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    return Columns(table)


def _detail(people: _People, fit: GroupFit, row: int, own: int) -> str | None:
    """Why a person was fitted without views or frames that there are."""
    group = people.places.group == people.places.group[row]
    has_others = len(np.unique(people.places.camera[group])) > 1
    views = (people.apart[row] or _NO_OTHER) if has_others and not fit.by_views[own] else None
    return "; ".join(said for said in (views, fit.details[own]) if said) or None


def _with_groups(
    table: pa.Table, people: _People, fit: GroupFit | None, rows: np.ndarray, fit_rows: np.ndarray
) -> pa.Table:
    """A table of labels with what is said of groups.

    Args:
        table: Labels of R rows.
        people: Of whom.
        fit: Their fit.
        rows: (R,) their rows.
        fit_rows: (R,) their rows in the fit, -1 for those without a label.
    """
    plan_rows = people.places.plan_row[rows]
    columns: dict[str, Values] = {
        field.name: people.plan.take(plan_rows).table[field.name] for field in (*place_columns(), *lens_columns())
    }
    columns["track"] = [None if number == NOBODY else int(number) for number in people.track[rows]]
    if fit is not None:
        columns["group_detail"] = [
            None if own < 0 else _detail(people, fit, row, own) for row, own in zip(rows, fit_rows, strict=True)
        ]
        for name in ("views_joined", "frames_joined"):
            columns[name] = [bool(getattr(fit, name)[own]) if own >= 0 else None for own in fit_rows]
        columns["world_to_camera"] = [
            fit.world_to_camera[own] if own >= 0 and np.isfinite(fit.world_to_camera[own]).all() else stated.as_py()
            for own, stated in zip(fit_rows, columns["world_to_camera"], strict=True)
        ]
    schema = with_widths(pa.schema([table.schema.field(name) for name in GROUP_COLUMNS]), people.plan.table.schema)
    said = table_from_columns(columns, schema)
    for name in GROUP_COLUMNS:
        table = table.set_column(table.schema.get_field_index(name), schema.field(name), said[name])
    return table

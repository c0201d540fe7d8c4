"""Moments of which several views are fitted together: one problem a moment, and its result as each camera sees it.

Legend: M moments, V views, R rows of the rig.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fitting import initialise
from fitting.prepare import face_keypoints, with_likely_fingers, with_neutral_starts
from fitting.priors import pose_sigma_rad
from fitting.problem import People, Problem
from fitting.rigs.estimates import mean_estimate, turned
from fitting.rigs.inputs import Rig, Views
from fitting.rigs.settings import RigConfig
from fitting.sightings import Sightings
from fitting.solver import Solution
from fitting.sparse_body import SparseBody
from fitting.stated import Stated
from fitting.uncertainty import Uncertainty
from fitting.unknowns import State
from model.batches import take_rows
from model.body import skeleton
from model.imaging import camera as pinhole
from model.imaging.camera import Camera

_DEG = math.pi / 180


def sightings_of(people: People, rig: Rig, views: Views, use: Tensor, reference: Tensor) -> Sightings:
    """What the views `use` (M, V) see, in the frames of their cameras `reference` (M,); the others see nothing."""
    own = people.sightings
    precision = people.precision if own is None else own.precision[:, 0]
    seen = seen_by(people.camera, people.keypoints_px, precision, rig, views, use, reference)
    at = torch.arange(len(reference), device=reference.device), reference
    return seen if own is None else replace(seen, stated=take_rows(own.stated, views.row[at]))


def seen_by(
    camera: Camera, keypoints_px: Tensor, precision: Tensor, rig: Rig, views: Views, use: Tensor, reference: Tensor
) -> Sightings:
    """The same of keypoints (R, N, 2) and one over their sigma (R, N) in the photos of R cameras."""
    rotation, translation = rig.rotation.double()[views.row], rig.translation_m.double()[views.row]
    at = torch.arange(len(reference), device=reference.device), reference
    turn = rotation @ rotation[at][:, None].transpose(-1, -2)
    shift = translation - (turn @ translation[at][:, None, :, None]).squeeze(-1)
    turn = torch.where(use[..., None, None], turn, torch.eye(3).to(turn))
    shift = torch.where(use[..., None], shift, 0.0)
    precision = precision[views.row] * use[..., None]
    return Sightings(
        focal_px=camera.focal_px[views.row],
        principal_px=camera.principal_px[views.row],
        rotation=turn.to(precision),
        shift_m=shift.to(precision),
        keypoints_px=keypoints_px[views.row],
        precision=precision,
        stated=Stated.nothing(precision),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Joint:
    """M moments as a problem each."""

    problem: Problem
    """In the frame of the reference view of each: the one that the face looks at most."""
    ready: Problem
    """The R rows, each on its own."""
    row: Tensor
    """(J,) rows whose views are fitted together, moment after moment."""
    moment: Tensor
    """(J,) number of the moment of each."""
    view: Tensor
    """(J,) and of the view."""
    behind: Tensor
    """(J,) bool: the head is seen from behind."""

    @classmethod
    def of(cls, ready: Problem, rig: Rig, views: Views, use: Tensor, config: RigConfig) -> "Joint":
        """The problem of moments (M, V) of which the views `use` (M, V), two at least, are fitted together."""
        people, model = ready.people, ready.model
        rotation = rig.rotation.double()[views.row]
        first = use.int().argmax(1)
        everyone = torch.arange(len(first), device=first.device)
        turn = (rotation[everyone, first][:, None] @ rotation.transpose(-1, -2)).to(model.dtype)
        turn = torch.where(use[..., None, None], turn, torch.eye(3).to(turn))
        coarse = mean_estimate(people.coarse, turn, views, use, ready.config, config)
        surface = people.start.coefficients[views.row[everyone, first], sum(model.num_groups[:3]) :]
        start = initialise.start_state(model, coarse, surface, ready.config)
        head = model.global_rotations(model.local_rotations(start)[0])[:, skeleton.HEAD]
        facing = -(turn.transpose(-1, -2) @ head[:, None, :, 2:])[..., 2, 0]
        reference = torch.where(use, facing, -torch.inf).argmax(1)
        row = views.row[everyone, reference]
        coarse = turned(coarse, turn[everyone, reference].transpose(-1, -2))
        surface = people.start.coefficients[row, sum(model.num_groups[:3]) :]
        start = initialise.start_state(model, coarse, surface, ready.config)
        sightings = sightings_of(people, rig, views, use, reference)
        precision = sightings.precision
        moment, view = torch.nonzero(use).unbind(1)
        rows = views.row[moment, view]
        behind = initialise.seen_from_behind(
            model,
            _turned_state(take_rows(start, moment), sightings.rotation[moment, view]),
            replace(take_rows(people.coarse, rows), body_valid=coarse.body_valid[moment]),
            people.keypoints_px[rows],
            precision[moment, view],
            take_rows(people.camera, rows),
            ready.config.face_away_deg * _DEG,
        )
        unseen = torch.zeros_like(use).index_put((moment, view), behind)
        precision = torch.where(unseen[..., None] & face_keypoints(use.device), 0.0, precision)
        # The outline of a face is other points of the body in every view.
        other = torch.arange(use.shape[1], device=use.device) != reference[:, None]
        precision[..., skeleton.CONTOUR] = precision[..., skeleton.CONTOUR] * ~other[..., None]
        sightings = replace(sightings, precision=precision)
        shown = (precision > 0).any(1) | (sightings.stated.as_keypoints[1] > 0)
        together = replace(
            take_rows(people, row),
            precision=shown.to(model.dtype),
            coarse=coarse,
            start=with_likely_fingers(model, start, coarse, shown.to(model.dtype), ready.config),
            pose_sigma_rad=pose_sigma_rad(coarse, ready.config),
            sightings=sightings,
        )
        problem = replace(ready, people=together)
        problem = replace(problem, people=replace(together, start=problem.placed(together.start)))
        problem = with_neutral_starts(problem)
        return cls(problem=problem, ready=ready, row=rows, moment=moment, view=view, behind=behind)

    @property
    def first_row(self) -> Tensor:
        """(M,) a row of each moment."""
        _, size = self.moment.unique_consecutive(return_counts=True)
        return self.row[torch.cumsum(size, 0) - size]

    def by_view(
        self, problem: Problem, solution: Solution, spread: Uncertainty, part: Tensor
    ) -> tuple[Problem, Solution, Uncertainty]:
        """The result, and its uncertainty, as each camera sees it: of J rows those of the index `part`, each its own
        reference."""
        people, model, moment, view = problem.people, problem.model, self.moment[part], self.view[part]
        sightings = people.sightings
        assert sightings is not None
        turn, shift = sightings.rotation[moment, view], sightings.shift_m[moment, view]
        own = take_rows(self.ready.people, self.row[part])
        seen = take_rows(sightings, moment)
        back = turn[:, None].transpose(-1, -2)
        seen = replace(
            seen,
            rotation=seen.rotation @ back,
            shift_m=seen.shift_m - (seen.rotation @ back @ shift[:, None, :, None]).squeeze(-1),
            stated=_moved_places(seen.stated, turn, shift),
        )
        rows = replace(
            own,
            precision=torch.where(self.behind[part, None] & face_keypoints(moment.device), 0.0, own.precision),
            coarse=turned(take_rows(people.coarse, moment), turn),
            start=_moved(model, take_rows(people.start, moment), turn, shift),
            pose_sigma_rad=people.pose_sigma_rad[moment],
            sightings=seen,
            shared=None if people.shared is None else people.shared[moment],
            others=None if people.others is None else people.others[moment],
        )
        state = _moved(model, take_rows(solution.state, moment), turn, shift)
        depth = pinhole.position_to_transl(state.position)[:, 2]
        spread = take_rows(spread, moment).seen_by(turn, depth)
        return replace(problem, people=rows), replace(take_rows(solution, moment), state=state), spread


def _turned_state(state: State, turn: Tensor) -> State:
    return replace(state, global_orient=turn @ state.global_orient)


def _moved(model: SparseBody, state: State, turn: Tensor, shift: Tensor) -> State:
    """People (B) in the frames that turns (B, 3, 3) and shifts (B, 3) lead to, with the outline that is seen there."""
    state = _turned_state(state, turn)
    pelvis = (turn @ pinhole.position_to_transl(state.position)[..., None]).squeeze(-1) + shift
    state = replace(state, position=pinhole.transl_to_position(pelvis))
    return replace(state, contour_bin=model.contour_bin(state))


def _moved_places(stated: Stated, turn: Tensor, shift: Tensor) -> Stated:
    """Places (B) in the frames that turns (B, 3, 3) and shifts (B, 3) lead to."""
    back = turn.transpose(-1, -2)
    return replace(
        stated,
        points_m=stated.points_m @ back + shift[:, None],
        joints_m=stated.joints_m @ back + shift[:, None],
    )

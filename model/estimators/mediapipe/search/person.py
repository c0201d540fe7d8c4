"""Everything the networks say about one person, and its arrays in the files (the evidence).

Evidence arrays are float32 with the person first; NaN = not there:
``pose_world_m`` (P, 33, 3), ``pose_px`` (P, 33, 5), ``pose_spread_px`` (P, 33), ``pose_region`` (P, 4),
``pose_score`` (P,), ``face_px`` (P, 468, 3), ``face_score`` (P,), ``face_offset`` (P,), ``face_eyes`` (P,),
``hand_world_m`` (P, 2, 21, 3), ``hand_px`` (P, 2, 21, 3), ``hand_ok`` (P, 2), and ``hand_<figure>`` (P, 2) of each of
``HandFigures``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from model.estimators.base import Array, PersonBatch
from model.estimators.mediapipe.graphs.runner import FaceReading, Networks
from model.estimators.mediapipe.search.face_landmarks import eyes_along, face_detail, face_offset, find_face
from model.estimators.mediapipe.search.hand_landmarks import (
    FoundHand,
    HandConfig,
    HandFigures,
    arm_length,
    drop_shared_hand,
    find_hand,
    hand_detail,
    is_same_hand,
)
from model.estimators.mediapipe.search.pose import PersonPose, PoseConfig, find_in_box
from model.imaging.boxes import box_problem

POSE_SHAPES: dict[str, tuple[int, ...]] = {
    "pose_world_m": (33, 3),
    "pose_px": (33, 5),
    "pose_spread_px": (33,),
    "pose_region": (4,),
    "pose_score": (),
}
FACE_SHAPES: dict[str, tuple[int, ...]] = {
    "face_px": (468, 3),
    "face_score": (),
    "face_offset": (),
    "face_eyes": (),
}
HAND_FIGURES = tuple(field.name for field in fields(HandFigures))
HAND_SHAPES: dict[str, tuple[int, ...]] = {
    "hand_world_m": (2, 21, 3),
    "hand_px": (2, 21, 3),
    "hand_ok": (2,),
    **{f"hand_{name}": (2,) for name in HAND_FIGURES},
}
EVIDENCE_SHAPES = {**POSE_SHAPES, **FACE_SHAPES, **HAND_SHAPES}
"""Shape of one person's row of every evidence array."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonReading:
    """One person; without a pose only the head is known, or one hand."""

    pose: PersonPose | None
    face: FaceReading | None = None
    face_offset: float = float("nan")
    """Distance between face and pose (or the face detector's box), in face heights."""
    face_eyes: float = float("nan")
    """Agreement of the eyes of face and pose, see ``eyes_along``; NaN of a head without a pose."""
    hands: tuple[FoundHand | None, FoundHand | None] | None = None
    hand_ok: tuple[bool, bool] = (False, False)

    @property
    def is_head(self) -> bool:
        """Whether nothing but a face is known."""
        return self.pose is None and self.face is not None

    @property
    def is_hand(self) -> bool:
        """Whether nothing but a hand is known."""
        return self.pose is None and self.face is None

    def has_face(self) -> bool:
        """Whether the face is accepted."""
        return self.face is not None and face_detail(self.face.score, self.face_offset, self.face_eyes) is None


def read_parts(
    networks: Networks,
    rgb: Array,
    pose: PersonPose,
    config: HandConfig,
    *,
    face: bool = True,
    hands: bool = True,
    known_face: FaceReading | None = None,
) -> PersonReading:
    """Reads face and hands of a person whose pose, and perhaps face, is known."""
    found_face, offset, eyes = known_face, float("nan"), float("nan")
    if face and found_face is None:
        found_face = find_face(networks, rgb, pose.landmarks)
    if found_face is not None:
        offset, eyes = face_offset(found_face, pose.landmarks), eyes_along(found_face.landmarks, pose.landmarks)
    person = PersonReading(pose=pose, face=found_face, face_offset=offset, face_eyes=eyes)
    if not hands:
        return person
    left, right = (find_hand(networks, rgb, pose, side, config) for side in (0, 1))
    accepted = drop_shared_hand((left, right), [hand_detail(hand.figures, config) is None for hand in (left, right)])
    return replace(person, hands=(left, right), hand_ok=(accepted[0], accepted[1]))


def one_owner_a_hand(
    readings: Sequence[PersonReading | None], photos: Sequence[Hashable] | None = None
) -> list[PersonReading | None]:
    """Leaves a hand that several people of a photo claim to the one whose wrist is nearest to it.

    Args:
        readings: People, None where nobody was found.
        photos: Which photo each is in; one and the same if not given.
    """
    photos = [0] * len(readings) if photos is None else photos
    bodies = {i: person for i, person in enumerate(readings) if person is not None and person.pose is not None}
    pairs = {i: list(filter(None, person.hands)) for i, person in bodies.items() if person.hands}
    arms_px = {i: arm_length(person.pose.landmarks) for i, person in bodies.items() if person.pose}
    accepted = {i: list(person.hand_ok) for i, person in bodies.items()}
    claims = [
        (hand.figures.wrist_offset * arms_px[i], i, side)
        for i, pair in pairs.items()
        for side, hand in enumerate(pair)
        if accepted[i][side]
    ]
    owned: list[tuple[float, int, int]] = []
    for distance_px, i, side in sorted(claims):
        hand = pairs[i][side]
        rivals_px = [
            other_px
            for other_px, j, other in owned
            if j != i and photos[j] == photos[i] and is_same_hand(hand.reading, pairs[j][other].reading)
        ]
        if not rivals_px:
            owned.append((distance_px, i, side))
            continue
        pairs[i][side] = replace(hand, figures=replace(hand.figures, rival_offset=min(rivals_px) / arms_px[i]))
        accepted[i][side] = False
    return [
        replace(person, hands=tuple(pairs[i]), hand_ok=tuple(accepted[i])) if person and i in pairs else person
        for i, person in enumerate(readings)
    ]


def empty_evidence(num_people: int, shapes: dict[str, tuple[int, ...]] | None = None) -> dict[str, Array]:
    """Returns evidence arrays full of NaN."""
    shapes = EVIDENCE_SHAPES if shapes is None else shapes
    return {name: np.full((num_people, *shape), np.nan, dtype=np.float32) for name, shape in shapes.items()}


def to_evidence(readings: list[PersonReading | None]) -> dict[str, Array]:
    """Returns the evidence arrays of the readings, NaN for None."""
    out = empty_evidence(len(readings))
    for i, reading in enumerate(readings):
        if reading is None:
            continue
        if reading.pose is not None:
            pose, region = reading.pose, reading.pose.region
            out["pose_world_m"][i], out["pose_px"][i] = pose.world_m, pose.landmarks
            out["pose_spread_px"][i], out["pose_score"][i] = pose.spread_px, pose.score
            out["pose_region"][i] = [region.x_px, region.y_px, region.side_px, region.rotation_rad]
        if reading.face is not None:
            out["face_px"][i], out["face_score"][i] = reading.face.landmarks, reading.face.score
            out["face_offset"][i], out["face_eyes"][i] = reading.face_offset, reading.face_eyes
        if reading.hands is not None:
            for side, hand in enumerate(reading.hands):
                if hand is None:
                    continue
                out["hand_world_m"][i, side], out["hand_px"][i, side] = hand.reading.world_m, hand.reading.landmarks
                out["hand_ok"][i, side] = reading.hand_ok[side]
                for name, value in asdict(hand.figures).items():
                    out[f"hand_{name}"][i, side] = value
    return out


def face_details(evidence: dict[str, Array]) -> list[str | None]:
    """What is said against each of P faces, None for an accepted one."""
    figures = (evidence[f"face_{name}"].tolist() for name in ("score", "offset", "eyes"))
    return [face_detail(score, offset, eyes) for score, offset, eyes in zip(*figures, strict=True)]


def face_accepted(evidence: dict[str, Array]) -> Array:
    """Returns (P,) whether the face is accepted."""
    return np.array([detail is None for detail in face_details(evidence)], dtype=bool)


def hand_details(evidence: dict[str, Array], config: HandConfig) -> list[tuple[str | None, str | None]]:
    """What is said against the left and the right hand of P people, None for an accepted one."""

    def detail(person: int, side: int) -> str | None:
        if evidence["hand_ok"][person, side] > 0.5:
            return None
        figures = HandFigures(**{name: float(evidence[f"hand_{name}"][person, side]) for name in HAND_FIGURES})
        if np.isnan(figures.score):
            return "no arm was found where a hand could be looked for"
        said = hand_detail(figures, config)
        return said or "the same hand was read for both sides, better as the other"

    return [(detail(person, 0), detail(person, 1)) for person in range(len(evidence["hand_ok"]))]


def evidence_of(
    networks: Networks,
    batch: PersonBatch,
    pose_config: PoseConfig,
    hand_config: HandConfig,
    *,
    face: bool = False,
    hands: bool = False,
    spread: bool = False,
) -> dict[str, Array]:
    """Returns the batch's evidence, or reads what is needed from the photos when the keypoints came from elsewhere.

    Args:
        networks: The networks of this process.
        batch: People with boxes.
        pose_config: Settings of the search in a box.
        hand_config: Settings of the hand search.
        face: Whether the face is needed.
        hands: Whether the hands are needed.
        spread: Whether the spread of the pose is needed.
    """
    needed = {**POSE_SHAPES, **(FACE_SHAPES if face else {}), **(HAND_SHAPES if hands else {})}
    if all(name in batch.evidence for name in needed):
        return batch.evidence
    readings: list[PersonReading | None] = []
    for rgb, box in zip(batch.images, batch.boxes_xyxy, strict=True):
        usable = box_problem(box, rgb.shape[1], rgb.shape[0]) is None
        pose = find_in_box(networks, rgb, box, pose_config, measured=spread) if usable else None
        readings.append(None if pose is None else read_parts(networks, rgb, pose, hand_config, face=face, hands=hands))
    return to_evidence(one_owner_a_hand(readings, [id(rgb) for rgb in batch.images]))

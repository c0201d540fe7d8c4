"""How far predicted people are from the truth: every error of a person by its name.

    mpjpe_mm            22 joints, pelvis to pelvis
    pa_mpjpe_mm         the same after similarity alignment
    orient_deg          turn between the pelvis orientations
    hand_pa_pve_mm      vertices of a hand after similarity alignment of that hand
    hand_pa_mpjpe_mm    wrist and finger joints, likewise
    head_posed_mm       mean distance of the head's vertices in the body as it is posed, eye midpoints together
    head_posed_pa_mm    the same vertices after similarity alignment
    head_canonical_mm   mean distance of FLAME's vertices, head and neck at rest, scale one, eye midpoints together
    head_scaled_mm      head_canonical_mm with the head's scale
    head_pa_mm          FLAME's vertices at rest after similarity alignment: the form of the face alone
    lip_max_mm          of head_canonical_mm the farthest of the lips' vertices; where the body says which vertices are
                        lips
    lve_m2              its square in m2, whose mean over people is the lip vertex error (LVE) of MeshTalk and the paper
    head_scale_error    difference of the head's scale, mean over its three axes

No picture of a head tells its size in metres, so head_canonical_mm holds much that nobody can see: `head_pa_mm` takes
size, place and turn out of it, as for hands.

Legend: N people, V vertices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import BodySize
from model.body.assets import EhmAssets
from model.body.flame import FLAME
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.skeleton import NUM_MAIN_JOINTS, SMPLX_EYES
from model.metrics.hands import hand_pa_mpjpe_mm, hand_pa_pve_mm
from model.metrics.head import HeadSpace, lip_max_mm, lip_rows, rest_head
from model.metrics.joints import mean_distance_mm, mpjpe_mm, orientation_error_deg, pa_mpjpe_mm

_PARTS = {
    "mpjpe_mm": ("body",),
    "pa_mpjpe_mm": ("body",),
    "orient_deg": ("body",),
    "hand_pa_pve_mm": ("hands",),
    "hand_pa_mpjpe_mm": ("hands",),
    "head_posed_mm": ("face", "body"),
    "head_posed_pa_mm": ("face", "body"),
    "head_canonical_mm": ("face",),
    "head_scaled_mm": ("face", "body"),
    "head_pa_mm": ("face",),
    "lip_max_mm": ("face",),
    "lve_m2": ("face",),
    "head_scale_error": ("face", "body"),
}
"""Error -> parts that must be valid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PosedPeople:
    """What errors are measured on, metres, in any frame that prediction and truth share.

    What has a default may be unknown: errors that need it are left out.
    """

    joints: Tensor
    """(N, 55, 3) SMPL-X order."""
    head: Tensor
    """(N, V, 3) vertices of the head in the posed body."""
    hands: tuple[Tensor, Tensor] | None = None
    """(N, V, 3) vertices of the left and the right hand."""
    global_orient: Tensor | None = None
    """(N, 3, 3) rotation of the pelvis."""
    head_scale: Tensor | None = None
    """(N, 3)."""
    rest_head: Tensor | None = None
    """(N, V, 3) see ``model.metrics.head.rest_head``."""
    lips: np.ndarray | None = None
    """(L,) rows of the head that are lips; see ``model.metrics.head.lip_rows``."""

    @property
    def heads(self) -> dict[HeadSpace, Tensor]:
        """Space -> heads (N, V, 3) about the midpoint of the eyes, in the spaces that are known."""
        found: dict[HeadSpace, Tensor] = {"posed": self.head - self.joints[:, SMPLX_EYES].mean(1, keepdim=True)}
        if self.rest_head is not None:
            found["canonical"] = self.rest_head
            if self.head_scale is not None:
                found["scaled"] = self.rest_head * self.head_scale[:, None]
        return found

    @classmethod
    def of_mesh(cls, joints: Tensor, vertices: Tensor, assets: EhmAssets, **known: Tensor) -> PosedPeople:
        """From joints (N, 55, 3) and the whole mesh (N, V, 3); `known` are the fields that may be unknown."""
        hands = (vertices[:, ids] for ids in _hand_ids(assets))
        return cls(joints=joints, hands=(*hands,) or None, head=vertices[:, assets.head_vertex_ids], **known)  # pyright: ignore


class PosedByParameters:
    """Poses people from their parameters, only what errors are measured on.

    Args:
        assets: The body.
        size: Numbers of coefficients of the people; fewer when the body has fewer.
        device: Where bodies are posed.
    """

    def __init__(self, assets: EhmAssets, size: BodySize, *, device: torch.device | str = "cpu") -> None:
        parts = [assets.head_vertex_ids, *_hand_ids(assets)]
        self._part_sizes = [len(ids) for ids in parts]
        self._body = KeypointBody(assets, size, extra_vertex_ids=np.concatenate(parts)).to(device)
        self._lips = lip_rows(assets)
        flame = FLAME(assets.flame, num_betas=size.num_flame_shape, num_expression=size.num_expression)
        self._flame = flame.to(device)

    @torch.no_grad()
    def __call__(self, people: EhmParameters) -> PosedPeople:
        """Poses N people; missing coefficients are zero."""
        people = people.resized(self._body.size)
        out = self._body(people)
        head, *hands = out.extra_vertices.split(self._part_sizes, 1)
        return PosedPeople(
            joints=out.joints,
            head=head,
            hands=(hands[0], hands[1]) if hands else None,
            global_orient=people.global_orient,
            head_scale=people.head_scale,
            rest_head=rest_head(self._flame, people),
            lips=self._lips,
        )


@torch.no_grad()
def person_errors(
    predicted: PosedPeople,
    truth: PosedPeople,
    valid: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Errors of N people.

    Args:
        predicted: N people.
        truth: The same N people.
        valid: Part (`body`, `left_hand`, `right_hand`, `face`) -> (N,) bool, whether it counts; an absent one does.

    Returns:
        The module's errors that can be told, float64: (N,), those of hands (N, 2); NaN where a part does not count.

    Raises:
        ValueError: Of some part all points of a person coincide or are not finite.
    """
    bodies = predicted.joints[:, :NUM_MAIN_JOINTS], truth.joints[:, :NUM_MAIN_JOINTS]
    found = {
        "mpjpe_mm": mpjpe_mm(*bodies),
        "pa_mpjpe_mm": pa_mpjpe_mm(*bodies),
        "hand_pa_mpjpe_mm": hand_pa_mpjpe_mm(predicted.joints, truth.joints),
        "head_posed_pa_mm": pa_mpjpe_mm(predicted.head, truth.head),
    }
    if predicted.hands is not None and truth.hands is not None:
        found["hand_pa_pve_mm"] = hand_pa_pve_mm(predicted.hands, truth.hands)
    if predicted.global_orient is not None and truth.global_orient is not None:
        found["orient_deg"] = orientation_error_deg(predicted.global_orient, truth.global_orient)
    if predicted.head_scale is not None and truth.head_scale is not None:
        found["head_scale_error"] = (predicted.head_scale.double() - truth.head_scale.double()).abs().mean(1)
    heads = {space: (head, truth.heads[space]) for space, head in predicted.heads.items() if space in truth.heads}
    found |= {f"head_{space}_mm": mean_distance_mm(*own) for space, own in heads.items()}
    if "canonical" in heads:
        found["head_pa_mm"] = pa_mpjpe_mm(*heads["canonical"])
        if truth.lips is not None:
            found["lip_max_mm"] = lip_max_mm(*(head[:, truth.lips] for head in heads["canonical"]))
            found["lve_m2"] = (found["lip_max_mm"] * 1e-3).square()
    every = np.ones(len(predicted.joints), np.bool_)
    flags = dict.fromkeys(("body", "left_hand", "right_hand", "face"), every) | dict(valid or {})
    flags["hands"] = np.stack([flags["left_hand"], flags["right_hand"]], 1)
    return {
        name: np.where(np.logical_and.reduce([flags[part] for part in parts]), found[name].cpu().numpy(), np.nan)
        for name, parts in _PARTS.items()
        if name in found
    }


def _hand_ids(assets: EhmAssets) -> list[np.ndarray]:
    """Vertices of the left and the right hand; none where the body does not say."""
    return [assets.hand_vertex_ids[side] for side in ("left", "right") if side in assets.hand_vertex_ids]


def unmeasured(assets: EhmAssets) -> dict[str, str]:
    """Vertices that errors are told of and the body does not name -> the converter's option that names them."""
    found = {}
    if not _hand_ids(assets):
        found["hands"] = "--hand-ids MANO_SMPLX_vertex_ids.pkl"
    if not len(lip_rows(assets)):
        found["lips"] = "--flame-masks FLAME_masks.pkl"
    return found

"""The EHM-s body at its 133 keypoints only: a forward pass that is exact and hundreds of times cheaper than a mesh.

The same arithmetic as the full body: rest shape plus FLAME offsets on the head, the head scaled about the head joint
(in the fusion `paper` that of `fitting.posed_head` instead), pose correctives where the body has them, linear blend
skinning.

Tensors have the shapes they state, people first; but in memory those of the forward pass lie with the people last, so
that arithmetic on small matrices runs over long contiguous vectors. Only the speed depends on that.

Legend: B people, N 133 keypoints, M sparse vertices, J 55 joints, S linear coefficients.
Frames: body model (rest) y up; camera x right, y down, z forward, metres. The pelvis lands on the translation.
"""

import itertools
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import BodySize
from fitting import so3
from fitting.carried import CarriedTables, in_bins
from fitting.forward import Forward, people_first, people_last
from fitting.hand_population import hand_population
from fitting.point_groups import PointGroup, build_groups, group_columns, tensor_maker, to_tensors
from fitting.point_tensors import PointTensors
from fitting.posed_head import PosedHead
from fitting.products import product_sum, table_product
from fitting.sparse_tables import BodyTables, PointTables, build_tables
from fitting.unknowns import HAND_DIM, Layout, State
from model.body import skeleton
from model.body.keypoints import contour_row
from model.imaging import camera

if TYPE_CHECKING:
    from model.body.assets import EhmAssets


def _flat_displacements(tables: PointTables) -> np.ndarray:
    """Directions of coefficients and eyelids, (..., M, 3, S) -> (..., 3 M, S + 2)."""
    both = np.concatenate([tables.directions, tables.eyelids], -1)
    return both.reshape(*both.shape[:-3], -1, both.shape[-1])


class SparseBody:
    """Tables of one body and its forward pass at the keypoints."""

    def __init__(
        self,
        tables: BodyTables,
        hands_mean: np.ndarray,
        hands_components: np.ndarray,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        num_hand_components: int = HAND_DIM,
        every: tuple[BodyTables, tuple[int, int, int]] | None = None,
    ):
        """Use `from_assets`."""
        self.dtype, self.device = dtype, torch.device(device)
        self.tables = tables
        self._hands, self._every = (hands_mean, hands_components), every
        self.num_groups = tables.num_groups
        self.corners = tables.corners
        self.outline = slice(skeleton.CONTOUR.start, skeleton.CONTOUR.start + tables.contour.rest.shape[1])
        self.num_vertices = len(tables.points.rest)

        tensor = tensor_maker(dtype, self.device)
        self.points = PointTensors.from_tables(tables.points, tensor)
        self.contour = PointTensors.from_tables(tables.contour, tensor)
        self.joints, self.ancestors = PointTensors.from_tables(tables.joints, tensor), tensor(tables.ancestors)
        self.carried = None if every is None else CarriedTables(every[0], tables.num_groups[:3], every[1], tensor)
        self.posed_head = None if tables.joints.posed_head is None else PosedHead(tables, tensor)
        self.hands_mean, self.hands_components = tensor(hands_mean), tensor(hands_components)
        population = hand_population(tables.joints.rest, hands_mean, hands_components)
        self.hand_spread, self.relaxed_hand = tensor(population.spread), tensor(population.relaxed)
        self.parents = tensor(np.maximum(np.array(skeleton.SMPLX_PARENTS), 0))
        not_root = np.ones((skeleton.NUM_SMPLX_JOINTS, 1, 1, 1))
        not_root[0] = 0.0
        self.not_root = tensor(not_root)
        self.groups: list[PointGroup] = [to_tensors(group, tensor) for group in build_groups(tables)]
        self._set_layout(num_hand_components)
        # What skins the outline, which is chosen anew for each person, touches a few joints only.
        outline_joints = np.flatnonzero(np.abs(tables.contour.skin).max((0, 1)) > 0)
        outline_below = tables.contour.skin @ tables.ancestors
        outline_above = np.flatnonzero(outline_below.max((0, 1)) > 0)
        self._outline_joints, self._outline_above = tensor(outline_joints), tensor(outline_above)
        self._outline_skin = tensor(tables.contour.skin[..., outline_joints])
        self._outline_below = tensor(outline_below[..., outline_above])
        self._below = tensor(tables.points.skin @ tables.ancestors)
        self._displacements = tensor(_flat_displacements(tables.points))
        self._outline_displacements = tensor(_flat_displacements(tables.contour))
        self._set_levels(tensor)

    @classmethod
    def from_assets(
        cls,
        assets: "EhmAssets",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        num_betas: int = 10,
        num_expression: int = 10,
        num_flame_shape: int = 10,
        size: BodySize | None = None,
    ) -> "SparseBody":
        """Builds the tables of a fused body.

        Args:
            assets: the open body or converted licensed files.
            dtype: type of every tensor, float32 or float64.
            device: where every tensor lives.
            num_betas: SMPL-X shape coefficients that are refined.
            num_expression: FLAME expression coefficients that are refined.
            num_flame_shape: FLAME shape coefficients that are refined.
            size: numbers of coefficients that people have; those beyond the refined ones are carried through as they
                are. None: the refined ones are all.
        """
        body = assets.smplx
        if body.hands_mean is None or body.hands_components is None:
            raise ValueError(
                f"{body.name} has no hands_mean or hands_components, which the refinement needs; "
                "convert a full SMPL-X file"
            )
        if len(body.landmark_vertices) != 51 or body.contour_vertices.shape[:2] != (79, 17):
            raise ValueError(
                f"{body.name} needs 51 face landmarks and 79 x 17 outline points, got {len(body.landmark_vertices)} "
                f"and {body.contour_vertices.shape[:2]}; convert a SMPL-X file that carries its landmark embedding"
            )
        components = body.hands_components.astype(np.float64)
        if (
            components.shape != (2, HAND_DIM, HAND_DIM)
            or np.abs(components @ components.transpose(0, 2, 1) - np.eye(HAND_DIM)).max() > 1e-3
        ):
            raise ValueError(f"{body.name}: hands_components must be two orthonormal {HAND_DIM} x {HAND_DIM} bases")
        refined, every = (num_betas, num_expression, num_flame_shape), None
        if size is not None:
            wide = (size.num_betas, size.num_expression, size.num_flame_shape)
            refined = (min(refined[0], wide[0]), min(refined[1], wide[1]), min(refined[2], wide[2]))
            every = None if wide == refined else (build_tables(assets, wide), wide)
        hands_mean = body.hands_mean.astype(np.float64)
        return cls(build_tables(assets, refined), hands_mean, components, dtype, device, every=every)

    def _set_levels(self, tensor: Any) -> None:
        """Joints by depth, so that a chain of rotations is one product a level."""
        parents = skeleton.SMPLX_PARENTS
        depth = [0] * len(parents)
        for joint in range(1, len(parents)):
            depth[joint] = depth[parents[joint]] + 1
        levels = [np.flatnonzero(np.array(depth) == level) for level in range(max(depth) + 1)]
        order = np.concatenate(levels)
        self.level_sizes = [len(level) for level in levels]
        self.level_order, self.level_place = tensor(order), tensor(np.argsort(order))
        self.level_parents = [
            tensor(np.searchsorted(above, np.array([parents[joint] for joint in level])))
            for above, level in itertools.pairwise(levels)
        ]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "SparseBody":
        """The same body elsewhere or in another type."""
        device, dtype = torch.device(device or self.device), dtype or self.dtype
        if (device, dtype) == (self.device, self.dtype):
            return self
        other = SparseBody(self.tables, *self._hands, dtype, device, self.layout.num_hand, self._every)
        return other.with_eyelids() if self.layout.has_eyelids else other

    def with_hand_components(self, num_hand_components: int) -> "SparseBody":
        """The same body, sharing all tables, whose steps move only the first coordinates of each hand."""
        if num_hand_components == self.layout.num_hand:
            return self
        other = copy(self)
        other._set_layout(num_hand_components, has_eyelids=self.layout.has_eyelids)
        return other

    def with_eyelids(self) -> "SparseBody":
        """The same body, sharing all tables, whose steps move the eyelids too."""
        if self.layout.has_eyelids:
            return self
        other, tensor = copy(self), tensor_maker(self.dtype, self.device)
        other.groups = [to_tensors(group, tensor) for group in build_groups(self.tables.with_eyelids())]
        other._set_layout(self.layout.num_hand, has_eyelids=True)
        return other

    def _set_layout(self, num_hand_components: int, *, has_eyelids: bool = False) -> None:
        self.layout = Layout(
            num_coefficients=sum(self.tables.num_groups), num_hand=num_hand_components, has_eyelids=has_eyelids
        )
        self.group_columns = [group_columns(group, self.layout) for group in self.groups]
        met = [columns[: len(columns) - num_hand_components] for columns in self.group_columns[-2:]]
        # Hands of different builds would meet different numbers of unknowns; then all of them are taken.
        self.hand_reach = torch.stack(met) if len(met[0]) == len(met[1]) else None

    # --- pieces -------------------------------------------------------------------------------------------------------
    def hand_rotvec(self, hand_pca: Tensor) -> Tensor:
        """PCA coordinates (B, 2, 45) -> axis-angle of the finger joints (B, 2, 15, 3)."""
        flat = table_product(self.hands_components.transpose(1, 2), hand_pca.permute(1, 2, 0))
        return (flat + self.hands_mean[..., None]).permute(2, 0, 1).unflatten(-1, (15, 3))

    def hand_coordinates(self, hand_pose: Tensor) -> Tensor:
        """Finger rotations (B, 2, 15, 3, 3), flat hand = identity -> PCA coordinates (B, 2, 45)."""
        rotvec = so3.log(hand_pose).flatten(2) - self.hands_mean
        return table_product(self.hands_components, rotvec.permute(1, 2, 0)).permute(2, 0, 1)

    def local_rotations(self, state: State) -> tuple[Tensor, Tensor]:
        """Local rotations (B, J, 3, 3) and finger axis-angles (B, 2, 15, 3)."""
        rotvec = self.hand_rotvec(state.hand_pca)
        fingers = so3.exp_entries(*rotvec.permute(3, 1, 2, 0).flatten(1, 2).unbind(0))
        parts = [state.global_orient[:, None], state.body_pose, state.jaw_pose[:, None], state.eye_pose]
        others = torch.cat(parts, 1).flatten(2).permute(1, 2, 0)
        local = torch.cat([others, torch.stack(fingers, 1)]).unflatten(1, (3, 3))
        return people_first(local), rotvec

    def global_rotations(self, local: Tensor) -> Tensor:
        """Local rotations (B, J, 3, 3) -> rotations in the camera frame (B, J, 3, 3)."""
        levels = people_last(local).index_select(0, self.level_order).split(self.level_sizes)
        chain = [levels[0]]
        for level, parents in zip(levels[1:], self.level_parents, strict=True):
            chain.append(so3.product_last(chain[-1].index_select(0, parents), level))
        return people_first(torch.cat(chain).index_select(0, self.level_place))

    def contour_bin(self, state: State) -> Tensor:
        """Rows (B,) of the outline tables for the yaw at which the camera sees the head."""
        local, _ = self.local_rotations(state)
        return contour_row(self.global_rotations(local)[:, skeleton.HEAD].nan_to_num(), "camera")

    def with_outline(self, shared: Tensor, outline: Tensor) -> Tensor:
        """Rows of all sparse vertices (M, ..., B) with those of the outline (17 C, ..., B) put in their place."""
        return torch.cat([shared[: self.outline.start], outline, shared[self.outline.stop :]])

    def to_keypoints(self, values: Tensor, bins: Tensor) -> Tensor:
        """Values at sparse vertices (M, n, B) -> at keypoints (N, n, B): face landmarks add up their corners."""
        if self.corners == 1:
            return values
        start, stop = skeleton.FACE.start, skeleton.FACE.start + 68 * self.corners
        outline = people_last(self.contour.corner.index_select(0, bins))
        inner = self.points.corner[self.outline.stop : stop, None].expand(-1, len(bins))
        weights = torch.cat([outline, inner])[:, None]
        face = (values[start:stop] * weights).unflatten(0, (68, self.corners)).sum(1)
        return torch.cat([values[:start], face, values[stop:]])

    # --- forward ------------------------------------------------------------------------------------------------------
    def forward(self, state: State) -> Forward:
        """Keypoints of a state."""
        local_first, hand_rotvec = self.local_rotations(state)
        rotations_first = self.global_rotations(local_first)
        rotations, bins = people_last(rotations_first), state.contour_bin
        scale = torch.exp(state.log_head_scale)
        grow = people_last(scale - 1)
        vertices, joints = self._rest_vertices(state), self._rest_joints(state)
        if self.posed_head is None:
            from_head, joints_from_head = vertices - joints[skeleton.HEAD], joints - joints[skeleton.HEAD]
            head = self.with_outline(
                self.points.head[:, None].expand(-1, len(bins)), people_last(self.contour.head.index_select(0, bins))
            )
            vertices = torch.addcmul(vertices, head[:, None] * grow, from_head)
            joints = torch.addcmul(joints, self.joints.head[:, None, None] * grow, joints_from_head)
        else:
            from_head, joints_from_head = self.posed_head.at_rest(state, local_first)
            vertices = torch.addcmul(vertices, people_last(scale), from_head)
            joints = torch.addcmul(joints, people_last(scale), joints_from_head)
        if self.points.correctives is not None:
            vertices = vertices + self._correct(people_last(local_first), bins)

        # Offsets add up along the chain: offset_j = sum over j and all joints a above it of (R_parent(a) - R_a) J_a,
        # without the parent term for the root, whose joint lands on the origin.
        hinges = rotations.index_select(0, self.parents) * self.not_root - rotations
        hinge_moves = so3.apply_last(hinges, joints)
        offsets = table_product(self.ancestors, hinge_moves.flatten(1)).unflatten(1, (3, -1))
        posed = offsets + so3.apply_last(rotations, joints)
        blended, shift = self._blend(rotations, hinge_moves, bins)
        placed = so3.apply_last(blended, vertices) + shift
        return Forward(
            local=local_first,
            rotations=rotations_first,
            offsets=people_first(offsets),
            joints=people_first(posed),
            blended=people_first(blended),
            rest=people_first(vertices),
            points=people_first(self.to_keypoints(placed, bins)),
            hand_rotvec=hand_rotvec,
            from_head=people_first(from_head),
            joints_from_head=people_first(joints_from_head),
            translation=camera.position_to_transl(state.position),
            head_scale=scale,
        )

    def _blend(self, rotations: Tensor, hinge_moves: Tensor, bins: Tensor) -> tuple[Tensor, Tensor]:
        """Skin-weighted rotations (M, 3, 3, B) and offsets (M, 3, B) of the sparse vertices."""
        turn = table_product(self.points.skin, rotations.flatten(1))
        shift = table_product(self._below, hinge_moves.flatten(1))
        near = rotations.index_select(0, self._outline_joints).flatten(1, 2)
        above = hinge_moves.index_select(0, self._outline_above).permute(2, 0, 1)
        outline_turn = (people_last(self._outline_skin.index_select(0, bins))[:, :, None] * near).sum(1)
        outline_shift = torch.bmm(self._outline_below.index_select(0, bins), above)
        return (
            self.with_outline(turn.unflatten(1, (9, -1)), outline_turn).unflatten(1, (3, 3)),
            self.with_outline(shift.unflatten(1, (3, -1)), outline_shift.permute(1, 2, 0)),
        )

    def _rest_vertices(self, state: State) -> Tensor:
        """Shaped rest vertices (M, 3, B)."""
        bins, weights = state.contour_bin, torch.cat([state.coefficients, state.eyelids], 1)
        shared = table_product(self._displacements, weights.T).unflatten(0, (-1, 3)) + self.points.rest[..., None]
        moved = product_sum(self._outline_displacements.index_select(0, bins), weights[:, None])
        outline = self.contour.rest.index_select(0, bins) + moved.unflatten(1, (-1, 3))
        if state.carried is not None:
            shared = shared + people_last(state.carried.points.own)
            outline = outline + in_bins(state.carried.outline.own, bins)
        return self.with_outline(shared, outline.permute(1, 2, 0))

    def _rest_joints(self, state: State) -> Tensor:
        """Shaped rest joints (J, 3, B)."""
        table = self.joints.directions.flatten(0, 1)
        joints = table_product(table, state.coefficients.T).unflatten(0, (-1, 3)) + self.joints.rest[..., None]
        return joints if state.carried is None else joints + people_last(state.carried.joints.own)

    def _correct(self, local: Tensor, bins: Tensor) -> Tensor:
        """Pose correctives of the sparse vertices (M, 3, B) for local rotations (J, 3, 3, B)."""
        assert self.points.correctives is not None
        assert self.contour.correctives is not None
        identity = torch.eye(3, dtype=local.dtype, device=local.device)[..., None]
        features = (local[1:] - identity).flatten(0, 2)
        shared = table_product(self.points.correctives.flatten(0, 1), features).unflatten(0, (-1, 3))
        # Every bin of the outline for everybody would be 79 times the work; rows of the table are only read.
        table = self.contour.correctives.index_select(0, bins).flatten(1, 2)
        outline = product_sum(table, features.T[:, None]).unflatten(1, (-1, 3))
        return self.with_outline(shared, outline.permute(1, 2, 0))

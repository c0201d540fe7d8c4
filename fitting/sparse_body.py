"""The EHM-s body at its 133 keypoints only: a forward pass that is exact and hundreds of times cheaper than a mesh.

The same arithmetic as the full body in its blended mode: rest shape plus FLAME offsets on the head, the head scaled
about the head joint, pose correctives where the body has them, linear blend skinning.

Legend: B people, N 133 keypoints, M sparse vertices, J 55 joints, S linear coefficients.
Frames: body model (rest) y up; camera x right, y down, z forward, metres. The pelvis lands on the translation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fitting import camera, so3
from fitting.hand_prior import hand_population
from fitting.parameters import HAND_DIM, NUM_TURNED, Layout, State
from fitting.sparse_tables import BodyTables, PointTables, build_tables, finger_columns, first_vertex_of_point
from model.body import skeleton
from model.body.keypoints import contour_row

if TYPE_CHECKING:
    from model.body.assets import EhmAssets

HEAD = skeleton.HEAD


@dataclass(frozen=True, kw_only=True, slots=True)
class PointTensors:
    """`PointTables` as tensors."""

    rest: Tensor
    directions: Tensor
    eyelids: Tensor
    skin: Tensor
    head: Tensor
    corner: Tensor
    correctives: Tensor | None

    @classmethod
    def from_tables(cls, tables: PointTables, dtype: torch.dtype) -> "PointTensors":
        """Copies numpy tables into tensors of the given type."""

        def tensor(value: Any) -> Any:
            return None if value is None else torch.as_tensor(np.ascontiguousarray(value), dtype=dtype)

        return cls(**{name: tensor(getattr(tables, name)) for name in cls.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """A posed body at its keypoints, with what its derivatives need."""

    local: Tensor
    """(B, J, 3, 3) local rotations."""
    rotations: Tensor
    """(B, J, 3, 3) joint rotations in the camera frame."""
    joints: Tensor
    """(B, J, 3) joints in the camera frame, relative to the pelvis."""
    transforms: Tensor
    """(B, J, 12) rotation and offset that take a rest point to its posed place, relative to the pelvis."""
    blended: Tensor
    """(B, M, 3, 3) skin-weighted rotation of each sparse vertex."""
    rest: Tensor
    """(B, M, 3) shaped and scaled rest vertices."""
    vertices: Tensor
    """(B, M, 3) posed sparse vertices relative to the pelvis."""
    points: Tensor
    """(B, N, 3) keypoints relative to the pelvis."""
    hand_rotvec: Tensor
    """(B, 2, 15, 3) axis-angle of the finger joints."""
    from_head: Tensor
    """(B, M, 3) unscaled rest vertices relative to the head joint."""
    joints_from_head: Tensor
    """(B, J, 3) unscaled rest joints relative to the head joint."""
    translation: Tensor
    """(B, 3) pelvis in the camera frame."""
    head_scale: Tensor
    """(B, 3)."""

    @property
    def points_cam(self) -> Tensor:
        """(B, N, 3) keypoints in the camera frame, metres."""
        return self.points + self.translation[:, None]


class SparseBody:
    """Tables of one body and its forward pass at the keypoints."""

    def __init__(self, tables: BodyTables, hands_mean: np.ndarray, hands_components: np.ndarray, dtype: torch.dtype):
        """Use `from_assets`."""
        self.dtype = dtype
        self.tables = tables
        self.layout = Layout(num_coefficients=sum(tables.num_groups))
        self.num_groups = tables.num_groups
        self.corners = tables.corners
        self.points = PointTensors.from_tables(tables.points, dtype)
        self.contour = PointTensors.from_tables(tables.contour, dtype)
        self.outline = slice(skeleton.CONTOUR.start, skeleton.CONTOUR.start + tables.contour.rest.shape[1])
        self.num_vertices = len(tables.points.rest)

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(array), dtype=dtype)

        self.joints, self.ancestors = PointTensors.from_tables(tables.joints, dtype), tensor(tables.ancestors)
        self.hands_mean, self.hands_components = tensor(hands_mean), tensor(hands_components)
        population = hand_population(tables.joints.rest, hands_mean, hands_components)
        self.hand_spread, self.relaxed_hand = tensor(population.spread), tensor(population.relaxed)
        self.parents = torch.as_tensor(np.maximum(np.array(skeleton.SMPLX_PARENTS), 0))
        not_root = np.ones((skeleton.NUM_SMPLX_JOINTS, 1))
        not_root[0] = 0.0
        self.not_root = tensor(not_root)
        self._set_levels()
        self._set_pairs(tensor)

    @classmethod
    def from_assets(
        cls,
        assets: "EhmAssets",
        dtype: torch.dtype = torch.float32,
        num_betas: int = 10,
        num_expression: int = 10,
        num_flame_shape: int = 10,
    ) -> "SparseBody":
        """Builds the tables of a fused body.

        Args:
            assets: the open body or converted licensed files.
            dtype: type of every tensor, float32 or float64.
            num_betas: SMPL-X shape coefficients.
            num_expression: FLAME expression coefficients.
            num_flame_shape: FLAME shape coefficients.
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
        tables = build_tables(assets, (num_betas, num_expression, num_flame_shape))
        return cls(tables, body.hands_mean.astype(np.float64), components, dtype)

    def _set_levels(self) -> None:
        """Joints by depth, so that a chain of rotations is one product a level."""
        parents = skeleton.SMPLX_PARENTS
        depth = [0] * len(parents)
        for joint in range(1, len(parents)):
            depth[joint] = depth[parents[joint]] + 1
        levels = [np.flatnonzero(np.array(depth) == level) for level in range(max(depth) + 1)]
        order = np.concatenate(levels)
        place = np.argsort(order)
        self.levels = [torch.as_tensor(level) for level in levels]
        self.level_parents = [torch.as_tensor(place[np.array([max(parents[j], 0) for j in level])]) for level in levels]
        self.level_order = torch.as_tensor(place)

    def _set_pairs(self, tensor: Callable[[np.ndarray], Tensor]) -> None:
        """Tables of the analytic Jacobian: weight below each joint, and the pairs that blend across a joint."""
        tables = self.tables
        below, contour_below = tables.points.skin @ tables.ancestors, tables.contour.skin @ tables.ancestors
        fingers = finger_columns(first_vertex_of_point(tables.corners))
        self.below = tensor(below[:, :NUM_TURNED])
        self.contour_below = tensor(contour_below[..., :NUM_TURNED])
        self.hand_vertices = [torch.as_tensor(vertices) for vertices, _ in fingers]
        self.hand_below = tensor(np.stack([below[np.ix_(v, j)] for v, j in fingers]))
        vertex, joint = tables.pairs.T if len(tables.pairs) else np.zeros((2, 0), np.int64)
        self.pair_skin = tensor(tables.points.skin[vertex] * tables.ancestors.T[joint])
        self.pair_vertex, self.pair_joint = torch.as_tensor(vertex), torch.as_tensor(joint)
        vertex, joint = tables.contour_pairs.T if len(tables.contour_pairs) else np.zeros((2, 0), np.int64)
        self.contour_pair_skin = tensor(tables.contour.skin[:, vertex] * tables.ancestors.T[joint])
        self.contour_pair_vertex = torch.as_tensor(vertex) + self.outline.start
        self.contour_pair_joint = torch.as_tensor(joint)
        self.body_pair = self.pair_joint < NUM_TURNED
        side = (tables.pairs[:, 1] >= skeleton.SMPLX_RIGHT_HAND.start).astype(np.int64)
        first = np.array([fingers[0][1][0], fingers[1][1][0]])[side]
        start = np.array([fingers[0][0][0], fingers[1][0][0]])[side]
        of_hand = ~self.body_pair.numpy()
        hand = np.stack([side, tables.pairs[:, 0] - start, tables.pairs[:, 1] - first], 1)[of_hand]
        self.hand_pairs = torch.as_tensor(hand)

    # --- pieces -------------------------------------------------------------------------------------------------------
    def hand_rotvec(self, hand_pca: Tensor) -> Tensor:
        """PCA coordinates (B, 2, 45) -> axis-angle of the finger joints (B, 2, 15, 3)."""
        flat = torch.einsum("bhk,hkc->bhc", hand_pca, self.hands_components) + self.hands_mean
        return flat.unflatten(-1, (15, 3))

    def hand_coordinates(self, hand_pose: Tensor) -> Tensor:
        """Finger rotations (B, 2, 15, 3, 3), flat hand = identity -> PCA coordinates (B, 2, 45)."""
        rotvec = so3.log(hand_pose).flatten(2)
        return torch.einsum("bhc,hkc->bhk", rotvec - self.hands_mean, self.hands_components)

    def local_rotations(self, state: State) -> tuple[Tensor, Tensor]:
        """Local rotations (B, J, 3, 3) and finger axis-angles (B, 2, 15, 3)."""
        rotvec = self.hand_rotvec(state.hand_pca)
        fingers = so3.exp(rotvec).flatten(1, 2)
        parts = [state.global_orient[:, None], state.body_pose, state.jaw_pose[:, None], state.eye_pose, fingers]
        return torch.cat(parts, 1), rotvec

    def global_rotations(self, local: Tensor) -> Tensor:
        """Local rotations (B, J, 3, 3) -> rotations in the camera frame (B, J, 3, 3)."""
        chain = local[:, self.levels[0]]
        for level, parents in zip(self.levels[1:], self.level_parents[1:], strict=True):
            chain = torch.cat([chain, so3.product(chain[:, parents], local[:, level])], 1)
        return chain[:, self.level_order]

    def contour_bin(self, state: State) -> Tensor:
        """Rows (B,) of the outline tables for the yaw at which the camera sees the head."""
        local, _ = self.local_rotations(state)
        return contour_row(self.global_rotations(local)[:, HEAD].nan_to_num(), "camera")

    def with_outline(self, shared: Tensor, contour: Tensor) -> Tensor:
        """Rows of all sparse vertices (B, M, ...) with those of the outline (B, 17 C, ...) put in their place."""
        return torch.cat([shared[:, : self.outline.start], contour, shared[:, self.outline.stop :]], 1)

    def per_row(self, name: str, bins: Tensor) -> Tensor:
        """One of the point tables for each person: (B, M, ...)."""
        shared, contour = getattr(self.points, name), getattr(self.contour, name)[bins]
        return self.with_outline(shared.expand(len(bins), *shared.shape), contour)

    def _displacement(self, table: str, weights: Tensor, bins: Tensor) -> Tensor:
        """Sum of weighted directions: (B, M, 3)."""
        shared, contour = getattr(self.points, table), getattr(self.contour, table)
        num = weights.shape[1]
        moved = (weights @ shared.reshape(-1, num).T).unflatten(1, (-1, 3))
        outline = torch.bmm(contour[bins].flatten(1, 2), weights[:, :, None]).unflatten(1, (-1, 3)).squeeze(-1)
        return self.with_outline(moved, outline)

    def blend(self, transforms: Tensor, bins: Tensor) -> Tensor:
        """Skin-weighted joint transforms (B, J, 12) -> (B, M, 12)."""
        shared = torch.matmul(self.points.skin, transforms)
        return self.with_outline(shared, torch.bmm(self.contour.skin[bins], transforms))

    def to_keypoints(self, values: Tensor, bins: Tensor) -> Tensor:
        """Values at sparse vertices (B, M, ...) -> at keypoints (B, N, ...): face landmarks add up their corners."""
        if self.corners == 1:
            return values
        start, stop = skeleton.FACE.start, skeleton.FACE.start + 68 * self.corners
        weights = self.per_row("corner", bins)[:, start:stop].unflatten(1, (68, self.corners))
        face = values[:, start:stop].unflatten(1, (68, self.corners))
        weights = weights.view(*weights.shape, *[1] * (face.dim() - 3))
        return torch.cat([values[:, :start], (face * weights).sum(2), values[:, stop:]], 1)

    # --- forward ------------------------------------------------------------------------------------------------------
    def forward(self, state: State) -> Forward:
        """Keypoints of a state."""
        local, hand_rotvec = self.local_rotations(state)
        rotations = self.global_rotations(local)
        bins, scale = state.contour_bin, torch.exp(state.log_head_scale)
        vertices = (
            self.per_row("rest", bins)
            + self._displacement("directions", state.coefficients, bins)
            + self._displacement("eyelids", state.eyelids, bins)
        )
        joints = self._rest_joints(state)
        head = joints[:, HEAD : HEAD + 1]
        from_head, joints_from_head = vertices - head, joints - head
        grow = (scale - 1)[:, None]
        vertices = vertices + self.per_row("head", bins)[..., None] * grow * from_head
        joints = joints + self.joints.head[:, None] * grow * joints_from_head
        if self.points.correctives is not None:
            vertices = vertices + self._correct(local, bins)

        bones = so3.apply(rotations[:, self.parents], joints - joints[:, self.parents])
        posed = torch.matmul(self.ancestors, bones * self.not_root)
        offsets = posed - so3.apply(rotations, joints)
        transforms = torch.cat([rotations.flatten(2), offsets], -1)
        mixed = self.blend(transforms, bins)
        blended = mixed[..., :9].unflatten(-1, (3, 3))
        placed = so3.apply(blended, vertices) + mixed[..., 9:]
        return Forward(
            local=local,
            rotations=rotations,
            joints=posed,
            transforms=transforms,
            blended=blended,
            rest=vertices,
            vertices=placed,
            points=self.to_keypoints(placed, bins),
            hand_rotvec=hand_rotvec,
            from_head=from_head,
            joints_from_head=joints_from_head,
            translation=camera.position_to_transl(state.position),
            head_scale=scale,
        )

    def _rest_joints(self, state: State) -> Tensor:
        """Shaped rest joints (B, J, 3)."""
        count = state.coefficients.shape[1]
        shaped = (state.coefficients @ self.joints.directions.reshape(-1, count).T).unflatten(1, (-1, 3))
        return self.joints.rest + shaped

    def _correct(self, local: Tensor, bins: Tensor) -> Tensor:
        """Pose correctives of the sparse vertices (B, M, 3)."""
        identity = torch.eye(3, dtype=local.dtype, device=local.device)
        return self._displacement("correctives", (local[:, 1:] - identity).flatten(1), bins)

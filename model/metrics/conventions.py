"""Which joints MPJPE and PA-MPJPE are taken of: three conventions of 3DPW, whose numbers are not comparable.

Joints are regressed from the vertices of SMPL, the same way on both sides. A mesh of SMPL-X is brought to SMPL's
vertices first, by the sparse matrix of `smplx2smpl.pkl` (6890 x 10475); `regress` does that too. Kinematic joints of
SMPL-X beside those of SMPL would add some 25 mm. None of the matrices is distributed with this project: each
convention names the file that its user has to bring.

Legend: N people, V vertices, R regressed joints.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from model.metrics.joints import mpjpe_mm, pa_mpjpe_mm


@dataclass(frozen=True, kw_only=True, slots=True)
class JointConvention:
    """Joints, and the one that is moved together for MPJPE."""

    name: str
    """As it is told beside a figure."""
    regressor: str
    """File of the matrix (R, 6890)."""
    num_joints: int
    """R."""
    root: int
    """Row of the root; it need not be counted itself."""
    counted: tuple[int, ...]
    """Rows of which the mean is taken."""

    def errors(self, joints: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`mpjpe_mm` and `pa_mpjpe_mm` (N,) of regressed joints (N, R, 3) in metres.

        Raises:
            ValueError: The joints are not R; see also ``pa_mpjpe_mm``.
        """
        for name, given in (("predicted", joints), ("known", target)):
            if given.shape[1:] != (self.num_joints, 3):
                raise ValueError(
                    f"convention {self.name}: expected {self.num_joints} {name} joints (N, {self.num_joints}, 3) "
                    f"regressed with {self.regressor}, got {tuple(given.shape)}"
                )
        rows = list(self.counted)
        return {
            "mpjpe_mm": mpjpe_mm(joints, target, root=self.root, counted=rows),
            "pa_mpjpe_mm": pa_mpjpe_mm(joints[:, rows], target[:, rows]),
        }


HMR2 = JointConvention(
    name="hmr2",
    regressor="SMPL_to_J19.pkl",
    num_joints=19,
    root=14,  # pelvis of MPII
    counted=(*range(13), 18),  # twelve limbs, neck of LSP, head of Human3.6M
)
"""4D-Humans; rows of J19, which follow the 25 of OpenPose among HMR2's 44 joints."""
H36M14 = JointConvention(
    name="h36m14",
    regressor="J_regressor_h36m.npy",
    num_joints=17,
    root=0,
    counted=(6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10),
)
"""SPIN and Multi-HMR: joints of Human3.6M."""
SMPL24 = JointConvention(
    name="smpl24",
    regressor="J_regressor of the SMPL model",
    num_joints=24,
    root=0,
    counted=tuple(range(24)),
)
"""The official challenge of 3DPW and ROMP: SMPL's own joints, posed."""
CONVENTIONS = {convention.name: convention for convention in (HMR2, H36M14, SMPL24)}
"""By name."""


def regress(matrix: Tensor, vertices: Tensor) -> Tensor:
    """Joints, or vertices of another mesh, as fixed sums of vertices.

    Args:
        matrix: (R, V), dense or sparse.
        vertices: (N, V, 3).

    Returns:
        (N, R, 3) in the matrix' precision.

    Raises:
        ValueError: The mesh is another than the matrix is for.
    """
    if vertices.dim() != 3 or vertices.shape[1:] != (matrix.shape[1], 3):
        raise ValueError(
            f"expected vertices (N, {matrix.shape[1]}, 3) for a matrix {tuple(matrix.shape)}, got "
            f"{tuple(vertices.shape)}; leave out what was added to the mesh, as teeth"
        )
    people = len(vertices)
    flat = vertices.to(matrix.dtype).permute(1, 0, 2).reshape(matrix.shape[1], 3 * people)
    return (matrix @ flat).view(-1, people, 3).permute(1, 0, 2)

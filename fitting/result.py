"""What the refinement gives back: EHM-s parameters named as in the label files, and how the fit of each person went."""

from dataclasses import dataclass

from torch import Tensor

from fitting import so3
from fitting.displacement import Displacement
from fitting.reprojection import Reprojection
from fitting.solver import Status
from fitting.uncertainty import Uncertainty


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """EHM-s parameters of B people, named as in the label files; rotations as matrices, `rotvecs` as axis-angle."""

    transl_m: Tensor
    """(B, 3) pelvis in the camera frame."""
    global_orient: Tensor
    """(B, 3, 3)."""
    body_pose: Tensor
    """(B, 21, 3, 3)."""
    left_hand_pose: Tensor
    """(B, 15, 3, 3), flat hand = identity."""
    right_hand_pose: Tensor
    """(B, 15, 3, 3)."""
    betas: Tensor
    """(B, 10)."""
    flame_shape: Tensor
    """(B, 10)."""
    flame_expression: Tensor
    """(B, 10)."""
    jaw_pose: Tensor
    """(B, 3, 3)."""
    eye_pose: Tensor
    """(B, 2, 3, 3)."""
    eyelids: Tensor
    """(B, 2)."""
    head_scale: Tensor
    """(B, 3)."""

    def rotvecs(self) -> dict[str, Tensor]:
        """All parameters by label column, rotations as flat axis-angle (B, 3 n), float32."""
        columns = {}
        for name in self.__slots__:
            value = getattr(self, name)
            columns[name] = (
                so3.log(value).flatten(1) if value.shape[-2:] == (3, 3) and value.dim() > 2 else value
            ).float()
        return columns


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineResult:
    """Refined people, and how it went, row by row."""

    parameters: Parameters
    """EHM-s parameters."""
    keypoints_px: Tensor
    """(B, 133, 2) keypoints of the refined body in the image."""
    reprojection: Reprojection
    """Residuals, inliers, per-part reprojection errors in px and as a share of the box, part validity."""
    uncertainty: Uncertainty
    """Posterior standard deviations, what the keypoints did not determine, and the 3D error the model expects."""
    displacement: Displacement
    """Distance from the coarse estimate, or neutral start, by joint and part."""
    iterations: Tensor
    """(B,) int64, over both runs."""
    status: Tensor
    """(B,) int64 `Status`."""
    expected_error_mm: Tensor
    """(B,) expected PA-MPJPE, calibrated; what `quality` is made of. NaN where there are no figures."""
    quality: Tensor
    """(B,) 0..1; 0 for a row that could not be refined."""
    cost: Tensor
    """(B,) final robust cost with priors."""
    term_costs: dict[str, Tensor]
    """(B,) what each term of the problem adds to that cost, in squared standard deviations, by the name of its class:
    KeypointTerm (robust reprojection), PoseNearnessTerm, RotvecTerm (joint limits, jaw), GaussianTerm (all else)."""

    @property
    def converged(self) -> Tensor:
        """(B,) bool."""
        return self.status == Status.CONVERGED

    @property
    def moved_rad(self) -> Tensor:
        """(B,) mean angle between the joints (root and body) of the coarse estimate, or neutral start, and the result.

        0 where nothing was refined.
        """
        return self.displacement.mean_rad

    @property
    def part_valid(self) -> Tensor:
        """(B, 4) bool: body, left hand, right hand, face."""
        return self.reprojection.part_valid

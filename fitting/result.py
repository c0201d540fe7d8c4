"""What the refinement gives back: EHM-s parameters named as in the label files, and how the fit of each person went."""

from dataclasses import dataclass

from torch import Tensor

from fitting import so3
from fitting.displacement import Displacement
from fitting.reprojection import Reprojection
from fitting.solver import Status
from fitting.uncertainty import Uncertainty
from model.body.parameters import EhmParameters


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineResult:
    """Refined people, and how it went, row by row."""

    parameters: EhmParameters
    """EHM-s parameters in the camera frame, with their place; the head's own orientation is not fitted."""
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

    def label_columns(self) -> dict[str, Tensor]:
        """All parameters by label column, rotations as flat axis-angle (B, 3 n), float32."""
        return self.parameters.columns(so3.log)

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

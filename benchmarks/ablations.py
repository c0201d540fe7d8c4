"""What single parts of the refinement are worth, and what it costs when the world is not as it believes."""

from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.synthetic_people import SURFACE_ANNOTATION, StudyConfig
from fitting.settings import RefineConfig

_FAR = 1e4


@dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """One change of the people, of the settings or of the camera."""

    config: RefineConfig = field(default_factory=RefineConfig)
    """Settings of the refinement."""
    world: dict[str, Any] = field(default_factory=dict)
    """Fields of the synthetic people that differ."""
    focal_factor: float = 1.0
    """Focal length told, as a factor of the true one."""

    def people(self, usual: StudyConfig) -> StudyConfig:
        """The changed people."""
        return replace(usual, **self.world)


def ablations() -> dict[str, Ablation]:
    """All of them by name; the first changes nothing."""
    marked = {
        "hip_offset_m": SURFACE_ANNOTATION.hip_offset_m,
        "shoulder_offset_m": SURFACE_ANNOTATION.shoulder_offset_m,
    }
    return {
        "ours": Ablation(),
        "no outliers in the data": Ablation(world={"outlier_share": 0.0}),
        "no robust loss": Ablation(config=RefineConfig(robust_scale=_FAR, graduated_scale=_FAR)),
        "robust loss not graduated": Ablation(config=RefineConfig(graduated_iterations=0)),
        "head scale fixed at 1": Ablation(config=RefineConfig(log_head_scale_sigma=1e-4)),
        "pose priors twice as loose": Ablation(config=RefineConfig(pose_sigma_scale=2.0)),
        "pose priors twice as tight": Ablation(config=RefineConfig(pose_sigma_scale=0.5)),
        "focal length 25 % too long": Ablation(focal_factor=1.25),
        "focal length twice too long": Ablation(focal_factor=2.0),
        "hips and shoulders marked 4.6 / 2.2 cm off": Ablation(world=marked),
    }

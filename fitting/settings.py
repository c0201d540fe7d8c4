"""Settings of the refinement, with the values that real photos were tuned on: plain dataclasses that need no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Composition = Literal["conjugate", "additive", "copy"]
"""How the rest-pose difference of SMPL and SMPL-X joins a pose; `fitting.delta_theta` has the formulas."""

# Order: pelvis, left and right hip, spine1, knees, spine2, ankles, spine3, feet, neck, collars, head, shoulders,
# elbows, wrists.
_POSE_DEG = (
    24.0, 24.0, 24.0, 12.0, 28.0, 28.0, 12.0, 28.0, 28.0, 12.0, 20.0, 20.0,
    16.0, 6.0, 6.0, 16.0, 14.0, 14.0, 14.0, 14.0, 18.0, 18.0,
)  # fmt: skip
_NEUTRAL_DEG = (
    15.0, 36.0, 36.0, 16.0, 49.0, 49.0, 8.0, 28.0, 28.0, 8.0, 10.0, 10.0,
    16.0, 8.0, 8.0, 16.0, 49.0, 49.0, 49.0, 49.0, 36.0, 36.0,
)  # fmt: skip


def _expect(wanted: str, holds: Callable[[Any], bool], **settings: Any) -> None:
    """Raises a ValueError that names the first setting that is not as wanted, and its value."""
    for name, value in settings.items():
        if not holds(value):
            raise ValueError(f"{name}: expected {wanted}, got {value!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SolverConfig:
    """Levenberg-Marquardt settings; results hardly depend on them."""

    max_iterations: int = 25
    """Steps tried, accepted or not."""
    damping: float = 1e-3
    """First damping, relative to the diagonal of the normal matrix."""
    damping_factor: float = 10.0
    """Divides the damping after a good step, multiplies it after a rejected one."""
    max_damping: float = 1e6
    """A row whose damping passes this is stalled."""
    tolerance: float = 1e-3
    """A row is done when an accepted step lowers its cost by less than this share, or when a step at the first damping
    or less is foretold to, and rounding rejects it."""
    refresh_every: int = 5
    """Iterations between updates of the problem's discrete choices."""
    plan: Literal["auto", "adaptive", "fixed"] = "auto"
    """`adaptive` stops early and compacts the batch, `fixed` runs all iterations without asking the device;
    `auto` is adaptive on the CPU and fixed elsewhere. Clips of frames are fitted by the adaptive one."""

    def __post_init__(self) -> None:
        _expect("0 or more", lambda count: count >= 0, max_iterations=self.max_iterations)
        _expect("a number above 0", lambda value: value > 0, damping=self.damping, max_damping=self.max_damping)
        _expect("a number above 1", lambda factor: factor > 1, damping_factor=self.damping_factor)
        _expect("at least 1", lambda count: count >= 1, refresh_every=self.refresh_every)
        plans = ("auto", "adaptive", "fixed")
        _expect("auto, adaptive or fixed", lambda plan: plan in plans, plan=self.plan)

    def is_fixed(self, device_type: str) -> bool:
        """Whether the plan on a type of device, `cpu` or `cuda` say, is the fixed one."""
        return self.plan == "fixed" or (self.plan == "auto" and device_type != "cpu")


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongJoints:
    """How often, and how far, a coarse estimate of a joint fails."""

    share: float
    """Share of joints whose estimate is plainly wrong, 0..1 without the ends."""
    factor: float
    """Standard deviation of a wrong joint over that of a good one, above 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossScales:
    """Scales of the robust losses of one run, in standard deviations."""

    keypoint: float
    """Of a keypoint."""
    wrong_joints: WrongJoints | None
    """Failures of the coarse estimate of a joint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One run of the solver."""

    loss: LossScales
    """Robust losses."""
    iterations: int
    """Steps at most."""
    tolerance: float
    """A person is done when a step lowers the cost by less than this share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RefineConfig:
    """How far the refinement trusts what: the sigmas are standard deviations of Gaussian priors."""

    graduated_iterations: int = 12
    """Steps with the wide robust loss, which lets far-off points pull the body over."""
    graduated_scale: float = 20.0
    """Scale of the wide robust loss, in sigmas of a keypoint."""
    graduated_tolerance: float = 0.01
    """Where a person's wide run ends: it only has to come near, a tighter one costs steps and changes no result."""
    iterations: int = 30
    """Steps with the final robust loss, at most."""
    robust_scale: float = 4.0
    """Scale of the final robust loss: a point this many sigmas off loses three quarters of its pull."""
    fixed_iterations: tuple[int, int] = (5, 12)
    """Steps with the wide and with the final robust loss where the solver follows its fixed plan, as on CUDA."""
    num_hand_components: int = 45
    """PCA coordinates of each hand that are refined, 0..45; fewer are faster. The others stay where they are likely,
    between the estimate and the hands that people have."""
    solver: SolverConfig = field(default_factory=SolverConfig)
    """Damping and stopping; `max_iterations` and, in the wide run, `tolerance` are replaced by those above."""
    pose_sigma_deg: tuple[float, ...] = _POSE_DEG
    """Root and 21 body joints about the coarse estimate, where the estimate states no sigma of its own."""
    neutral_sigma_deg: tuple[float, ...] = _NEUTRAL_DEG
    """The same about a neutral body, where there is no valid estimate."""
    pose_sigma_scale: float = 1.0
    """Factor on all pose sigmas, stated or not."""
    wrong_joint_share: float = 0.1
    """Share of root and body joints whose coarse estimate is plainly wrong; 0 trusts them all. Used with the final
    loss only: under the wide one, keypoints that are still far off would make good joints look wrong."""
    wrong_joint_factor: float = 3.0
    """How many times the sigma of a good joint such a joint may be off."""
    hand_sigma_deg: float = 12.0
    """Finger joints about a valid hand estimate."""
    guessed_hand_sigma_deg: float = 25.0
    """Finger joints about the relaxed hand, where keypoints show a hand that has no valid estimate."""
    unseen_hand_sigma_deg: float = 3.0
    """Finger joints about the relaxed hand where nothing shows them."""
    min_hand_points: int = 6
    """Keypoints of a hand (of 21) from which on they may move a hand without a valid estimate."""
    limit_sigma_rad: float = 0.05
    """Softness of the joint limits."""
    beta_sigma: float = 0.7
    """Body shape about the coarse betas."""
    expression_sigma: float = 1.0
    """FLAME expression about the coarse one."""
    flame_shape_sigma: float = 0.5
    """FLAME shape about the coarse one."""
    surface_offset_m: tuple[float, ...] = (0.0,) * 6
    """Expected place of the hip and the shoulder keypoints from their joints, three components a group: outwards, up,
    to the front, in the frame of pelvis and collar; where the keypoints come without such a statement."""
    surface_sigma_m: tuple[float, ...] = (0.001,) * 6
    """How far that place differs from person to person; the default takes unstated keypoints for the joints."""
    log_head_scale_sigma: float = 0.12
    """Logarithm of the head scale about 0, an axis."""
    jaw_sigma_rad: tuple[float, float, float] = (0.2, 0.05, 0.05)
    """Jaw about the coarse one, by axis-angle component."""
    refine_eyelids: bool = False
    """Whether the keypoints may move the eyelids. Pixels may in any case."""
    eyelid_sigma: float = 0.2
    """Closure of each eyelid, 0..1, about the coarse one, where it is refined."""
    position_sigma_m: float = 0.17
    """Pelvis across the view, about its start."""
    log_depth_sigma: float = 0.25
    """Logarithm of the pelvis depth about its start."""
    head_limit_deg: float = 75.0
    """Largest turn from chest to head taken from a face estimate."""
    head_orient_sigma_deg: float = 10.0
    """Orientation of the head in the camera frame about that of a face estimate that states no sigma."""
    wrist_orient_sigma_deg: float = 20.0
    """Orientation of a wrist in the camera frame about that of a hand estimate."""
    wrist_gate_deg: float = 80.0
    """A hand estimate whose wrist is further than this from the body's says nothing about the wrist."""
    wrist_min_score: float = 0.3
    """A hand estimate with a lower score of its own says nothing about the wrist."""
    wrist_limit_deg: float = 85.0
    """Largest wrist bend taken from a hand estimate."""
    face_away_deg: float = 110.0
    """Where the coarse head is turned further from the camera, and no face estimate says otherwise, face keypoints are
    taken for invented: networks see faces on the backs of heads."""
    batch_size: int = 128
    """People refined at once, at half a megabyte each; fewer than 64 pay for the calls, more gain little on a CPU."""
    num_yaws: int = 8
    """Neutral bodies tried for a person without a valid body estimate."""
    num_finalists: int = 3
    """How many of them are still followed after the wide robust loss."""
    search_iterations: int = 12
    """Final-loss steps spent on each finalist before the best goes on."""
    min_points: int = 4
    """A person with fewer seen keypoints is left as estimated."""
    inlier_sigma: float = 4.0
    """A keypoint within this many sigmas of the refined body is an inlier."""

    @property
    def final_loss(self) -> LossScales:
        """Losses of the second run, which are those of the result."""
        share, factor = self.wrong_joint_share, self.wrong_joint_factor
        wrong = WrongJoints(share=share, factor=factor) if share > 0 else None
        return LossScales(keypoint=self.robust_scale, wrong_joints=wrong)

    def stages(self, device_type: str) -> tuple[Stage, Stage]:
        """The run with the wide robust loss and the final one, as a type of device, `cpu` or `cuda` say, does them."""
        most = self.graduated_iterations, self.iterations
        most_wide, most_final = self.fixed_iterations if self.solver.is_fixed(device_type) else most
        wide = LossScales(keypoint=self.graduated_scale, wrong_joints=None)
        return (
            Stage(loss=wide, iterations=most_wide, tolerance=self.graduated_tolerance),
            Stage(loss=self.final_loss, iterations=most_final, tolerance=self.solver.tolerance),
        )

    def __post_init__(self) -> None:
        def are_positive(count: int) -> Callable[[tuple[float, ...]], bool]:
            return lambda values: len(values) == count and all(value > 0 for value in values)

        _expect(
            "22 positive numbers (root and 21 joints)",
            are_positive(22),
            pose_sigma_deg=self.pose_sigma_deg,
            neutral_sigma_deg=self.neutral_sigma_deg,
        )
        six = "numbers (hip and shoulder, 3 axes each)"
        _expect(f"6 {six}", lambda values: len(values) == 6, surface_offset_m=self.surface_offset_m)
        _expect(f"6 positive {six}", are_positive(6), surface_sigma_m=self.surface_sigma_m)
        _expect("3 positive numbers", are_positive(3), jaw_sigma_rad=self.jaw_sigma_rad)
        others = ("wrong_joint_share", "wrong_joint_factor")
        floats = {name: getattr(self, name) for name in self.__slots__ if name not in others}
        floats = {name: value for name, value in floats.items() if isinstance(value, float)}
        _expect("a number above 0", lambda value: value > 0, **floats)
        _expect("a share below 1", lambda share: 0 <= share < 1, wrong_joint_share=self.wrong_joint_share)
        _expect("a number above 1", lambda factor: factor > 1, wrong_joint_factor=self.wrong_joint_factor)
        _expect("at least 1", lambda count: count >= 1, batch_size=self.batch_size)
        _expect("0..45", lambda count: 0 <= count <= 45, num_hand_components=self.num_hand_components)
        _expect(
            "two counts, each 0 or more",
            lambda counts: len(counts) == 2 and min(counts) >= 0,
            fixed_iterations=self.fixed_iterations,
        )
        _expect(
            f"at least robust_scale, {self.robust_scale}",
            lambda scale: scale >= self.robust_scale,
            graduated_scale=self.graduated_scale,
        )
        _expect(
            f"1..num_yaws, {self.num_yaws}", lambda count: 1 <= count <= self.num_yaws, num_finalists=self.num_finalists
        )
        _expect(
            "0 or more",
            lambda count: count >= 0,
            iterations=self.iterations,
            graduated_iterations=self.graduated_iterations,
            search_iterations=self.search_iterations,
        )

"""The methods of the benchmark, under the names of its command line."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks import adamw, lbfgs
from benchmarks.full_mesh import FullMesh
from benchmarks.trial import Outcome, Trial, refine_trial
from benchmarks.unknowns import Pose, mesh_pose, sparse_pose
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from model.batches import cat_rows
from model.body.ehms import EHMs

FEW_COMPONENTS = 12
"""Hand components of the fast setting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """The body in the forms that the methods pose it in."""

    body: SparseBody
    """Sparse tables."""
    ehms: EHMs
    """The full body."""
    dense: FullMesh | None
    """All vertices, posed as trackers do; None in the fusion `paper`, which the methods to beat do not know."""
    lean: FullMesh | None
    """All vertices, posed by `EHMs`; likewise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One row of the table."""

    label: str
    """Name in the table."""
    run: Callable[[Bench, Trial, int | None], Outcome]
    """Refines one batch of people; the number ends it after so many steps."""
    batch: int
    """People at once."""
    steps: int = 0
    """Steps of a method of fixed length; 0 for one that stops by itself."""
    share: str = "some"
    """How many people it gets: `all`, `some` or `few`."""

    def run_all(self, bench: Bench, trial: Trial, stop_after: int | None = None) -> Outcome:
        """All people of a trial, batch by batch."""
        return cat_rows([self.run(bench, part, stop_after) for part in trial.split(self.batch)])


def baselines(batch: int = 64) -> dict[str, Method]:
    """The methods to beat; `batch` people at once but for L-BFGS."""
    tracker = adamw.Schedule(steps=adamw.TRACKER_STEPS, rates=adamw.TRACKER_RATES, weight_decay=adamw.TRACKER_DECAY)
    photo = replace(tracker, steps=adamw.TRACKER_IMAGE_STEPS)
    tuned = adamw.Schedule(steps=adamw.TUNED_STEPS, rates=adamw.TUNED_RATES, cosine=True)

    def own_loss(schedule: adamw.Schedule, mesh: str) -> Callable[[Bench, Trial, int | None], Outcome]:
        def run(bench: Bench, trial: Trial, stop_after: int | None) -> Outcome:
            return adamw.run_adamw(trial, _pose(bench, mesh), adamw.tracker_loss(trial), schedule, stop_after)

        return run

    def our_loss(
        schedule: adamw.Schedule, mesh: str, *, graduated: bool
    ) -> Callable[[Bench, Trial, int | None], Outcome]:
        def run(bench: Bench, trial: Trial, stop_after: int | None) -> Outcome:
            loss = adamw.objective_loss(trial, schedule.steps, graduated=graduated)
            return adamw.run_adamw(trial, _pose(bench, mesh), loss, schedule, stop_after)

        return run

    def newton(bench: Bench, trial: Trial, stop_after: int | None) -> Outcome:
        return lbfgs.run_lbfgs(trial, _pose(bench, "dense"), stop_after or lbfgs.ITERATIONS)

    def method(label: str, run: Callable[[Bench, Trial, int | None], Outcome], steps: int) -> Method:
        return Method(label=label, run=run, batch=batch, steps=steps)

    return {
        "tracker": method("(a) EHM-Tracker AdamW 1001, mesh", own_loss(tracker, "dense"), tracker.steps),
        "tracker-101": method("EHM-Tracker AdamW 101, mesh", own_loss(photo, "dense"), photo.steps),
        "tracker-ehms": method(
            "EHM-Tracker AdamW 1001, `EHMs` mesh", own_loss(tracker, "lean"), tracker.steps
        ),
        "tracker-sparse": method(
            "EHM-Tracker AdamW 1001, sparse forward", own_loss(tracker, "sparse"), tracker.steps
        ),
        "rates-sparse": method(
            "its rates, our objective, 1001, sparse",
            our_loss(tracker, "sparse", graduated=False),
            tracker.steps,
        ),
        "tuned-sparse": method(
            "(b) AdamW tuned, our objective, 1000, sparse", our_loss(tuned, "sparse", graduated=True), tuned.steps
        ),
        "tuned-mesh": method(
            "AdamW tuned, our objective, 1000, mesh",
            our_loss(tuned, "dense", graduated=True),
            tuned.steps,
        ),
        "lbfgs": Method(
            label="(c) L-BFGS strong Wolfe, camera + 5 x 30, mesh", run=newton, batch=1, share="few"
        ),
    }  # fmt: skip


def ours(batches: list[int]) -> dict[str, Method]:
    """The refinement with all and with few hand components and by its fixed plan, at several batch sizes."""

    def method(label: str, batch: int, change: Callable[[RefineConfig], RefineConfig]) -> Method:
        def run(bench: Bench, trial: Trial, stop_after: int | None) -> Outcome:
            return refine_trial(trial, replace(change(trial.config), batch_size=batch))

        return Method(label=label, run=run, batch=batch, share="all" if batch > 1 else "few")

    variants: dict[str, tuple[str, Callable[[RefineConfig], RefineConfig]]] = {
        "ours": ("ours, 45 hand components", lambda config: config),
        "ours12": ("ours, 12 hand components", with_few_components),
        "ours12-fixed": (
            "ours, 12 hand components, fixed plan",
            lambda config: with_fixed_plan(with_few_components(config)),
        ),
    }
    return {
        f"{name}-{batch}": method(label, batch, change)
        for name, (label, change) in variants.items()
        for batch in batches
    }


def with_few_components(config: RefineConfig) -> RefineConfig:
    """The settings with `FEW_COMPONENTS` stepped components a hand."""
    return replace(config, num_hand_components=FEW_COMPONENTS)


def with_fixed_plan(config: RefineConfig) -> RefineConfig:
    """The settings with a fixed number of steps, as on CUDA."""
    return replace(config, solver=replace(config.solver, plan="fixed"))


def _pose(bench: Bench, mesh: str) -> Pose:
    if mesh == "sparse":
        return sparse_pose(bench.body)
    whole = bench.dense if mesh == "dense" else bench.lean
    if whole is None:
        raise ValueError(f"the mesh {mesh} is there for the fusion blended only")
    return mesh_pose(whole)

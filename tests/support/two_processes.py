"""One of two processes: does some steps on its half of the batches and writes down what came out of them.

python two_processes.py <run folder> <out file> <step to spoil>, under the variables that torchrun sets.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from training_rig import NoiseExperiment, noise_plan

from tasks.training.engine.distributed import process_group
from tasks.training.engine.loop import Trainer

STEPS = 3
GLOBAL_BATCH = 4
SETTINGS = {
    "steps": STEPS,
    # This read-out then has no gradient: the processes must not wait for it.
    "loss": {"head_orient": 0.0},
    "optimiser": {"lr": 1e-3, "clip_norm": 1e6},
    "token_keypoints": 0.5,
    "max_broken_share": 0.5,
}


def first_gradient_and_curve(folder: Path, processes: int, spoil_at: int = -1) -> dict:
    """Gradient of the first step by name, then the whole run; the rows of all steps."""
    with process_group("cpu") as group:
        assert group.world_size == processes
        run = {"processes": processes, "batch_size": GLOBAL_BATCH // processes, "loader_workers": 0}
        plan = noise_plan(folder, **SETTINGS, run=run, every={"log": 1})
        met = {GLOBAL_BATCH + rank * run["batch_size"]: f"noise/met_by_{rank}#0" for rank in range(processes)}
        trainer = Trainer.start(NoiseExperiment(plan, spoil_at=spoil_at, broken_at=met), group)
        gradients: dict[str, torch.Tensor] = {}

        def keep(*_: object) -> None:
            if not gradients:
                gradients.update(
                    {n: p.grad.clone() for n, p in trainer.objective.named_parameters() if p.grad is not None}
                )

        trainer.trained.optimiser.register_step_pre_hook(keep)
        trainer.run()
        broken = sorted(trainer.broken.sentences)
        return {"gradients": gradients, "weights": dict(trainer.objective.network.state_dict()), "broken": broken}


def outcome(folder: Path, spoil_at: int) -> dict:
    """What one of two processes comes to, or its sentence."""
    torch.set_num_threads(1)
    try:
        return first_gradient_and_curve(folder, 2, spoil_at)
    except ValueError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    torch.save(outcome(Path(sys.argv[1]), int(sys.argv[3])), sys.argv[2])

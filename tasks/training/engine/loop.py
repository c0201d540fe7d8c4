"""The training itself: one step after the other, and what happens in between.

Nothing here remembers anything random: weights are drawn from the seed, a sample from the seed and its position, the
blocks that a step skips from the seed and the step. So a state of weights, average and moments is all that an exact
resume needs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from datasets_manifest.canonical import canonical_json
from datasets_manifest.files import write_bytes, write_text
from model.body.keypoint_body import KeypointBody
from model.regressor.batch import TrainingBatch
from model.regressor.checkpoint import CheckpointMeta, save_regressor
from model.regressor.network import EhmRegressor
from tasks.body_model import full_body
from tasks.training.engine.checkpoints import Trained, load_newest, save_state
from tasks.training.engine.curves import Meter, draw_row, named_values, non_finite
from tasks.training.engine.distributed import World, gathered, summed
from tasks.training.engine.ema import WeightAverage
from tasks.training.engine.not_finite import NotFinite, find_culprits
from tasks.training.engine.optimiser import build_optimiser, learning_rate, set_learning_rate
from tasks.training.engine.records import Clock, Records
from tasks.training.regressor.evaluation import MEAN_POSE, MEASURES, Ruler, evaluate
from tasks.training.regressor.objective import NETWORK, Objective
from tasks.training.regressor.people import TrainingPeople
from tasks.training.regressor.pictures import overlay_sheet
from tasks.training.regressor.plan import TrainingPlan
from tasks.training.regressor.settings import to_plain
from tasks.training.regressor.start import first_weights
from tasks.version import code_version

log = logging.getLogger(__name__)

PICTURED_PEOPLE = 8
"""Validation people on a sheet of overlays."""


@dataclass(kw_only=True, slots=True)
class Trainer:
    """One process of a training."""

    plan: TrainingPlan
    """What to do."""
    world: World
    """This process among all."""
    people: TrainingPeople
    """Batches."""
    objective: Objective
    """Network, body, loss."""
    trained: Trained
    """What the training changes."""
    step: int = 0
    """Steps that are done."""
    meter: Meter
    """Means since the last row of the curve."""

    @classmethod
    def start(cls, plan: TrainingPlan, world: World, people: TrainingPeople) -> Trainer:
        """Builds the network and goes on from the newest state of the run, if there is one.

        Raises:
            ValueError: The state is damaged or of another run, or the backbone's weights do not fit.
        """
        config = plan.config
        torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = config.precision == "tf32"  # PyTorch's own default is True
        network = first_weights(config, people).to(world.device)
        body = KeypointBody(
            plan.assets,
            num_betas=config.network.num_betas,
            num_flame_shape=config.network.num_flame_shape,
            num_expression=config.network.num_expression,
        ).to(world.device)
        objective = Objective(network, body, config.loss, config.precision, config.token_keypoints).to(world.device)
        trained = Trained(
            module=objective,
            average=WeightAverage(objective, config.ema_decay),
            optimiser=build_optimiser(objective, config.optimiser),
        )
        step, meter, broken = load_newest(plan.folder.checkpoints, trained, plan.run_hash)
        people.broken.resume(broken)
        return cls(
            plan=plan,
            world=world,
            people=people,
            objective=objective,
            trained=trained,
            step=step,
            meter=meter,
        )

    @property
    def network(self) -> EhmRegressor:
        """The network that is trained."""
        return self.objective.network

    def run(self) -> None:
        """All steps that are left.

        Raises:
            NotFinite: Nothing of that step has changed a weight; the states on disk are from before it.
            TrainingDataError: A photo cannot be used, or more of them than allowed.
        """
        config, first = self.plan.config, self.step
        records = Records.open(self.plan, first) if self.world.is_first else None
        self.objective.train()
        whole: nn.Module = self.objective
        if self.world.size > 1:
            # No buffer ever changes, so there is nothing to keep equal.
            buffers = [name for name, _ in self.objective.named_buffers()]
            DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self.objective, buffers)
            # A term of weight 0 may leave a read-out without a gradient, for which nobody must wait.
            some_unused = not config.loss.reaches_every_readout
            whole = DistributedDataParallel(self.objective, find_unused_parameters=some_unused)
        if first:
            _say(self.world, f"goes on after step {first}")
        clock = Clock(first_step=first, num_steps=config.steps)
        for batch in self.people.training_batches(first):
            if self.step >= config.steps:
                break
            values = self._one_step(whole, batch.to(self.world.device, non_blocking=True))
            self.meter.add(values)
            if self._is_due(config.every.log) or self._is_due(config.every.checkpoint):
                self._count_broken()
            if self._is_due(config.every.log):
                row = {"step": self.step, "lr": self._lr(self.step - 1), **self.meter.take()}
                if records is not None:
                    records.curve.append(row)
                    draw_row(records.board, "train", row)
                    _say(self.world, clock.line(self.step, row, config.global_batch))
            if self._is_due(config.every.evaluate):
                self._evaluate(records)
                if records is not None:
                    write_bytes(self.plan.folder.newest, self._network_file(self._metrics(records)))
            if self._is_due(config.every.pictures) and records is not None:
                self._draw()
            if self._is_due(config.every.checkpoint) and self.world.is_first:
                self._save()
        if self.step < config.steps:
            raise RuntimeError(f"the batches ended after step {self.step} of {config.steps}")
        if records is not None:
            self._finish(records)

    def _one_step(self, whole: nn.Module, batch: TrainingBatch) -> dict[str, float]:
        """Forward, backward and one update; the values are means over all processes."""
        config = self.plan.config
        torch.manual_seed(_step_seed(config.seed, self.step, self.world.rank))
        optimiser = self.trained.optimiser
        set_learning_rate(optimiser, self._lr(self.step))
        optimiser.zero_grad(set_to_none=True)
        loss, terms = whole(batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.objective.parameters(), config.optimiser.clip_norm)
        own = torch.stack([loss.detach(), *terms.values()]).double()
        shared = summed(own, self.world) / self.world.size
        # The only wait for the device in a step: nothing that is not finite may reach the weights.
        values = named_values(["loss", *terms, "grad_norm"], torch.cat([shared, norm.detach().double()[None]]))
        if bad := non_finite(values):
            self._stop(batch, bad, own)
        optimiser.step()
        self.step += 1
        self.trained.average.update(self.objective, self.step)
        return values

    def _count_broken(self) -> None:
        """Tells all processes which photos each could not use, so that the share that is allowed is one of all rows."""
        broken = self.people.broken
        if broken.max_rows:
            for news in gathered(broken.news(), self.world):
                broken.take(news)
            broken.check()

    def _stop(self, batch: TrainingBatch, bad: list[str], own: Tensor) -> None:
        """Raises NotFinite, on all processes with the same sentence: each looks for the culprits of its own share."""
        is_own = not bool(torch.isfinite(own).all())
        found = find_culprits(self.objective, batch) if is_own else []
        culprits, everyone = (
            [name for share in gathered(names, self.world) for name in share]
            for names in (found, list(batch.sample_ids))
        )
        raise NotFinite.of(self.step + 1, bad, culprits, everyone)

    def _lr(self, step: int) -> float:
        return learning_rate(self.plan.config.optimiser, step, self.plan.config.steps)

    def _is_due(self, interval: int) -> bool:
        return self.step % interval == 0 or self.step == self.plan.config.steps

    def _averaged(self) -> EhmRegressor:
        """A network with the averaged weights."""
        network = EhmRegressor(self.network.config).to(self.world.device)
        network.load_state_dict(self.network.state_dict())
        self.trained.average.copy_to(network, NETWORK)
        return network.eval()

    def _evaluate(self, records: Records | None) -> None:
        if not self.people.has_validation:
            return
        started = time.perf_counter()
        ruler = Ruler(self.plan.assets, self.plan.config.network, self.world.device)
        found = evaluate(self._averaged(), self.people.validation_batches(), ruler, self.world)
        if records is not None:
            write_bytes(self.plan.folder.held_out, found.parquet())
            figures = found.figures
            row = {"step": self.step, **figures}
            records.evaluations.append(row)
            draw_row(records.board, "held_out", row)
            said = ", ".join(
                f"{name} {figures[name]:.1f} (mean pose {figures[f'{MEAN_POSE}{name}']:.1f})"
                for name in MEASURES
                if figures[name] is not None
            )
            _say(self.world, f"held out: {said} [{time.perf_counter() - started:.0f} s]")

    def _draw(self) -> None:
        batch = self.people.pictured(PICTURED_PEOPLE)
        if batch is not None:
            sheet = overlay_sheet(self._averaged(), batch, full_body(self.plan.config.body_model))
            write_bytes(self.plan.folder.picture(self.step), sheet)

    def _save(self) -> None:
        save_state(
            self.plan.folder.checkpoints,
            self.trained,
            step=self.step,
            run_hash=self.plan.run_hash,
            meter=self.meter,
            broken=self.people.broken.sentences,
            keep=self.plan.config.every.keep,
        )

    def _metrics(self, records: Records) -> dict[str, float | int]:
        """The last loss that was logged and the last held-out errors."""
        last = {name: value for name, value in (records.evaluations.rows or [{}])[-1].items() if value is not None}
        losses = {"loss": records.curve.rows[-1]["loss"]} if records.curve.rows else {}
        return {**losses, **last, "step": self.step}

    def _network_file(self, metrics: Mapping[str, float | int]) -> bytes:
        """The averaged network with what has to be known about it."""
        validation = [people.selection.snapshot_hash for people in self.plan.validation]
        meta = CheckpointMeta(
            config=self.plan.config.network,
            step=self.step,
            snapshot_hashes=self.plan.snapshot_hashes,
            body_model=dict(self.plan.body_model),
            training=self.plan.config.deciding() | {"validation_snapshots": validation},
            metrics=dict(metrics),
            code_version=code_version(),
        )
        return save_regressor(self._averaged(), meta)

    def _finish(self, records: Records) -> None:
        config, folder = self.plan.config, self.plan.folder
        metrics = self._metrics(records)
        write_bytes(folder.final, self._network_file(metrics))
        folder.newest.unlink(missing_ok=True)
        summary = {
            "run_hash": self.plan.run_hash,
            "steps": self.step,
            "metrics": metrics,
            "replaced_people": sorted(self.people.broken.sentences),
            "config": to_plain(config),
        }
        write_text(folder.summary, canonical_json(summary) + "\n")
        folder.failure.unlink(missing_ok=True)
        if records.board is not None:
            records.board.close()
        _say(self.world, f"finished: {folder.final}")


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Different for every step and process; torch takes 64 bits."""
    return (seed * 1_000_003 + step) * 4096 + rank


def _say(world: World, line: str) -> None:
    if world.is_first:
        log.info("%s", line)


def train(plan: TrainingPlan, world: World, people: TrainingPeople) -> None:
    """Trains to the end, from the beginning or from where the run stopped; see ``Trainer``.

    Raises:
        ValueError: A state does not fit, or NotFinite.
    """
    Trainer.start(plan, world, people).run()


__all__ = ["NotFinite", "Trainer", "train"]

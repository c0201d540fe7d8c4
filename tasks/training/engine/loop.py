"""The training itself: one step after the other, and what happens in between.

Nothing here remembers anything random: weights are drawn from the seed, a sample from the seed and its position, what a
module draws in a step from the seed and the step. So a state of weights, average and moments is all that an exact
resume needs.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from datasets_manifest.canonical import canonical_json
from datasets_manifest.files import write_bytes, write_text
from model.batches import map_tensors
from tasks.training.engine.broken_rows import BrokenRows
from tasks.training.engine.checkpoints import Trained, load_newest, save_state
from tasks.training.engine.config import EngineConfig
from tasks.training.engine.curves import Meter, named_values, non_finite, write_row
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.ema import WeightAverage
from tasks.training.engine.experiment import Batch, Experiment
from tasks.training.engine.loader import build_loader, each_row_once
from tasks.training.engine.not_finite import NotFinite, find_culprits
from tasks.training.engine.optimiser import build_optimiser, learning_rate, set_learning_rate
from tasks.training.engine.records import Clock, Records

log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Trainer:
    """One process of a training."""

    experiment: Experiment
    """What to do."""
    group: ProcessGroup
    """This process among all."""
    objective: nn.Module
    """Batch in, loss out."""
    trained: Trained
    """What the training changes."""
    broken: BrokenRows
    """Rows to learn from that cannot be used, as far as this process knows."""
    broken_validation: BrokenRows | None
    """Likewise of those to evaluate on."""
    step: int = 0
    """Steps that are done."""
    meter: Meter
    """Means since the last row of the curve."""

    @classmethod
    def start(cls, experiment: Experiment, group: ProcessGroup) -> Trainer:
        """Builds the first weights and goes on from the newest state of the run, if there is one.

        Raises:
            ValueError: The state is damaged or of another run, or what the first weights are made of does not fit.
        """
        config = experiment.config
        torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = config.precision == "tf32"  # PyTorch's own default is True
        training, validation = experiment.training, experiment.validation
        objective = experiment.objective().to(group.device)
        optimiser = build_optimiser(objective, config.optimiser)  # before the average: it freezes what is not trained
        trained = Trained(module=objective, average=WeightAverage(objective, config.ema_decay), optimiser=optimiser)
        step, meter, names = load_newest(experiment.folder.checkpoints, trained, experiment.run_hash)
        broken = BrokenRows(len(training), training.max_broken_share)
        broken.resume(names)
        spoilt = None if validation is None else BrokenRows(len(validation), validation.max_broken_share)
        return cls(
            experiment=experiment,
            group=group,
            objective=objective,
            trained=trained,
            broken=broken,
            broken_validation=spoilt,
            step=step,
            meter=meter,
        )

    @property
    def config(self) -> EngineConfig:
        """The settings of the loop."""
        return self.experiment.config

    def run(self) -> None:
        """All steps that are left.

        Raises:
            NotFinite: Nothing of that step has changed a weight; the states on disk are from before it.
            TrainingDataError: A row cannot be used, or more of them than allowed.
        """
        config, folder, first = self.config, self.experiment.folder, self.step
        records = Records.open(folder, first) if self.group.is_first else None
        self.objective.train()
        whole = self._distributed()
        if first:
            self._say(f"goes on after step {first}")
        elif self.experiment.begins_trained:
            self._evaluate(records)
        clock = Clock(first_step=first, num_steps=config.steps)
        for batch in self._batches():
            if self.step >= config.steps:
                break
            placed = map_tensors(batch, lambda tensor: tensor.to(self.group.device, non_blocking=True))
            self.meter.add(self._one_step(whole, placed))
            if self._is_due(config.every.log) or self._is_due(config.every.checkpoint):
                self._count_broken()
            if self._is_due(config.every.log):
                row = {"step": self.step, "lr": self._lr(self.step - 1), **self.meter.take()}
                if records is not None:
                    records.curve.append(row)
                    write_row(records.writer, "train", row)
                    self._say(clock.line(self.step, row, config.global_batch))
            if self._is_due(config.every.evaluate):
                self._evaluate(records)
                if records is not None:
                    write_bytes(folder.newest, self._export(records))
            if self._is_due(config.every.pictures) and records is not None:
                self._draw()
            if self._is_due(config.every.checkpoint) and self.group.is_first:
                self._save()
        if self.step < config.steps:
            raise RuntimeError(f"the batches ended after step {self.step} of {config.steps}")
        if records is not None:
            self._finish(records)

    def _distributed(self) -> nn.Module:
        """The objective, with gradients that are means over all processes."""
        if self.group.world_size == 1:
            return self.objective
        # No buffer ever changes, so there is nothing to keep equal.
        buffers = [name for name, _ in self.objective.named_buffers()]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self.objective, buffers)
        # A weight without a gradient in this step must not be waited for.
        some_unused = not self.experiment.reaches_every_weight
        return DistributedDataParallel(self.objective, find_unused_parameters=some_unused)

    def _batches(self) -> Iterator[Batch]:
        """This process' batches of the steps that are left, on the CPU."""
        run = self.config.run
        loader = build_loader(
            self.experiment.training,
            first_step=self.step,
            num_steps=max(0, self.config.steps - self.step),
            batch_size=run.batch_size,
            rank=self.group.rank,
            world_size=self.group.world_size,
            num_workers=run.loader_workers,
            pin_memory=self.group.device.type == "cuda",
            broken=self.broken,
        )
        return iter(loader)

    def _one_step(self, whole: nn.Module, batch: Batch) -> dict[str, float]:
        """Forward, backward and one update; the values are means over all processes."""
        config = self.config
        torch.manual_seed(_step_seed(config.seed, self.step, self.group.rank))
        optimiser = self.trained.optimiser
        set_learning_rate(optimiser, self._lr(self.step))
        optimiser.zero_grad(set_to_none=True)
        loss, terms = whole(batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.objective.parameters(), config.optimiser.clip_norm or math.inf)
        own = torch.stack([loss.detach(), *terms.values()]).double()
        shared = self.group.all_reduce(own) / self.group.world_size
        # The only wait for the device in a step: nothing that is not finite may reach the weights.
        values = named_values(["loss", *terms, "grad_norm"], torch.cat([shared, norm.detach().double()[None]]))
        if bad := non_finite(values):
            self._stop(batch, bad, own)
        optimiser.step()
        self.step += 1
        self.trained.average.update(self.objective, self.step)
        return values

    def _count_broken(self) -> None:
        """Tells all processes which rows each could not use, so that the share that is allowed is one of all rows."""
        if self.broken.max_rows:
            for news in self.group.all_gather(self.broken.news()):
                self.broken.take(news)
            self.broken.check()

    def _stop(self, batch: Batch, bad: list[str], own: Tensor) -> None:
        """Raises NotFinite, on all processes with the same sentence: each looks for the culprits of its own share."""
        is_own = not bool(torch.isfinite(own).all())
        found = find_culprits(self.objective, batch) if is_own else []
        culprits, everyone = (
            [name for share in self.group.all_gather(names) for name in share]
            for names in (found, list(batch.sample_ids))
        )
        raise NotFinite.of(self.step + 1, bad, culprits, everyone)

    def _lr(self, step: int) -> float:
        return learning_rate(self.config.optimiser, step, self.config.steps)

    def _is_due(self, interval: int) -> bool:
        return self.step % interval == 0 or self.step == self.config.steps

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[nn.Module]:
        """The objective with the averaged weights, in evaluation mode and without gradients."""
        with torch.no_grad(), self.trained.average.applied_to(self.objective):
            yield self.objective.eval()
        self.objective.train()

    def _evaluate(self, records: Records | None) -> None:
        validation, folder = self.experiment.validation, self.experiment.folder
        if validation is None or self.broken_validation is None:
            return
        started = time.perf_counter()
        batches = each_row_once(validation, self.group, self.config.run.loader_workers, self.broken_validation)
        with self._averaged() as objective:
            found = self.experiment.evaluate(objective, batches, self.group)
        if records is not None:
            write_bytes(folder.held_out, found.parquet())
            row = {"step": self.step, **found.figures}
            records.evaluations.append(row)
            write_row(records.writer, "held_out", row)
            self._say(f"held out: {found.sentence} [{time.perf_counter() - started:.0f} s]")

    def _draw(self) -> None:
        with self._averaged() as objective:
            picture = self.experiment.draw(objective)
        if picture is not None:
            write_bytes(self.experiment.folder.picture(self.step), picture)

    def _save(self) -> None:
        save_state(
            self.experiment.folder.checkpoints,
            self.trained,
            step=self.step,
            run_hash=self.experiment.run_hash,
            meter=self.meter,
            broken=self.broken.sentences,
            keep=self.config.every.keep,
        )

    def _metrics(self, records: Records) -> dict[str, Any]:
        """The last loss that was logged and the last held-out figures."""
        last = {name: value for name, value in (records.evaluations.rows or [{}])[-1].items() if value is not None}
        losses = {"loss": records.curve.rows[-1]["loss"]} if records.curve.rows else {}
        return {**losses, **last, "step": self.step}

    def _export(self, records: Records) -> bytes:
        """The averaged network with what has to be known about it."""
        with self._averaged() as objective:
            return self.experiment.export(objective, self.step, self._metrics(records))

    def _finish(self, records: Records) -> None:
        folder = self.experiment.folder
        write_bytes(folder.final, self._export(records))
        folder.newest.unlink(missing_ok=True)
        summary = {
            "run_hash": self.experiment.run_hash,
            "steps": self.step,
            "metrics": self._metrics(records),
            "replaced_people": sorted(self.broken.sentences),
            "config": self.experiment.settings,
        }
        write_text(folder.summary, canonical_json(summary) + "\n")
        folder.failure.unlink(missing_ok=True)
        if records.writer is not None:
            records.writer.close()
        self._say(f"finished: {folder.final}")

    def _say(self, line: str) -> None:
        if self.group.is_first:
            log.info("%s", line)


def _step_seed(seed: int, step: int, rank: int) -> int:
    """Different for every step and process; torch takes 64 bits."""
    return (seed * 1_000_003 + step) * 4096 + rank

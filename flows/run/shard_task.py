"""A whole shard as one piece of work: what a worker does with it, wherever it runs.

The worker loads what it needs once, keeps the photos of the shard decoded from step to step, and waits for nobody: a
step whose input is not there is not run. Only small summaries go back.
"""

from __future__ import annotations

import socket
from contextlib import nullcontext
from dataclasses import replace

import cv2
import torch

from datasets_manifest.files import WriteError
from flows.run.mistakes import MISTAKES
from flows.run.runners import Summaries, next_try, with_retries
from model.estimators.base import PARTS
from tasks.annotate.run.claims import claims_of
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.order import READS, STEP_FUNCTIONS
from tasks.annotate.steps.step import record_failure, run_step
from tasks.annotate.summary import ShardSummary
from tasks.estimators import Slot, borrowed, slots_of


class NotPrepared(ValueError):
    """A worker cannot do any shard: a network cannot be loaded there, or the files of the run are not there."""


def annotate_shard(job: ShardJob, slot: Slot | None = None) -> Summaries:
    """Does every step of a shard that is not done, while nobody else does; what fails is in the summaries.

    Args:
        job: The shard.
        slot: Gives what is to be held while a network computes on a GPU; None: nothing.

    Raises:
        NotPrepared: Nothing was begun; other shards would fare alike.
        WriteError: The disk is full or failed.
    """
    with claims_of(job.workspace).held(job.shard.name, wait=True):
        return annotate_claimed(job, slot)


def annotate_claimed(job: ShardJob, slot: Slot | None = None) -> Summaries:
    """``annotate_shard`` for one who holds the shard."""
    _prepare(job)
    return steps_of_shard(job, slot)


def steps_of_shard(job: ShardJob, slot: Slot | None = None) -> Summaries:
    """``annotate_claimed`` in a process that has what it needs."""
    found: dict[str, ShardSummary] = {}
    with slots_of(slot) if slot is not None else nullcontext():
        for step in STEP_FUNCTIONS:
            culprit = next((read for read in READS[step] if found[read].state == "failed"), None)
            found[step] = _do(step, job) if culprit is None else not_run(step, job, culprit)
    return tuple(found.values())


def _do(step: str, job: ShardJob) -> ShardSummary:
    tries: list[str] = []
    try:
        summary = with_retries(
            lambda: run_step(step, job, STEP_FUNCTIONS[step]),
            job.config.run.retries,
            lambda error, wait: tries.append(next_try(error, wait)),
        )
    except Exception as error:
        if isinstance(error, WriteError) and error.is_of_disk:
            raise
        summary = ShardSummary(step=step, shard=job.shard, state="failed", message=str(error))
    return replace(summary, tries=tuple(tries))


def not_run(step: str, job: ShardJob, culprit: str) -> ShardSummary:
    """The summary of a step whose input another failed to make."""
    message = f"not run, because {culprit}/{job.shard.name} failed"
    return ShardSummary(step=step, shard=job.shard, state="failed", message=message)


def _prepare(job: ShardJob) -> None:
    """Loads the networks of all parts, unless this process has them."""
    # A sum that is split among threads can have other last bits; work is spread by shards.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if not job.workspace.record_path(job.shard.group).is_file():
        raise NotPrepared(
            f"a worker does not see {job.workspace.work}; the folders of the run must be on a disk that all of its "
            "workers share, at the same path"
        )
    try:
        load_estimators(job.config)
    except WriteError:
        raise
    except MISTAKES as error:
        raise NotPrepared(str(error)) from error
    except Exception as error:  # A GPU that is broken, say; tried with every shard, it would take them from the others.
        said = " ".join(str(error).split()) or "no reason is given"
        raise NotPrepared(
            f"the networks cannot be loaded on {socket.gethostname()} ({type(error).__name__}: {said}); mend or leave "
            "out this machine"
        ) from error


def load_estimators(config: AnnotateConfig) -> None:
    """Loads the networks of all parts, unless this process has them; raises what their backends raise."""
    for part in PARTS:
        with borrowed(part, getattr(config, part)):
            pass


def lost_shard(job: ShardJob, error: Exception) -> Summaries:
    """How the steps of a shard ended whose worker ended without an answer: the first that has no file has failed."""
    found: dict[str, ShardSummary] = {}
    culprit: str | None = None
    for step in STEP_FUNCTIONS:
        if culprit is not None:
            found[step] = not_run(step, job, culprit)
        elif job.done(step) is not None:
            found[step] = ShardSummary(step=step, shard=job.shard, state="skipped")
        else:
            culprit = step
            record_failure(job.workspace, step, job.shard, error)
            found[step] = ShardSummary(step=step, shard=job.shard, state="failed", message=str(error))
    return tuple(found.values())

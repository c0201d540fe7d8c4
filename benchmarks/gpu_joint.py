"""Fits of several cameras and of clips, each beside `refine` of the same rows one by one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.clip_people import ClipPeople, make_clips, make_view_clips
from benchmarks.gpu_part import Job, Settings
from benchmarks.measure import peak_growth_bytes, timed
from benchmarks.rig_people import RigPeople, make_rig_people
from benchmarks.table import METHOD, Column, Row, number
from fitting.clips.refine import refine_clips
from fitting.clips.views import refine_view_clips
from fitting.refine import refine
from fitting.rigs.refine import refine_views
from fitting.settings import RefineConfig
from fitting.sparse_body import SparseBody
from model.batches import map_tensors, take_rows
from model.body.assets import load_open_body

VIEWS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """People, and the fit of all that shows one of them."""

    name: str
    """Of the row."""
    fit: Callable[[SparseBody, Any, RefineConfig], Tensor]
    """All views of a moment, or all frames of a clip, together; says which rows (R,) were."""
    moments: int
    """A person at one time each."""
    draw: Callable[[SparseBody], RigPeople | ClipPeople]
    """Makes them, on a CPU."""
    few: int
    """So many of the first rows warm up."""


def joint(settings: Settings) -> Iterator[Job]:
    """Cameras, cameras and frames, frames."""
    drawn_with = SparseBody.from_assets(load_open_body())
    body = drawn_with.to(settings.device)
    # A GPU wants many people at once; a CPU gains nothing.
    config = RefineConfig(batch_size=4096) if settings.is_cuda else RefineConfig()
    for case in _cases(settings):

        def run(case: Case = case) -> list[Row]:
            people = map_tensors(case.draw(drawn_with), lambda value: value.to(settings.device))
            row: Row = {"method": case.name, "moments": case.moments}
            for name, fit in (("joint", case.fit), ("alone", _alone)):
                if not settings.is_quick:  # Libraries are brought when first called.
                    fit(body, take_rows(people, torch.arange(case.few, device=settings.device)), config)
                joined, seconds, memory = _measured(functools.partial(fit, body, people, config), settings)
                row |= {f"{name}_seconds": seconds / case.moments, f"{name}_memory": memory}
                row.setdefault("joined", float(joined.double().mean()))
            return [row | {"ratio": row["joint_seconds"] / row["alone_seconds"]}]

        yield case.name, run


def _cases(settings: Settings) -> Iterator[Case]:
    """The least first: what comes late may find no time."""
    for count in settings.pick((64, 1024), (1,)):
        yield Case(
            name=f"{VIEWS} views",
            fit=_by_views,
            moments=count,
            draw=lambda body, count=count: make_rig_people(body, count, VIEWS),
            few=VIEWS,
        )
    frames = settings.pick(40, 2)
    yield Case(
        name=f"{VIEWS} views of {frames} frames",
        fit=_by_view_clips,
        moments=frames,
        draw=lambda body: make_view_clips(body, 1, frames, VIEWS)[0],
        few=2 * VIEWS,
    )
    length = settings.pick(64, 3)
    for count in settings.pick((4, 32), (1,)):
        yield Case(
            name=f"{count} clips of {length} frames",
            fit=_by_clips,
            moments=count * length,
            draw=lambda body, count=count: make_clips(body, count, length),
            few=4,
        )


def _by_views(body: SparseBody, people: RigPeople, config: RefineConfig) -> Tensor:
    return refine_views(body, people.observations, people.coarse, people.camera, people.rig, config).joined


def _by_view_clips(body: SparseBody, people: RigPeople, config: RefineConfig) -> Tensor:
    assert people.rig.camera_index is not None
    clip = people.rig.camera_index // VIEWS  # Every clip has a ring of its own.
    return refine_view_clips(body, people.observations, people.coarse, people.camera, people.rig, clip, config).joined


def _by_clips(body: SparseBody, people: ClipPeople, config: RefineConfig) -> Tensor:
    return refine_clips(body, people.observations, people.coarse, people.camera, people.clips, config).joined


def _alone(body: SparseBody, people: RigPeople | ClipPeople, config: RefineConfig) -> Tensor:
    found = refine(body, people.observations, people.coarse, people.camera, config)
    return torch.zeros_like(found.status, dtype=torch.bool)


def _measured(call: Callable[[], Tensor], settings: Settings) -> tuple[Tensor, float, int | None]:
    """What a call returns, its seconds, and on CUDA the bytes that it takes."""
    found: list[Tensor] = []

    def keep() -> None:
        found.append(call())

    if not settings.is_cuda:
        _, seconds = timed(keep, settings.device)
        return found[0], seconds, None
    memory, seconds = timed(lambda: peak_growth_bytes(keep, settings.device), settings.device)
    return found[0], seconds, memory


JOINT = (
    METHOD,
    Column(title="people or frames", text=number("moments", "{:d}", 1)),
    Column(title="fitted together %", text=number("joined", "{:.0f}", 100)),
    Column(title="ms each", text=number("joint_seconds", "{:.2f}", 1e3)),
    Column(title="ms each, rows alone", text=number("alone_seconds", "{:.2f}", 1e3)),
    Column(title="x rows alone", text=number("ratio", "{:.2f}")),
    Column(title="memory MB", text=number("joint_memory", "{:.0f}", 1e-6)),
    Column(title="memory MB, rows alone", text=number("alone_memory", "{:.0f}", 1e-6)),
)
"""Time and memory; rows alone are all photos of them, each refined by itself."""

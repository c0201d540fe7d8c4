"""Memory of whole programs that fit one long clip: each length in a process of its own."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from benchmarks.cases import Bench, mean
from benchmarks.clip_people import make_clips, make_view_clips
from benchmarks.measure import timed
from benchmarks.process_memory import peak_bytes
from benchmarks.table import Column, Row
from benchmarks.view_methods import CPU
from fitting.clips.refine import refine_clips
from fitting.clips.views import refine_view_clips
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body

LENGTHS = (1, 64, 256)
VIEW_LENGTHS = (64,)
NUM_VIEWS = 4
COLUMNS = (
    Column(title="cameras", text=mean("cameras", "{:.0f}")),
    Column(title="frames", text=mean("frames", "{:.0f}")),
    Column(title="peak of the program MB", text=mean("peak", "{:.0f}")),
    Column(title="ms a frame", text=mean("ms", "{:.1f}")),
)


def peak_and_time(frames: int, num_views: int, seed: int) -> tuple[float, float]:
    """Memory of this program, which draws and fits a clip, in MB, and processor time of the fit in seconds."""
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    if num_views == 1:
        people = make_clips(body, 1, frames, seed=seed)
        given = people.observations, people.coarse, people.camera, people.clips
        seconds = timed(lambda: refine_clips(body, *given), CPU)[1]
    else:
        views, clip = make_view_clips(body, 1, frames, num_views, seed=seed)
        given = views.observations, views.coarse, views.camera, views.rig, clip
        seconds = timed(lambda: refine_view_clips(body, *given), CPU)[1]
    return peak_bytes() / 2**20, seconds


def memory_cases(bench: Bench) -> list[Row]:
    """Longer and longer clips of one camera, and of several."""
    rows = []
    for num_views, lengths in ((1, LENGTHS), (NUM_VIEWS, VIEW_LENGTHS)):
        for frames in lengths:
            # Not forked: a fork has the memory of the program that it leaves.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                peak, seconds = fresh.submit(peak_and_time, frames, num_views, bench.seed).result()
            row = {"cameras": num_views, "frames": frames, "peak": peak, "ms": 1e3 * seconds / frames}
            rows.append({"method": ""} | {name: np.full(1, value) for name, value in row.items()})
    return rows


CASES = {"memory": (memory_cases, COLUMNS)}

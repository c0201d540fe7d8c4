"""Memory of whole programs that fit one long clip: each length in a process of its own."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from benchmarks.cases import Bench, mean
from benchmarks.clip_people import make_clips, make_view_clips
from benchmarks.process_memory import peak_bytes
from benchmarks.table import Column, Row
from fitting.clips.refine import refine_clips
from fitting.clips.views import refine_view_clips
from fitting.sparse_body import SparseBody
from model.body.assets import load_open_body

LENGTHS = (1, 64, 256, 1024)
VIEW_LENGTHS = (64, 256)
NUM_VIEWS = 4
COLUMNS = (
    Column(title="clip", text=lambda row: str(row["method"])),
    Column(title="peak of the program MB", text=mean("peak", "{:.0f}")),
)


def peak_mb(frames: int, num_views: int, seed: int) -> float:
    """Of this program, which draws and fits a clip."""
    torch.set_num_threads(1)
    body = SparseBody.from_assets(load_open_body())
    if num_views == 1:
        people = make_clips(body, 1, frames, seed=seed)
        refine_clips(body, people.observations, people.coarse, people.camera, people.clips)
    else:
        views, clip = make_view_clips(body, 1, frames, num_views, seed=seed)
        refine_view_clips(body, views.observations, views.coarse, views.camera, views.rig, clip)
    return peak_bytes() / 2**20


def memory_cases(bench: Bench) -> list[Row]:
    """Longer and longer clips of one camera, and of several."""
    rows = []
    for num_views, lengths in ((1, LENGTHS), (NUM_VIEWS, VIEW_LENGTHS)):
        for frames in lengths:
            # Not forked: a fork has the memory of the program that it leaves.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                peak = fresh.submit(peak_mb, frames, num_views, bench.seed).result()
            cameras = "1 camera" if num_views == 1 else f"{num_views} cameras"
            rows.append({"method": f"{cameras}, {frames} frames", "peak": np.full(1, peak)})
    return rows


CASES = {"memory": (memory_cases, COLUMNS)}

"""What is done to finished fits of frames where they are not fitted together: smoothing, and interpolation in gaps."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from scipy.signal import savgol_coeffs
from torch import Tensor

from benchmarks.trial import state_of_parameters
from fitting.clips.gaps import bridged
from fitting.clips.smoothing import Smoother
from fitting.result import parameters_of
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import cat_rows, take_rows
from tasks.predict.settings import SmoothingConfig
from tasks.synthetic.paths import RATE_HZ


def savgol(frames: int, window: int) -> Smoother:
    """A Savitzky-Golay filter of the second order; at the ends the parabola of the first or last whole window."""
    first = (torch.arange(frames) - window // 2).clamp(0, frames - window)
    places = (torch.arange(frames) - first).tolist()
    weights = [torch.from_numpy(savgol_coeffs(window, 2, pos=place, use="dot")) for place in places]
    return Smoother(index=first[:, None] + torch.arange(window), weight=torch.stack(weights))


def gaussian(frames: int, sigma: float) -> Smoother:
    """A mean with the weights of a normal distribution, whose sigma is given in frames."""
    every = torch.arange(frames, dtype=torch.float64)
    weight = torch.exp(-0.5 * ((every - every[:, None]) / sigma) ** 2)
    return Smoother(index=torch.arange(frames).expand(frames, frames), weight=weight / weight.sum(1, keepdim=True))


def filters(frames: int, windows: Sequence[int]) -> dict[str, Smoother]:
    """Filters for frames at `RATE_HZ` by name, that of `pear predict --smooth` the last."""
    found = {f"window of {size}": savgol(frames, size) for size in windows}
    found |= {f"Gaussian of {sigma} frames": gaussian(frames, sigma) for sigma in (2, 4)}
    return found | {"`--smooth`": Smoother.over(torch.arange(frames) / RATE_HZ, SmoothingConfig().reach_s)}


def smoothed(body: SparseBody, state: State, smoother: Smoother, frames: int) -> State:
    """A filter over finished fits, clip by clip."""
    clips = [take_rows(state, rows) for rows in torch.arange(len(state.position)).split(frames)]
    people = [smoother.people(parameters_of(body, clip)) for clip in clips]
    return cat_rows([state_of_parameters(body, own, clip) for own, clip in zip(people, clips, strict=True)])


def with_one_shape(body: SparseBody, state: State, frames: int) -> State:
    """Shape and size of the head of every clip: the median of its frames."""
    coefficients, scale = (
        value.unflatten(0, (-1, frames)).median(1, keepdim=True).values.expand(-1, frames, -1).flatten(0, 1)
        for value in (state.coefficients, state.log_head_scale)
    )
    start, expressions = body.num_groups[:2]
    expression = slice(start, start + expressions)
    coefficients = coefficients.clone()
    coefficients[:, expression] = state.coefficients[:, expression]
    state = replace(state, coefficients=coefficients, log_head_scale=scale)
    return replace(state, contour_bin=body.contour_bin(state))


def interpolated(state: State, seen: Tensor, frames: int) -> State:
    """Rows that are not seen (R,) from those around them, clip by clip."""
    time = torch.arange(frames, dtype=torch.float64)
    clips = torch.arange(len(seen)).split(frames)
    return cat_rows([bridged(take_rows(state, rows), seen[rows], time) for rows in clips])

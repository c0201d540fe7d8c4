"""What is done to finished fits of frames where they are not fitted together: smoothing, and interpolation in gaps."""

from dataclasses import replace

import roma
import torch
from scipy.signal import savgol_coeffs, savgol_filter
from torch import Tensor

from fitting.clips.gaps import bridged
from fitting.clips.motion import local_rotations
from fitting.sparse_body import SparseBody
from fitting.unknowns import State
from model.batches import cat_rows, take_rows


def smoothed(body: SparseBody, state: State, window: int, frames: int) -> State:
    """A Savitzky-Golay filter of the second order over finished fits, clip by clip."""
    taps = torch.from_numpy(savgol_coeffs(window, 2))
    half = window // 2
    rotation = local_rotations(state).double().unflatten(0, (-1, frames))
    padded = torch.cat([rotation[:, 1 : half + 1].flip(1), rotation, rotation[:, -half - 1 : -1].flip(1)], 1)
    mean = (padded.unfold(1, window, 1) * taps).sum(-1)
    turned = roma.special_procrustes(mean)
    assert isinstance(turned, Tensor)
    turned = turned.flatten(0, 1).to(state.dtype)

    def even(value: Tensor) -> Tensor:
        by_clip = value.double().unflatten(0, (-1, frames)).numpy()
        return torch.from_numpy(savgol_filter(by_clip, window, 2, axis=1)).flatten(0, 1).to(value)

    state = replace(
        state,
        global_orient=turned[:, 0],
        body_pose=turned[:, 1:-1],
        jaw_pose=turned[:, -1],
        hand_pca=even(state.hand_pca),
        position=even(state.position),
        coefficients=even(state.coefficients),
    )
    return replace(state, contour_bin=body.contour_bin(state))


def interpolated(state: State, seen: Tensor, frames: int) -> State:
    """Rows that are not seen (R,) from those around them, clip by clip."""
    time = torch.arange(frames, dtype=torch.float64)
    clips = torch.arange(len(seen)).split(frames)
    return cat_rows([bridged(take_rows(state, rows), seen[rows], time) for rows in clips])

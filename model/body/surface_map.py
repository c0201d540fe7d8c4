"""Which points of the SMPL surface the vertices of SMPL-X are. The two meshes share their topology up to the neck.

Shapes: N matched SMPL-X vertices, K SMPL vertices around each. In the open body every matched vertex is one SMPL vertex
(K = 1); for the licensed bodies the publisher's transfer matrix gives barycentric coordinates.
"""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.files import whole_file
from datasets_manifest.numpy_files import DAMAGED
from model.body.assets import BodyAssets
from model.body.open_body.load import load_arrays

MAX_SUM_ERROR = 0.01
"""A row of the transfer matrix whose weights miss 1 by more than this is no point of the SMPL surface."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceMap:
    """SMPL-X vertex `smplx_ids[n]` lies at sum_k smpl_weights[n, k] * SMPL vertex `smpl_ids[n, k]`."""

    smplx_ids: NDArray[np.int64]
    """(N,) the SMPL-X vertices that have a counterpart, each once."""
    smpl_ids: NDArray[np.int64]
    """(N, K) SMPL vertices around each."""
    smpl_weights: NDArray[np.float32]
    """(N, K) their weights; rows sum to 1, unused places hold vertex 0 with weight 0."""

    def __post_init__(self) -> None:
        num = len(self.smplx_ids)
        if self.smplx_ids.ndim != 1 or self.smpl_ids.ndim != 2 or self.smpl_ids.shape != self.smpl_weights.shape:
            raise ValueError(
                f"A surface map needs ids (N,), (N, K) and weights (N, K); got {self.smplx_ids.shape}, "
                f"{self.smpl_ids.shape} and {self.smpl_weights.shape}."
            )
        if num == 0 or len(self.smpl_ids) != num or len(np.unique(self.smplx_ids)) != num:
            raise ValueError(f"A surface map needs each of its SMPL-X vertices once, got {num} of them.")
        if np.abs(self.smpl_weights.sum(1) - 1).max() > MAX_SUM_ERROR:
            raise ValueError("The weights of a surface map must sum to 1 in every row: convert its source again.")

    @property
    def sha256(self) -> str:
        """Hash of the content."""
        arrays = (self.smplx_ids, self.smpl_ids, self.smpl_weights)
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

    def check(self, smpl: BodyAssets, smplx: BodyAssets) -> None:
        """Raises ValueError where the map names a vertex that one of the bodies does not have."""
        for ids, body in ((self.smplx_ids, smplx), (self.smpl_ids, smpl)):
            if ids.min() < 0 or ids.max() >= body.num_vertices:
                raise ValueError(
                    f"The surface map names vertex {ids.max()}, {body.name} has {body.num_vertices}: "
                    "convert the transfer files that belong to these models."
                )


def surface_map_of_matrix(matrix: NDArray, used_ids: NDArray | None = None) -> SurfaceMap:
    """A dense matrix from SMPL vertices to SMPL-X vertices -> map.

    Args:
        matrix: (V_smplx, V_smpl), the first half of the columns of `mtx` in smpl2smplx_deftrafo_setup.pkl.
        used_ids: SMPL-X vertices whose counterpart is to be trusted (smplx_mask_ids.npy); None takes every row that is
            a weighted mean of SMPL vertices.
    """
    rows, columns = np.nonzero(matrix)
    values = matrix[rows, columns].astype(np.float64)
    sums = np.bincount(rows, values, minlength=len(matrix))
    is_used = np.abs(sums - 1) <= MAX_SUM_ERROR
    if used_ids is not None:
        is_used &= np.isin(np.arange(len(matrix)), used_ids)
    smplx_ids = np.flatnonzero(is_used)
    if len(smplx_ids) == 0:
        raise ValueError("No row of the transfer matrix is a weighted mean of SMPL vertices.")
    counts = np.bincount(rows, minlength=len(matrix))
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(matrix), counts[smplx_ids].max())
    smpl_ids, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    kept = is_used[rows]
    rows, columns, values, places = rows[kept], columns[kept], values[kept], places[kept]
    smpl_ids[rows, places], weights[rows, places] = columns, values / sums[rows]
    return SurfaceMap(smplx_ids=smplx_ids, smpl_ids=smpl_ids[smplx_ids], smpl_weights=weights[smplx_ids])


@functools.lru_cache(maxsize=1)
def load_open_surface_map() -> SurfaceMap:
    """The map of the open body, whose SMPL-like part is some of its vertices (a shared object)."""
    ids = load_arrays()["smpl_vertex_ids"]
    own = np.arange(len(ids))[:, None]
    return SurfaceMap(smplx_ids=ids, smpl_ids=own, smpl_weights=np.ones(own.shape, np.float32))


def save_surface_map(path: Path, surface: SurfaceMap) -> None:
    """Write `surface` to an npz without pickled members."""
    with whole_file(path) as file:
        np.savez_compressed(
            file, smplx_ids=surface.smplx_ids, smpl_ids=surface.smpl_ids, smpl_weights=surface.smpl_weights
        )


def load_surface_map(path: Path) -> SurfaceMap:
    """Read a file of `save_surface_map`."""
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist: make it with `python -m model.body.convert --smpl-to-smplx "
            "smpl2smplx_deftrafo_setup.pkl --smplx-mask smplx_mask_ids.npy --out DIR`."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return SurfaceMap(smplx_ids=file["smplx_ids"], smpl_ids=file["smpl_ids"], smpl_weights=file["smpl_weights"])
    except DAMAGED as error:
        raise ValueError(f"{path} is not a readable surface map ({error}): convert its source again.") from error

"""Where SMPL-X vertices lie on the SMPL surface: from a transfer matrix, through the converter, in the open body."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from model.body.assets import load_open_part
from model.body.convert import main
from model.body.surface_map import (
    SurfaceMap,
    load_open_surface_map,
    load_surface_map,
    save_surface_map,
    surface_map_of_matrix,
)

NUM_SMPLX, NUM_SMPL = 60, 40


def transfer_matrix(seed: int = 0) -> np.ndarray:
    """(60, 40) barycentric rows over three, two or one vertices; row 7 is empty, row 9 no mean."""
    rng = np.random.default_rng(seed)
    matrix = np.zeros((NUM_SMPLX, NUM_SMPL))
    for row in range(NUM_SMPLX):
        corners = rng.choice(NUM_SMPL, 1 + row % 3, replace=False)
        matrix[row, corners] = rng.dirichlet(np.ones(len(corners)))
    matrix[7] = 0
    matrix[9] *= 1.5
    return matrix


def points(surface: SurfaceMap, vertices: np.ndarray) -> np.ndarray:
    return np.einsum("nk,nkc->nc", surface.smpl_weights, vertices[surface.smpl_ids])


def test_points_are_those_of_the_matrix():
    matrix, vertices = transfer_matrix(), np.random.default_rng(1).normal(size=(NUM_SMPL, 3))
    surface = surface_map_of_matrix(matrix)
    assert sorted(set(range(NUM_SMPLX)) - set(surface.smplx_ids.tolist())) == [7, 9]
    assert np.allclose(points(surface, vertices), (matrix @ vertices)[surface.smplx_ids], atol=1e-6)


def test_the_mask_lists_what_is_used():
    surface = surface_map_of_matrix(transfer_matrix(), np.array([50, 3, 7, 20]))
    assert surface.smplx_ids.tolist() == [3, 20, 50]


def test_a_matrix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="weighted mean"):
        surface_map_of_matrix(np.zeros((4, 4)))


@pytest.mark.parametrize(
    ("ids", "smpl_ids", "weights"),
    [
        ([0, 0], [[0], [1]], [[1], [1]]),
        ([0, 1], [[0], [1]], [[1], [0.5]]),
        ([0, 1], [[0]], [[1]]),
        ([0, 1], [[0], [1]], [[1, 0], [1, 0]]),
        ([], np.zeros((0, 1)), np.zeros((0, 1))),
    ],
    ids=["twice", "sum", "rows", "shape", "empty"],
)
def test_contradictions_are_refused(ids, smpl_ids, weights):
    with pytest.raises(ValueError, match="surface map"):
        SurfaceMap(
            smplx_ids=np.array(ids, np.int64),
            smpl_ids=np.array(smpl_ids, np.int64),
            smpl_weights=np.array(weights, np.float32),
        )


def test_files_round_trip_and_broken_ones_are_named(tmp_path: Path):
    path, surface = tmp_path / "smpl_to_smplx.npz", surface_map_of_matrix(transfer_matrix())
    save_surface_map(path, surface)
    assert load_surface_map(path).sha256 == surface.sha256
    assert surface.sha256 != surface_map_of_matrix(transfer_matrix(1)).sha256
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="convert its source again"):
        load_surface_map(path)


@pytest.mark.parametrize("form", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, np.asarray])
def test_the_published_layout_is_converted(tmp_path: Path, form):
    matrix = transfer_matrix()
    normals = np.random.default_rng(2).normal(size=matrix.shape)
    source, mask = tmp_path / "smpl2smplx_deftrafo_setup.pkl", tmp_path / "smplx_mask_ids.npy"
    source.write_bytes(pickle.dumps({"mtx": form(np.hstack([matrix, normals]))}, protocol=2))
    np.save(mask, np.arange(5, 30))
    assert main(["--smpl-to-smplx", str(source), "--smplx-mask", str(mask), "--out", str(tmp_path / "out")]) == 0
    found = load_surface_map(tmp_path / "out/smpl_to_smplx.npz")
    assert found.sha256 == surface_map_of_matrix(matrix, np.arange(5, 30)).sha256


@pytest.mark.parametrize(
    ("content", "mask"),
    [({"other": 1}, np.arange(3)), ({"mtx": np.eye(3)}, np.arange(3)), ({"mtx": np.eye(4)}, np.zeros((2, 2)))],
    ids=["no matrix", "odd columns", "mask"],
)
def test_another_file_is_refused_with_its_name(tmp_path: Path, capsys, content, mask):
    np.save(tmp_path / "mask.npy", mask)
    (tmp_path / "transfer.pkl").write_bytes(pickle.dumps(content, protocol=2))
    options = ["--smpl-to-smplx", str(tmp_path / "transfer.pkl"), "--smplx-mask", str(tmp_path / "mask.npy")]
    assert main([*options, "--out", str(tmp_path / "out")]) == 2
    assert "transfer.pkl" in (text := capsys.readouterr().err) or "mask.npy" in text
    assert not (tmp_path / "out/smpl_to_smplx.npz").exists()


def test_open_trunk_vertices_are_where_the_map_says():
    """The open SMPL-like part rests with other arms and legs, but with the same trunk."""
    smpl, smplx, surface = load_open_part("smpl"), load_open_part("smplx"), load_open_surface_map()
    trunk = smplx.skin_weights[surface.smplx_ids][:, [3, 6, 9]].sum(1) > 0.99
    assert trunk.sum() > 100
    distance = np.linalg.norm(points(surface, smpl.v_template) - smplx.v_template[surface.smplx_ids], axis=1)
    assert distance[trunk].max() < 1e-3 < distance.max()
    surface.check(smpl, smplx)
    with pytest.raises(ValueError, match="names vertex"):
        surface.check(smplx, load_open_part("flame"))

import numpy as np
import pytest

from datasets_manifest.files import file_sha256
from model.body.open_body.archive import (
    pack_masks,
    pack_sparse,
    unpack_masks,
    unpack_sparse,
    write_npz,
)


def test_equal_arrays_give_equal_bytes_in_any_order_at_any_time(tmp_path, monkeypatch):
    arrays = {"b": np.arange(5, dtype=np.float16), "a": np.eye(3)}
    write_npz(tmp_path / "one.npz", arrays)
    monkeypatch.setattr("time.time", lambda: 0.0)
    write_npz(tmp_path / "two.npz", dict(reversed(arrays.items())))
    assert file_sha256(tmp_path / "one.npz") == file_sha256(tmp_path / "two.npz")


def test_written_arrays_are_read_back_by_numpy_without_pickle(tmp_path):
    arrays = {"a": np.arange(6).reshape(2, 3).T, "b": np.array([True, False])}
    write_npz(tmp_path / "x.npz", arrays)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as read:
        assert sorted(read) == ["a", "b"]
        for name, values in arrays.items():
            np.testing.assert_array_equal(read[name], values)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_sparse_rows_come_back_convex(dtype):
    rng = np.random.default_rng(0)
    matrix = rng.random((7, 300)) * (rng.random((7, 300)) < 0.05)
    matrix[:, 0] += 0.1
    matrix /= matrix.sum(1, keepdims=True)
    read = unpack_sparse("m", pack_sparse("m", matrix, smallest=1e-6, dtype=dtype), matrix.shape)
    np.testing.assert_allclose(read, matrix, atol=2e-3 if dtype is np.float16 else 1e-6)
    np.testing.assert_allclose(read.sum(1), 1, atol=1e-6)


def test_masks_round_trip_at_lengths_that_are_not_whole_bytes():
    masks = np.random.default_rng(0).random((3, 21)) < 0.5
    np.testing.assert_array_equal(unpack_masks(pack_masks(masks), 21), masks)

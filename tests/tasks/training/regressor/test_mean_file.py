"""The file of mean parameters: arrays, or one sentence that names the file and the setting."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tasks.training.regressor.mean_file import read_mean_file


def test_arrays_come_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "mean.npz", pose=np.arange(3.0))
    assert read_mean_file(tmp_path / "mean.npz")["pose"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "content",
    [b"pose: 1\n", b"", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00", pickle.dumps({"pose": [1.0]}), bytes(64)],
)
def test_anything_else_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mean.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^mean: .*mean\.npz is no \.npz file of arrays; give ") as refused:
        read_mean_file(path)
    assert "pickle" not in str(refused.value)


def test_one_array_alone_is_no_such_file(tmp_path: Path) -> None:
    np.save(tmp_path / "mean.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"no \.npz file of arrays"):
        read_mean_file(tmp_path / "mean.npy")

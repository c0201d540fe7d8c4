"""What a training of stage 2 needs is looked for before anything is rendered."""

from pathlib import Path

import pytest

from model.renderer.splat import native_library
from tasks.training.photometric.request import prepare
from tasks.training.photometric.settings import load_photometric_config

ROOT = Path(__file__).resolve().parents[4]


def test_without_a_compiler_the_native_rasteriser_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    native_library.library.cache_clear()
    config = load_photometric_config(
        ROOT / "params.photometric-face.yaml",
        {"photometric.rasteriser": "native", "synthetic.folder": str(tmp_path / "people")},
    )
    with pytest.raises(ImportError, match=r"needs a C\+\+ compiler, .* install one, or draw with 'tiles'"):
        prepare(config)
    assert not (tmp_path / "people").exists()

import ctypes
import hashlib
import shutil

import numpy as np
import pytest
import torch
from splat_scenes import NATIVE, arguments, drawn

from model.renderer.splat import native_library
from model.renderer.splat.conventions import EXACT


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache, and a library that is not loaded yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native_library.library.cache_clear()
    yield tmp_path / "cache/pear-pipeline"
    native_library.library.cache_clear()


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that writes its process's number, and counts; the file of its counts."""
    script, calls = tmp_path / "compiler", tmp_path / "calls"
    script.write_text(f'#!/bin/sh\nfor last; do :; done\necho call >> {calls}\necho "library $$" > "$last"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    return calls


@pytest.fixture
def load(monkeypatch):
    """Asks for the library as a new process would; gives the path and the content that would have been loaded."""
    opened = []
    monkeypatch.setattr(ctypes, "CDLL", opened.append)

    def library():
        native_library.library.cache_clear()
        opened.clear()
        native_library.library()
        with open(opened[0], "rb") as file:
            return opened[0], file.read()

    return library


def without_compilers(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


def test_it_is_built_once_and_found_again_without_a_compiler(folder, compiler, load, monkeypatch):
    first = load()
    without_compilers(monkeypatch)
    assert load() == first
    assert compiler.read_text() == "call\n"
    assert [str(path) for path in folder.iterdir()] == [first[0]]
    assert hashlib.sha256(first[1]).hexdigest()[:32] in first[0]


def test_a_file_that_is_not_what_was_built_is_never_loaded(folder, compiler, load, monkeypatch):
    path, content = load()
    foreign = content + b"and more"
    with open(path, "wb") as file:
        file.write(foreign)
    assert load()[1] != foreign
    for built in folder.iterdir():
        built.write_bytes(foreign)
    without_compilers(monkeypatch)
    with pytest.raises(ImportError, match="there is neither"):
        load()


def test_other_flags_are_another_library(folder, compiler, load, monkeypatch):
    first = load()
    monkeypatch.setattr(native_library, "_FLAGS", (*native_library._FLAGS, "-O2"))
    assert load()[0] != first[0]


def test_a_folder_that_others_can_write_to_is_refused(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(ImportError, match=r"other users can write there: run `chmod 700 .*pear-pipeline`"):
        native_library.library()


def test_without_a_compiler_the_sentence_says_what_to_do(folder, monkeypatch):
    without_compilers(monkeypatch)
    with pytest.raises(ImportError, match=r"needs a C\+\+ compiler, .* install one, or draw with 'tiles'"):
        drawn(arguments(1, 3, 3), (8, 8), EXACT, "native")
    assert drawn(arguments(1, 3, 3), (8, 8), EXACT, "tiles").alpha.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo 'native.cpp:1: fatal error: no such header' >&2; exit 1", ".*no such header"), ("exit 7", "exit status 7")],
)
def test_a_compiler_that_fails_is_named_with_what_it_said(folder, tmp_path, monkeypatch, script, said):
    broken = tmp_path / "broken"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(ImportError, match=rf"could not be compiled by .*/broken \({said}\): name another"):
        native_library.library()
    assert not list(folder.iterdir())


def test_a_cache_that_cannot_be_made_and_a_file_that_is_no_library_are_told(folder, compiler, tmp_path, monkeypatch):
    with pytest.raises(ImportError, match=r"could not be built or loaded in .*pear-pipeline .*set XDG_CACHE_HOME"):
        native_library.library()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ImportError, match=r"in .*/file/pear-pipeline \(.*Not a directory.*\): set XDG_CACHE_HOME"):
        native_library.library()


@pytest.mark.parametrize("rasteriser", [NATIVE])
def test_denormal_numbers_stay_what_they_are(rasteriser):
    drawn(arguments(1, 3, 3), (8, 8), EXACT, rasteriser)
    tiny = np.array([1e-40], np.float32)
    assert (tiny * np.float32(0.5))[0] > 0
    assert (torch.from_numpy(tiny) * 0.5).item() > 0

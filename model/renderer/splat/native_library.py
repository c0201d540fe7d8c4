"""The compiled form of native.cpp: built where it is not there yet, and loaded only if it is what was built.

Libraries lie in ``pear-pipeline`` under ``$XDG_CACHE_HOME`` (``~/.cache``), named by two hashes: that of source and
flags, and that of the library itself. A file whose content does not fit its name is not loaded but built anew.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

_SOURCE, _HEADER = Path(__file__).with_name("native.cpp"), Path(__file__).with_name("native_lane.h")
_FLAGS = ("-O3", "-std=c++17", "-fPIC", "-shared", "-pthread", "-Wno-psabi", "-fno-math-errno", "-fno-trapping-math")
"""Not -ffast-math: a library linked with it turns denormal numbers off in the whole process."""
_LEVELS = {"AVX512": "x86-64-v4", "AVX2": "x86-64-v3"}
"""What torch found the processor to have -> the compiler's name of it."""


@functools.cache
def library() -> ctypes.CDLL:
    """The library, built if need be: some seconds, once.

    Raises:
        ImportError: There is no compiler, it failed, or the folder cannot be used or can be written to by others.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pear-pipeline"
    try:
        return ctypes.CDLL(str(_library_in(folder)))
    except OSError as error:
        raise ImportError(
            f"the rasteriser 'native' could not be built or loaded in {folder} ({error}): set XDG_CACHE_HOME to "
            "another folder, or draw with 'tiles'"
        ) from error


def _library_in(folder: Path) -> Path:
    """The library that was built, or is built now, from this source for this processor."""
    _check(folder)
    source = _HEADER.read_bytes() + _SOURCE.read_bytes()
    level = _LEVELS.get(torch.backends.cpu.get_cpu_capability()) if platform.machine() == "x86_64" else None
    flags = (*_FLAGS, f"-march={level}") if level else _FLAGS
    name = f"splat-{_digest(source + repr(flags).encode())}"
    for path in sorted(folder.glob(f"{name}-*.so")):
        if path.stem == f"{name}-{_digest(path.read_bytes())}":
            return path
    return _build(folder, name, flags)


def _check(folder: Path) -> None:
    """Makes sure of the folder: only this user can write there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ImportError(
            f"the rasteriser 'native' loads no library from {folder}, since other users can write there: "
            f"run `chmod 700 {folder}`, set XDG_CACHE_HOME to another folder, or draw with 'tiles'"
        )


def _build(folder: Path, name: str, flags: tuple[str, ...]) -> Path:
    """Compiles the source to a file named by its content."""
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX") or "g++", "c++", "clang++"))), None)
    if compiler is None:
        raise ImportError(
            "the rasteriser 'native' needs a C++ compiler, and there is neither g++, c++ nor clang++ on the PATH: "
            "install one, or draw with 'tiles'"
        )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / "splat.so"
        done = subprocess.run([compiler, *flags, str(_SOURCE), "-o", str(made)], capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.splitlines() or [f"exit status {done.returncode}"]
            said = next((line for line in lines if "error" in line), lines[0])[:200]
            raise ImportError(
                f"the rasteriser 'native' could not be compiled by {compiler} ({said}): name another compiler in CXX, "
                "or draw with 'tiles'"
            )
        return made.replace(folder / f"{name}-{_digest(made.read_bytes())}.so")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

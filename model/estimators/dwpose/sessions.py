"""Opens a network file with onnxruntime and runs it on batches.

onnxruntime is imported on first use. It falls back to the CPU without an error when CUDA cannot be started: here that
is an error, since whoever asked for CUDA would wait a hundred times longer without knowing why.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from model.estimators.base import Array
from model.estimators.dwpose.files import UpstreamFile, found_file
from model.weights import sha256_of

EXTRA = "pip install -e '.[dwpose]'"
_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_LOAD_ERRORS = ("Fail", "InvalidGraph", "InvalidProtobuf", "NoModel", "NotImplemented", "InvalidArgument", "NoSuchFile")
"""onnxruntime's exceptions for a file that it cannot open."""
_ERRORS_ONLY = 3
"""Log level of onnxruntime: errors."""
Shape = tuple[int | None, ...]
"""None = any size."""


def import_onnxruntime() -> Any:
    """Returns the module onnxruntime.

    Raises:
        ImportError: It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ImportError(f"the keypoint backend 'dwpose' needs onnxruntime: {EXTRA}") from error


def providers_of(device: str, available: list[str]) -> list[Any]:
    """Returns onnxruntime's execution providers for ``cpu``, ``cuda`` or ``cuda:N``.

    Args:
        device: What was asked for.
        available: Providers that the installed onnxruntime was built with.

    Raises:
        ValueError: Unknown device, or CUDA asked of an onnxruntime built without it.
    """
    if device == "cpu":
        return ["CPUExecutionProvider"]
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise ValueError(f"dwpose device: expected 'cpu', 'cuda' or 'cuda:N', got {device!r}")
    if "CUDAExecutionProvider" not in available:
        raise ValueError(
            f"dwpose device {device!r}: the installed onnxruntime has no CUDA (it has {', '.join(available)}); "
            "replace the package onnxruntime by onnxruntime-gpu, or set device to 'cpu'"
        )
    # The CPU stays behind CUDA for the few shape operators that have no CUDA kernel.
    return [("CUDAExecutionProvider", {"device_id": int(match[1] or 0)}), "CPUExecutionProvider"]


class OnnxNetwork:
    """A network with one image input (N, 3, H, W), float32 or float16, and N fixed or free."""

    def __init__(
        self, path: str | Path | None, file: UpstreamFile, *, device: str = "cpu", num_threads: int = 0
    ) -> None:
        """Opens the file.

        Args:
            path: Where it is.
            file: What it should be, for the error messages.
            device: ``cpu``, ``cuda`` or ``cuda:N``.
            num_threads: CPU threads of one run; 0 = as many as there are cores.

        Raises:
            ValueError: No such file, not an ONNX network, not with an image input, or a device that is not there.
            ImportError: onnxruntime is not installed.
        """
        onnxruntime = import_onnxruntime()
        self.path, self._file = found_file(path, file), file
        providers = providers_of(device, onnxruntime.get_available_providers())
        self._session = self._open(onnxruntime, providers, num_threads)
        if device != "cpu" and self._session.get_providers()[0] != "CUDAExecutionProvider":
            raise ValueError(
                f"dwpose device {device!r}: onnxruntime could not start CUDA and fell back to "
                f"{', '.join(self._session.get_providers())}; install the CUDA and cuDNN libraries that this "
                "onnxruntime-gpu was built for, or set device to 'cpu'"
            )
        self.sha256 = sha256_of(self.path)
        inputs = self._session.get_inputs()
        shapes = [_shape(one.shape) for one in inputs]
        if len(inputs) != 1 or len(shapes[0]) != 4 or inputs[0].type not in _FLOATS:
            raise self.mismatch(f"its inputs are {_listed(inputs)}, expected one float image (N, 3, H, W)")
        self.fixed_batch, channels, height, width = shapes[0]
        if channels != 3 or height is None or width is None:
            raise self.mismatch(f"its input is {_listed(inputs)}, expected (N, 3, H, W) of fixed height and width")
        self.input_size: tuple[int, int] = (width, height)
        """Width and height, px."""
        self.output_shapes: list[Shape] = [_shape(output.shape) for output in self._session.get_outputs()]
        self._input, self._dtype = inputs[0].name, _FLOATS[inputs[0].type]

    def _open(self, onnxruntime: Any, providers: list[Any], num_threads: int) -> Any:
        state = onnxruntime.capi.onnxruntime_pybind11_state
        refused = tuple(getattr(state, name) for name in _LOAD_ERRORS if hasattr(state, name))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = num_threads
        try:
            return onnxruntime.InferenceSession(str(self.path), sess_options=options, providers=providers)
        except refused as error:
            reason = str(error).splitlines()[0]
            size = self.path.stat().st_size
            raise self.mismatch(f"onnxruntime cannot open it as a network ({size} bytes: {reason})") from error

    def mismatch(self, problem: str) -> ValueError:
        """Returns the error for a file that is not what it should be."""
        file = self._file
        return ValueError(
            f"{file.option} {self.path}: {problem}; expected {file.name} ({file.holds}) from {file.source}"
        )

    def run(self, images: Array) -> list[Array]:
        """Runs the network.

        Args:
            images: (N, 3, H, W) float32; N is cut into the batches that the file allows.

        Returns:
            Its outputs in order, float32, first dimension N.
        """
        step = self.fixed_batch or len(images)
        if len(images) <= step:
            return self._run(images)
        runs = [self._run(images[start : start + step]) for start in range(0, len(images), step)]
        return [np.concatenate(parts) for parts in zip(*runs, strict=True)]

    def _run(self, images: Array) -> list[Array]:
        num = len(images)
        if self.fixed_batch is not None and num < self.fixed_batch:
            filling = np.zeros((self.fixed_batch - num, *images.shape[1:]), images.dtype)
            images = np.concatenate([images, filling])
        outputs = self._session.run(None, {self._input: images.astype(self._dtype, copy=False)})
        return [np.asarray(output)[:num].astype(np.float32, copy=False) for output in outputs]


def _listed(inputs: list[Any]) -> str:
    return "; ".join(f"{one.name} {one.shape} {one.type}" for one in inputs) or "none"


def _shape(dims: list[Any]) -> Shape:
    """Dimensions as onnxruntime gives them: an int, or a name or None for a free one."""
    return tuple(dim if isinstance(dim, int) and dim > 0 else None for dim in dims)

"""Ways to run a network or a body without gradients: eager, compiled, as a CUDA graph; and how exact its products are.

A CUDA graph replays all kernels of a call at once, which pays where launching them takes longer than running them: for
small batches. It needs a call of fixed shapes that never waits for the host; so are the regressor and EHM-s.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor, nn

from model.batches import map_tensors, tensors_of
from model.execution import Mode, Precision
from model.regressor.network import EhmRegressor

Value = TypeVar("Value")
_WARM_UP_CALLS = 3
"""Before a capture: libraries make their plans and workspaces in the first calls."""


def accelerate(
    function: Callable[..., Value], example_inputs: tuple[Any, ...], *, mode: Mode = "eager", precision: Precision
) -> Callable[..., Value]:
    """A faster way to call a module or function of tensors, without gradients.

    Args:
        function: Takes and gives tensors, or dataclasses, tuples and dicts of tensors. A module must be in evaluation
            mode. Bodies want `fp32`: `tf32` moves vertices by half a millimetre, `bf16` by more.
        example_inputs: Positional arguments of the shapes, types and device to come.
        mode: How it is run.
        precision: Of its products.

    Returns:
        A callable with the same arguments and results. Results are the caller's own. As a graph it takes only the
        shapes and types of the example, and arguments that are no tensors must stay those of the example.

    Raises:
        ValueError: Mode or precision is unknown or not possible here, or the module is in training mode.
    """
    for name, value, kind in (("mode", mode, Mode), ("precision", precision, Precision)):
        if value not in get_args(kind):
            raise ValueError(f"{name}: expected one of {', '.join(get_args(kind))}, got {value!r}")
    if isinstance(function, nn.Module) and function.training:
        raise ValueError(f"{type(function).__name__} is in training mode: call eval() before it is accelerated")
    tensors = tensors_of(example_inputs)
    if not tensors:
        raise ValueError("the example inputs hold no tensor, so they name no device")
    device = tensors[0].device
    problem = mode_problem(mode, device)
    if problem is not None:
        raise ValueError(f"mode {mode!r} is not possible: {problem}")
    inner = torch.compile(function, dynamic=False) if mode == "compile" else function

    def run(*inputs: Any) -> Value:
        with torch.no_grad(), numerics(precision, device):
            return inner(*inputs)

    if mode == "graph":
        return _Graph(run, example_inputs)
    if mode == "compile":
        run(*example_inputs)
    return run


def mode_problem(mode: Mode, device: torch.device) -> str | None:
    """Why a mode cannot be had on a device, or None."""
    if mode == "graph" and device.type != "cuda":
        return f"a CUDA graph needs tensors on a CUDA device, these are on {device}"
    if mode == "compile":
        if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++", "cl")):
            return "torch.compile needs a C++ compiler, and neither c++, g++ nor clang++ was found"
        if device.type == "cuda" and importlib.util.find_spec("triton") is None:
            return "torch.compile on CUDA needs the package triton, which is not installed"
    return None


def for_precision(network: EhmRegressor, precision: Precision) -> EhmRegressor:
    """The network with weights of the type that its products take.

    Autocast turns a float32 weight into bfloat16 in every call; kept so, a call reads half the bytes and gives the same
    numbers. Norms and the position table stay float32, and so does all behind the backbone.

    Args:
        network: Stays as it is.
        precision: What it will run at.

    Returns:
        A copy for `bf16`, else the network itself.
    """
    if precision != "bf16":
        return network
    found = copy.deepcopy(network)
    for module in found.backbone.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.to(torch.bfloat16)
    return found


@contextlib.contextmanager
def numerics(precision: Precision, device: torch.device) -> Iterator[None]:
    """How exact products are inside; outside it is as it was."""
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    is_exact = precision == "fp32"
    torch.set_float32_matmul_precision("highest" if is_exact else "high")
    torch.backends.cudnn.allow_tf32 = not is_exact
    # The meta device, where shapes are tried out, has no autocast.
    is_cast = precision == "bf16" and torch.amp.is_autocast_available(device.type)
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16) if is_cast else contextlib.nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


class _Graph:
    """A call captured once, replayed with other numbers in the same places."""

    def __init__(self, run: Callable[..., Any], example_inputs: tuple[Any, ...]) -> None:
        self.inputs = map_tensors(example_inputs, torch.clone)
        device = tensors_of(self.inputs)[0].device
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_CALLS):
                run(*self.inputs)
        torch.cuda.current_stream(device).wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = run(*self.inputs)

    def __call__(self, *inputs: Any) -> Any:
        places, given = tensors_of(self.inputs), tensors_of(inputs)
        _check_like(places, given)
        for place, tensor in zip(places, given, strict=True):
            place.copy_(tensor, non_blocking=True)
        self.graph.replay()
        return map_tensors(self.outputs, torch.clone)


def _check_like(places: list[Tensor], given: list[Tensor]) -> None:
    expected = [(tuple(place.shape), place.dtype) for place in places]
    found = [(tuple(tensor.shape), tensor.dtype) for tensor in given]
    if expected != found:
        raise ValueError(f"this graph was captured for inputs of {expected}, got {found}")

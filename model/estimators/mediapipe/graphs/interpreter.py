"""MediaPipe's network files, run by LiteRT on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import ModelT
from flatbuffers import Builder

from model.estimators.base import Array

FILE_IDENTIFIER = b"TFL3"


def only_outputs(model: bytes, outputs: Sequence[int]) -> bytes:
    """Returns a network file without what only other outputs need.

    Args:
        model: Content of a .tflite file.
        outputs: Which outputs stay, by number.
    """
    parsed: Any = ModelT.InitFromPackedBuf(model, 0)
    graph = parsed.subgraphs[0]
    graph.outputs = [graph.outputs[i] for i in outputs]
    needed, operators = set(graph.outputs), []
    for operator in reversed(graph.operators):
        if needed & set(operator.outputs):
            needed |= set(operator.inputs)
            operators.append(operator)
    graph.operators = operators[::-1]
    parsed.signatureDefs = []
    builder = Builder(len(model))
    builder.Finish(parsed.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


@cache
def _with_outputs(path: Path, outputs: tuple[int, ...]) -> bytes:
    """A file cut down once, for the networks of all threads: parsing it takes as long as many photos."""
    return only_outputs(path.read_bytes(), outputs)


class Network:
    """One network: a square uint8 image in, float32 arrays out."""

    def __init__(self, path: Path, *, low: float, outputs: Sequence[int] | None = None) -> None:
        """Loads a network.

        Args:
            path: Its .tflite file.
            low: What black becomes; white becomes 1.
            outputs: Which of its outputs are computed, by number; all if not given.
        """
        model = path.read_bytes() if outputs is None else _with_outputs(path, tuple(outputs))
        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]
        self._scale, self._low = np.float32((1 - low) / 255), np.float32(low)

    def __call__(self, rgb: Array) -> list[Array]:
        self._interpreter.set_tensor(self._input, rgb[None] * self._scale + self._low)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]

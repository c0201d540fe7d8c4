"""Networks in batches: the crops of the next batch are made while the network works on this one.

Memory is bounded by the batch size: at most two batches of crops exist at once, however many people come.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from model.estimators.base import Array

Item = TypeVar("Item")

CROP_THREADS = min(4, os.cpu_count() or 1)
"""Crops that are made at once. A core cuts 200 (large and blurred) to 1500 of them a second, fewer than a GPU reads."""


def run_in_batches(
    items: Sequence[Item],
    make_crop: Callable[[Item], Array],
    infer: Callable[[Array], dict[str, Array]],
    batch_size: int,
) -> dict[str, Array]:
    """Runs a network over the crops of some items.

    Args:
        items: N things a crop can be made of, at least one.
        make_crop: Gives the crop of an item, all of one shape; called by several other threads. OpenCV and numpy
            release the interpreter, so it costs the network nothing on a machine with a second core or a GPU.
        infer: Takes crops (B, ...) and gives arrays with first dimension B.
        batch_size: Largest B.

    Returns:
        The arrays of ``infer`` with first dimension N, in the order of the items.

    Raises:
        ValueError: No items, or a batch size below 1.
    """
    if not items or batch_size < 1:
        raise ValueError(f"expected items and a batch size of at least 1, got {len(items)} items and {batch_size}")
    batches = [items[start : start + batch_size] for start in range(0, len(items), batch_size)]

    outputs: list[dict[str, Array]] = []
    with (
        ThreadPoolExecutor(min(CROP_THREADS, batch_size), thread_name_prefix="crops") as croppers,
        ThreadPoolExecutor(1, thread_name_prefix="batches") as stacker,
    ):

        def crops_of(batch: Sequence[Item]) -> Array:
            return np.stack(list(croppers.map(make_crop, batch)))

        coming = stacker.submit(crops_of, batches[0])
        for following in [*batches[1:], None]:
            crops = coming.result()
            if following is not None:
                coming = stacker.submit(crops_of, following)
            outputs.append(infer(crops))
    return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}

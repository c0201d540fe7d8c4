"""Crops and network side by side, in order and within bounds."""

import threading

import numpy as np
import pytest

from model.estimators import batching
from model.estimators.batching import run_in_batches


def squares(crops: np.ndarray) -> dict[str, np.ndarray]:
    return {"square": crops**2, "half": crops / 2}


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 100])
def test_results_come_in_the_order_of_the_items(batch_size: int) -> None:
    found = run_in_batches(list(range(10)), lambda item: np.array([item]), squares, batch_size)
    assert found["square"].tolist() == [[i * i] for i in range(10)]
    assert found["half"].tolist() == [[i / 2] for i in range(10)]


def test_no_batch_is_larger_than_asked_and_no_more_than_two_exist() -> None:
    made, used, waiting = 0, 0, 0

    def crop(item: int) -> np.ndarray:
        nonlocal made, waiting
        made += 1
        waiting = max(waiting, made - used)
        return np.array(item)

    def infer(crops: np.ndarray) -> dict[str, np.ndarray]:
        nonlocal used
        assert len(crops) <= 3
        used += len(crops)
        return {"x": crops}

    run_in_batches(list(range(20)), crop, infer, 3)
    assert waiting <= 6


def test_the_next_crops_are_made_while_the_network_works() -> None:
    next_crop = threading.Event()

    def crop(item: int) -> np.ndarray:
        if item == 1:
            next_crop.set()
        return np.array(item)

    def infer(crops: np.ndarray) -> dict[str, np.ndarray]:
        # Waits inside the first batch for the crop of the second: hangs, and fails, if that comes only afterwards.
        assert next_crop.wait(timeout=30)
        return {"x": crops}

    run_in_batches([0, 1], crop, infer, 1)


def test_crops_of_a_batch_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "CROP_THREADS", 2)
    both = threading.Barrier(2)

    def crop(item: int) -> np.ndarray:
        both.wait(timeout=30)
        return np.array(item)

    assert run_in_batches([0, 1, 2, 3], crop, squares, 2)["square"].tolist() == [0, 1, 4, 9]


def test_an_error_of_a_crop_or_of_the_network_comes_out() -> None:
    def broken(_: object) -> np.ndarray:
        raise RuntimeError("no such box")

    with pytest.raises(RuntimeError, match="no such box"):
        run_in_batches([0, 1], broken, squares, 1)
    with pytest.raises(RuntimeError, match="no such box"):
        run_in_batches([0, 1], lambda item: np.array(item), broken, 1)


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 items"):
        run_in_batches([], np.array, squares, 1)
    with pytest.raises(ValueError, match="batch size of at least 1"):
        run_in_batches([1], np.array, squares, 0)

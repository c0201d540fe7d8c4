"""Retries wait longer each time, and only for errors that may pass."""

import pytest

from flows.run.runners import with_retries


def failing(times, error):
    calls = []

    def action():
        calls.append(1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return action


def test_an_error_that_passes_is_tried_again_with_growing_waits():
    waits = []
    assert with_retries(failing(2, OSError("busy")), 2, lambda _e, wait: waits.append(wait), backoff=0.01) == 3
    assert waits == [0.01, 0.02]


def test_the_last_error_is_raised():
    with pytest.raises(OSError, match="busy"):
        with_retries(failing(3, OSError("busy")), 2, lambda *_: None, backoff=0.01)


@pytest.mark.parametrize("error", [ValueError("wrong setting"), ImportError("no such package"), TypeError("bug")])
def test_a_mistake_is_not_tried_again(error):
    with pytest.raises(type(error)):
        with_retries(failing(1, error), 5, lambda *_: pytest.fail("tried again"), backoff=0.01)

"""The pool of a worker's estimators."""

import pytest

from model.estimators.registry import register
from tasks.config import EstimatorConfig
from tasks.estimators import borrowed

BACKEND = EstimatorConfig(backend="test_pool")


@register("face", "test_pool")
class Counted:
    """Stands for a network that is slow to load."""

    built = 0

    def __init__(self) -> None:
        Counted.built += 1


def test_an_estimator_is_built_once_and_lent_again() -> None:
    Counted.built = 0
    with borrowed("face", BACKEND) as first:
        pass
    with borrowed("face", BACKEND) as second:
        assert second is first
        with borrowed("face", BACKEND) as third:
            assert third is not first


def test_an_estimator_that_raised_is_not_lent_again() -> None:
    with pytest.raises(RuntimeError, match="graph stopped"), borrowed("face", BACKEND) as broken:
        raise RuntimeError("graph stopped")
    with borrowed("face", BACKEND) as first, borrowed("face", BACKEND) as second:
        assert broken is not first
        assert broken is not second

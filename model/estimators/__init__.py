"""Part estimators: typed inputs and outputs, a registry of backends, and the backends themselves."""

from model.estimators.base import (
    BodyEstimator,
    BodyOutput,
    EstimatorInfo,
    FaceEstimator,
    FaceOutput,
    HandsEstimator,
    HandsOutput,
    ImageInput,
    KeypointEstimator,
    KeypointsOutput,
    PersonBatch,
)
from model.estimators.registry import create, known_backends, register

__all__ = [
    "BodyEstimator",
    "BodyOutput",
    "EstimatorInfo",
    "FaceEstimator",
    "FaceOutput",
    "HandsEstimator",
    "HandsOutput",
    "ImageInput",
    "KeypointEstimator",
    "KeypointsOutput",
    "PersonBatch",
    "create",
    "known_backends",
    "register",
]

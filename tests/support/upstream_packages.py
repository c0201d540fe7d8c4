"""Packages of the official estimators, where they are installed (`make upstream`)."""

import functools
import importlib.util
import sys
from unittest.mock import MagicMock

import pytest
import torch

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
"""Those that torchvision describes to torch when it is imported; a build for another torch does not bring them."""


def upstream(name):
    """A module of an upstream package, or a skipped test."""
    if importlib.util.find_spec(name.partition(".")[0]) is not None:
        _keep_out_of_the_way()
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


@functools.cache
def _keep_out_of_the_way():
    """Lets the packages import what they need beside networks, which the tests never call: no window system for
    pyrender, and a torchvision whose compiled operators are for another build of torch."""
    if importlib.util.find_spec("pyrender") is None:
        sys.modules["pyrender"] = MagicMock()
    if importlib.util.find_spec("torchvision") is None:
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in OPERATORS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)
    return library  # a library takes its operators with it

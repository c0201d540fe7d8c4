"""Closed sets of how a network is run."""

from typing import Literal

Mode = Literal["eager", "compile", "graph"]
"""`eager`: as written. `compile`: torch.compile, which needs a compiler. `graph`: a CUDA graph of fixed shapes."""
Precision = Literal["fp32", "tf32", "bf16"]
"""`fp32`: everything. `tf32`: products of a GPU with 10 bits of mantissa. `bf16`: autocast with 7 bits."""

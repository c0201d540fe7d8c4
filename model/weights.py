"""Reads published network weights without running anything in them, and puts them into a network without leftovers.

Training frameworks store more than weights: configuration nodes, optimiser states, numpy scalars. PyTorch's restricted
reader refuses such objects; here each of a fixed family of names is resolved to an inert stand-in that keeps nothing
and calls nothing, so that neither the framework nor trust in the file is needed. Any other name ends the reading.

Layouts: a Lightning or mmengine dict with ``state_dict``, a flat dict of tensors, several such dicts side by side, and
``.safetensors``.
"""

from __future__ import annotations

import importlib
import re
import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._weights_only_unpickler import UnpicklingError
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from datasets_manifest.files import file_sha256
from datasets_manifest.numpy_files import DAMAGED

Network = TypeVar("Network", bound=nn.Module)

STATE_KEY = "state_dict"
"""Entry of the weights in Lightning and mmengine files."""
NUM_NAMES_SHOWN = 8
"""Names an error lists of each kind, so that it stays readable."""

INERT_PACKAGES = (
    "yacs", "omegaconf", "hydra", "pytorch_lightning", "lightning", "lightning_fabric", "mmengine", "addict",
    "easydict", "numpy", "argparse", "pathlib", "typing", "enum", "datetime",
)  # fmt: skip
"""Packages whose objects training frameworks leave in checkpoints."""
INERT_NAMES = (
    "collections.defaultdict", "collections.deque", "copyreg._reconstructor",
    *(f"builtins.{name}" for name in (
        "object", "dict", "list", "tuple", "int", "float", "bool", "str", "bytes", "slice", "range", "frozenset",
        "getattr", "print",
    )),
)  # fmt: skip
"""Single names of the standard library that they leave."""
INERT_MAPPINGS = (
    "yacs.config.CfgNode", "collections.defaultdict", "easydict.EasyDict", "addict.addict.Dict",
    "mmengine.config.config.ConfigDict", "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict", "lightning.fabric.utilities.data.AttributeDict",
)  # fmt: skip
"""Those of them that are dicts, whose entries are stored like a dict's."""
LEGACY_NAMES = (
    *INERT_NAMES, "yacs.config.CfgNode", "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "argparse.Namespace", "pathlib.PosixPath",
)  # fmt: skip
"""Names resolved in files older than PyTorch 1.6, which cannot be searched beforehand."""

_READING = threading.Lock()


class _Inert:
    """Stands for any object or function that a framework left: takes everything, keeps nothing."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        return None


class _InertMapping:
    """Stands for a subclass of dict; PyTorch's reader fills only true dicts."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return OrderedDict()


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The weights in a file."""

    tensors: dict[str, Tensor]
    """Named tensors, on the CPU; may be views of the file."""
    sha256: str
    """Hash of the whole file."""
    layout: str
    """``state_dict``, ``flat``, ``parts`` or ``safetensors``."""
    path: Path
    """The file."""


def read_checkpoint(path: str | Path, parts: Sequence[str] = ()) -> Checkpoint:
    """Reads the tensors of a checkpoint; nothing stored in it is run.

    Args:
        path: A ``.ckpt``, ``.pt`` or ``.pth`` file of torch.save, or a ``.safetensors`` file.
        parts: Entries of a file of torch.save that are dicts of tensors each; a tensor's name then begins with its
            part's and a dot.

    Raises:
        ValueError: The file is missing, is no checkpoint, asks for code, or holds no tensors.
    """
    path = _existing(path)
    if path.suffix == ".safetensors":
        tensors, layout = _read_safetensors(path), "safetensors"
    else:
        content = _read_torch(path)
        tensors, layout = _tensors_of_parts(content, parts, path) if parts else _tensors_of(content, path)
    return Checkpoint(tensors=tensors, sha256=sha256_of(path), layout=layout, path=path)


def checkpoint_sha256(path: str | Path) -> str:
    """Returns the hash that ``read_checkpoint`` gives, without reading a tensor.

    Raises:
        ValueError: The file is missing.
    """
    return sha256_of(_existing(path))


def _existing(path: str | Path) -> Path:
    if not Path(path).is_file():
        raise ValueError(f"checkpoint {path} does not exist; `pear assets` says where each file comes from")
    return Path(path)


def sha256_of(path: Path) -> str:
    """Returns the hash of a file as it is now, read once as long as it stays so."""
    stat = path.stat()
    return _sha256_as_of(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=32)
def _sha256_as_of(path: Path, size: int, mtime_ns: int) -> str:
    """Size and time are part of the memory's key, so that a new file is read again."""
    return file_sha256(path)


def load_into(
    network: Network,
    tensors: Mapping[str, Tensor],
    *,
    path: str | Path,
    prefix: str = "",
    ignore: Sequence[str] = (),
) -> Network:
    """Gives a network exactly the tensors of a file, in the network's own types.

    Args:
        network: Network whose names are the file's without ``prefix``; may lie on the ``meta`` device.
        tensors: Tensors of the file.
        path: The file, for the error.
        prefix: Prefix of the network's names in the file.
        ignore: Patterns of names, with the prefix, that may be in the file without a place or lack.

    Returns:
        The network.

    Raises:
        ValueError: Names are missing or unexpected, or shapes differ, or a tensor is not finite; all are listed.
    """
    wanted = {prefix + name: tensor for name, tensor in network.state_dict(keep_vars=True).items()}
    found = {name: tensor for name, tensor in tensors.items() if name in wanted or not _matches(name, ignore)}
    missing = [name for name in wanted if name not in found and not _matches(name, ignore)]
    both = [name for name in wanted if name in found]
    shapes = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in both
        if found[name].shape != wanted[name].shape
    ]
    problems = {
        "missing": missing,
        "unexpected": [name for name in found if name not in wanted],
        "of another shape": shapes,
        "not finite": [name for name in both if not bool(torch.isfinite(found[name]).all())],
    }
    if any(problems.values()):
        listed = "; ".join(f"{len(names)} {kind}: {_shortened(names)}" for kind, names in problems.items() if names)
        raise ValueError(
            f"checkpoint {path} does not fit {type(network).__name__}: {listed}; is it the file of this network?"
        )
    state = {
        name.removeprefix(prefix): found[name].to(_device(wanted[name]), wanted[name].dtype, copy=True) for name in both
    }
    network.load_state_dict(state, strict=False, assign=True)
    return network


def require_keys(tensors: Mapping[str, Tensor], names: Iterable[str], *, path: str | Path, network: str) -> None:
    """Raises a ValueError when tensors from which a network's size is read are not in the file."""
    missing = [name for name in names if name not in tensors]
    if missing:
        raise ValueError(
            f"checkpoint {path} is not one of {network}: {_shortened(missing)} missing; it has {_shortened(tensors)}"
        )


def num_blocks(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Returns one more than the highest number N among the names ``<prefix>.N.*``, 0 when there is none."""
    start = len(prefix) + 1
    numbers = {name[start:].partition(".")[0] for name in tensors if name.startswith(prefix + ".")}
    return max((int(number) for number in numbers if number.isdecimal()), default=-1) + 1


def _device(tensor: Tensor) -> torch.device:
    return torch.device("cpu") if tensor.is_meta else tensor.device


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _shortened(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - NUM_NAMES_SHOWN
    return ", ".join(names[:NUM_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        package = importlib.import_module("safetensors.torch")
    except ImportError as error:
        raise ValueError(f"checkpoint {path} needs the package safetensors: pip install safetensors") from error
    try:
        return package.load_file(path)
    except importlib.import_module("safetensors").SafetensorError as error:
        raise ValueError(f"checkpoint {path} is cut short or no safetensors file ({error})") from error


def _read_torch(path: Path) -> Any:
    """Loads a file of torch.save with inert stand-ins for what the frameworks left."""
    refused: list[str] = []
    try:
        is_zip = zipfile.is_zipfile(path)
        names = get_unsafe_globals_in_checkpoint(str(path)) if is_zip else list(LEGACY_NAMES)
        refused = [name for name in names if not _is_inert(name)]
        stand_ins: list[Any] = [(_InertMapping if name in INERT_MAPPINGS else _Inert, name) for name in names]
        if not refused:
            # The list of stand-ins belongs to the process, hence one reader at a time.
            with _READING, safe_globals(stand_ins):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip or None)
    except UnpicklingError as error:
        # What torch says goes on with advice about how to run what is in the file.
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None:
            raise ValueError(f"checkpoint {path} is cut short or no PyTorch checkpoint; get the file again") from error
        raise ValueError(_refusal(path, [asked[1]])) from error
    except (AssertionError, *DAMAGED) as error:
        first, _, _ = str(error).partition("\n")  # further lines are advice about trusting the file
        raise ValueError(f"checkpoint {path} is cut short or no PyTorch checkpoint ({first})") from error
    raise ValueError(_refusal(path, refused))


def _refusal(path: Path, names: Sequence[str]) -> str:
    return (
        f"checkpoint {path} asks for {_shortened(sorted(names))}, which no network's weights need; nothing was run. "
        "Get the file again from its publisher."
    )


def _is_inert(name: str) -> bool:
    return name in INERT_NAMES or name.partition(".")[0] in INERT_PACKAGES


def _tensors_of(content: Any, path: Path) -> tuple[dict[str, Tensor], str]:
    """Finds the named tensors in what a file holds."""
    layout = "flat"
    if isinstance(content, Mapping) and isinstance(content.get(STATE_KEY), Mapping):
        content, layout = content[STATE_KEY], STATE_KEY
    tensors = _named(content)
    if not tensors:
        raise ValueError(
            f"checkpoint {path} holds no named tensors: expected a dict of tensors, or one under {STATE_KEY!r}"
        )
    return tensors, layout


def _tensors_of_parts(content: Any, parts: Sequence[str], path: Path) -> tuple[dict[str, Tensor], str]:
    found = {part: _named(content.get(part)) for part in parts} if isinstance(content, Mapping) else {}
    if not found or not all(found.values()):
        entries = _shortened(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(
            f"checkpoint {path} holds no named tensors under {' and '.join(map(repr, parts))}; it has {entries}"
        )
    return {f"{part}.{name}": tensor for part, tensors in found.items() for name, tensor in tensors.items()}, "parts"


def _named(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    return {name: t.detach() for name, t in content.items() if isinstance(name, str) and isinstance(t, Tensor)}

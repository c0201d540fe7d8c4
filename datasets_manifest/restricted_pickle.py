"""Reads the pickles that body models and data sets are published as, and runs nothing in them. The only unpickler;
and the only module that pickles, for formats of others that are pickles.

Many of these files were written by Python 2 with chumpy objects, and a pickle can run any code when it is read. The
unpickler here resolves a fixed list of names, each to an inert stand-in of its own that stores values and calls
nothing; any other name ends the reading before anything happened. Neither chumpy nor scipy is needed by the stand-ins,
and numpy arrays are rebuilt from their bytes by this module.
"""

import io
import math
import pickle
import re
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from datasets_manifest.pickle_bounds import asks_for_too_much

_SIMPLE_DTYPE = re.compile(r"[<>|=]?(b1|[iuf][1248]|[SU]\d{1,6}|O8?|[bBhHiIlLqQfd?])")


class PickleError(ValueError):
    """A pickle cannot be read; the text says which, why and what to do."""


class RefusedName(PickleError):
    """A pickle asks for something that no file read here needs. Nothing was run."""

    def __init__(self, text: str, asked: str = "") -> None:
        super().__init__(text)
        self.asked = asked
        """Module and name of it."""


# --- inert stand-ins --------------------------------------------------------------------------------------------------
class _Function:
    """Wraps one harmless function so that a pickle can call it but not change it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


class _Record:
    """An object of which only the stored state matters."""

    state: Any = None
    _value: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value_once(self) -> Any:
        """``value``, made once, however often the object is there."""
        if self._value is None:
            self._value = self.value()
        return self._value

    def field(self, *names: str) -> Any:
        """First of `names` that the state has."""
        for name in names:
            if isinstance(self.state, dict) and name in self.state:
                return _plain(self.state[name])
        raise pickle.UnpicklingError(f"a stored object lacks {' and '.join(names)}")

    def value(self) -> Any:
        """The plain array or container that this stands for."""
        raise pickle.UnpicklingError("a stored object has no value")


class _Marker(_Record):
    """Stands for `object` and `numpy.ndarray` where a pickle only names them."""


class _DType(_Record):
    def __init__(self, text: str = "", *_: Any) -> None:
        if not isinstance(text, str) or not _SIMPLE_DTYPE.fullmatch(text):
            raise pickle.UnpicklingError(f"unusual array type {text!r}")
        self.text = text

    def value(self) -> np.dtype:
        order = ""
        if isinstance(self.state, tuple) and len(self.state) > 4:
            if any(part is not None for part in self.state[2:5]):
                raise pickle.UnpicklingError("structured array type")
            order = self.state[1] if self.state[1] in ("<", ">") else ""
        return np.dtype(self.text if self.text[0] in "<>|=" else order + self.text)


class _Array(_Record):
    def value(self) -> NDArray:
        state = self.state
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise pickle.UnpicklingError("an array without content")
        shape, dtype, is_fortran, raw = state[-4:]
        return _array(shape, dtype, raw, "F" if is_fortran else "C")


class _SparseByColumn(_Record):
    def value(self) -> NDArray:
        rows, columns = self.field("_shape", "shape")
        return _dense(self.field("data"), self.field("indices"), self.field("indptr"), (rows, columns))


class _SparseByRow(_Record):
    def value(self) -> NDArray:
        rows, columns = self.field("_shape", "shape")
        return _dense(self.field("data"), self.field("indices"), self.field("indptr"), (columns, rows)).T


class _Chumpy(_Record):
    def value(self) -> NDArray:
        return _numbers(self.field("x"))


class _ChumpySelect(_Record):
    def value(self) -> NDArray:
        picked = _numbers(self.field("a")).ravel()[_numbers(self.field("idxs")).ravel()]
        has_shape = isinstance(self.state, dict) and "preferred_shape" in self.state
        return picked.reshape(self.field("preferred_shape")) if has_shape else picked


def _numbers(value: Any) -> NDArray:
    if isinstance(value, list | tuple) and any(isinstance(item, list | tuple | dict) for item in value):
        raise pickle.UnpicklingError("lists of lists in the place of an array")
    return np.asarray(value)


def _array(shape: Any, dtype: Any, raw: Any, order: Any) -> NDArray:
    kind = dtype.value() if isinstance(dtype, _DType) else None
    if kind is None or not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise pickle.UnpicklingError("an array with an unusual shape or type")
    if kind.hasobject:
        if not isinstance(raw, list) or len(raw) != math.prod(shape):
            raise pickle.UnpicklingError("an object array whose length does not match its shape")
        found = np.empty(len(raw), dtype=object)
        found[:] = _plain(raw)
        return found.reshape(shape)
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    if len(data) != math.prod(shape) * kind.itemsize:
        raise pickle.UnpicklingError("an array whose length does not match its shape")
    return np.frombuffer(data, dtype=kind).reshape(shape, order="F" if order == "F" else "C")


def _dense(data: NDArray, indices: NDArray, indptr: NDArray, shape: tuple[int, int]) -> NDArray:
    """Compressed columns -> (rows, columns)."""
    rows, columns = shape
    counts = np.diff(indptr)
    if len(indptr) != columns + 1 or counts.min(initial=0) < 0 or not len(data) == len(indices) == counts.sum():
        raise pickle.UnpicklingError("a sparse matrix that contradicts itself")
    if indices.size and (indices.min() < 0 or indices.max() >= rows):
        raise pickle.UnpicklingError("a sparse matrix with an entry outside its shape")
    found = np.zeros(shape)
    np.add.at(found, (indices, np.repeat(np.arange(columns), counts)), data)
    return found


def _reconstruct_object(cls: Any, base: Any = None, state: Any = None) -> _Record:
    if not (isinstance(cls, type) and issubclass(cls, _Record)):
        raise pickle.UnpicklingError("an object of an unusual class")
    return cls()


def _reconstruct_array(cls: Any, shape: Any, dtype: Any) -> _Array:
    return _Array()


def _array_from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    found = _Array()
    found.state = (shape, dtype, order == "F", raw)
    return found


def _scalar(dtype: Any, raw: Any = b"") -> _Array:
    found = _Array()
    found.state = ((), dtype, False, raw)
    return found


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"unusual text encoding {encoding!r}")
    return text.encode("latin1")


def _allowed_names() -> dict[tuple[str, str], Any]:
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _Marker,
        ("numpy", "dtype"): _DType,
        ("_codecs", "encode"): _Function(_latin1),
        ("collections", "OrderedDict"): _Function(lambda items=(): dict(items)),
        ("chumpy", "Ch"): _Chumpy,
        ("chumpy.ch", "Ch"): _Chumpy,
        ("chumpy.reordering", "Select"): _ChumpySelect,
    }
    for module in ("numpy.core", "numpy._core"):
        names[module + ".multiarray", "_reconstruct"] = _Function(_reconstruct_array)
        names[module + ".multiarray", "scalar"] = _Function(_scalar)
        names[module + ".numeric", "_frombuffer"] = _Function(_array_from_buffer)
    for module in ("builtins", "__builtin__"):
        names[module, "object"] = _Marker
        names[module, "set"] = _Function(lambda items=(): list(items))
    for module in ("copyreg", "copy_reg"):
        names[module, "_reconstructor"] = _Function(_reconstruct_object)
    for stem, cls in (("csc", _SparseByColumn), ("csr", _SparseByRow)):
        for module in (f"scipy.sparse.{stem}", f"scipy.sparse._{stem}"):
            names[module, f"{stem}_matrix"] = cls
            names[module, f"{stem}_array"] = cls
    return names


_ALLOWED = _allowed_names()


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, source: str) -> None:
        super().__init__(file, encoding="latin1")
        self._source = source

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise RefusedName(
                f"{self._source} asks for {module}.{name}, which no file read here needs; nothing was run. "
                "Delete it and get the file again from its publisher.",
                asked=f"{module}.{name}",
            )
        return found

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedName(f"{self._source} refers to an object outside itself; nothing was run.")


_PLAIN = frozenset({str, bytes, int, float, bool, type(None)})


def _plain(value: Any, known: dict[int, Any] | None = None) -> Any:
    """Replace stand-ins by the arrays and containers they stand for; what is there several times stays one."""
    if isinstance(value, _Record):
        return value.value_once()
    if not isinstance(value, dict | list | tuple):
        return value
    known = {} if known is None else known
    place = id(value)
    if place not in known:
        known[place] = _Marker  # Of one that holds itself this is found.
        if isinstance(value, dict):
            known[place] = {
                key: item if type(item) in _PLAIN else _plain(item, known)
                for key, item in value.items()
                if isinstance(key, str)
            }
        else:
            known[place] = type(value)([item if type(item) in _PLAIN else _plain(item, known) for item in value])
    if known[place] is _Marker:
        raise pickle.UnpicklingError("a container that holds itself")
    return known[place]


def unpickle(data: bytes, source: str) -> Any:
    """Read one pickle, running nothing in it.

    Args:
        data: The pickle.
        source: Its name in an error.

    Returns:
        Arrays, numbers and texts, alone or in dicts, lists and tuples; entries whose key is no text are left out.

    Raises:
        RefusedName: It asks for a class or function that no file read here needs.
        PickleError: It is cut short or not a pickle.
    """
    try:
        if asks_for_too_much(data):
            raise pickle.UnpicklingError("it asks for more memory than its length explains")
        return _plain(_RestrictedUnpickler(io.BytesIO(data), source).load())
    except RefusedName:
        raise
    except (
        pickle.UnpicklingError, EOFError, AttributeError, ImportError, LookupError, ValueError, TypeError,
        MemoryError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise PickleError(
            f"{source} is corrupt or not a pickle of arrays ({error or type(error).__name__})."
        ) from error


# --- writing ----------------------------------------------------------------------------------------------------------
_PROTOCOL = 3
_NUMPY = b"cnumpy._core.multiarray\n_reconstruct\n"
_NUMPY_OF_BEFORE = b"cnumpy.core.multiarray\n_reconstruct\n"


def pickled(value: Any) -> bytes:
    """A pickle of arrays, numbers and texts, alone or in dicts, lists and tuples; ``unpickle`` reads it.

    It names numpy's modules as those before numpy 2 do, so that their readers find them too; newer ones do as well.

    Raises:
        TypeError: There is something else in it.
    """
    out = io.BytesIO()
    write_pickle(value, out)
    return out.getvalue()


def write_pickle(value: Any, file: IO[bytes]) -> None:
    """Writes what ``pickled`` gives; the bytes of one large array are in memory at a time.

    Raises:
        TypeError: As ``pickled``.
    """
    _check_plain(value)
    pickle.Pickler(_OfBefore(file), _PROTOCOL).dump(value)


class _OfBefore:
    """A file that gets numpy's modules by the names of before."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._is_named = file, False

    def write(self, data: Any) -> int:
        """A name is written out once, where it first occurs: before the bytes of any array."""
        if not self._is_named and _NUMPY in (data := bytes(data)):
            self._is_named, data = True, data.replace(_NUMPY, _NUMPY_OF_BEFORE, 1)
        return self._file.write(data)


def _check_plain(value: Any) -> None:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    elif type(value) is np.ndarray:
        value = value.ravel().tolist() if value.dtype.hasobject else ()
    if isinstance(value, list | tuple):
        for item in value:
            _check_plain(item)
    elif value is not None and type(value) not in (str, bytes, bool, int, float):
        raise TypeError(f"a pickle here holds plain values alone, got {type(value).__name__}")

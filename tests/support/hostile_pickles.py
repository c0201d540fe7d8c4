"""Pickles that run something where an ordinary unpickler reads them."""

import builtins
import codecs
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple:
        return self.call


def _touch(path: Path) -> str:
    return f"open({str(path)!r}, 'w').close()"


def hostile_pickles(sentinel: Path) -> dict[str, bytes]:
    """By what they do; most would make this file."""
    code, shell = _touch(sentinel), f"touch {sentinel}"
    dump = pickle.dumps
    return {
        "os_system": dump(Call(os.system, shell)),
        "subprocess": dump(Call(subprocess.check_output, ["touch", str(sentinel)])),
        "eval": dump(Call(builtins.eval, code)),
        "exec": dump(Call(builtins.exec, code)),
        "open_for_writing": dump(Call(builtins.open, str(sentinel), "w")),
        "getattr": dump(Call(builtins.getattr, 1, "real")),
        "import": dump(Call(builtins.__import__, "antigravity")),
        "nested_in_a_model": dump({"v_template": np.zeros((3, 3)), "x": [Call(os.system, shell)]}, protocol=2),
        "protocol_0": dump(Call(os.system, shell), protocol=0),
        "python_2_names": b"c__builtin__\neval\n(S'" + code.replace("'", '"').encode() + b"'\ntR.",
        "dotted_name": b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__.x\x93.",
        "reconstructor_of_popen": (
            b"ccopy_reg\n_reconstructor\n(csubprocess\nPopen\nc__builtin__\nobject\nNtR(dS'args'\nS'"
            + shell.encode()
            + b"'\nsb."
        ),
        "numpy_load_as_constructor": b"cnumpy\nload\n(S'" + str(sentinel).encode() + b"'\ntR.",
        "unsafe_codec": dump(Call(codecs.encode, "x", "hostile_helper")),
        "state_on_an_allowed_function": b"c_codecs\nencode\n(dS'_call'\ncos\nsystem\nsb(S'"
        + shell.encode()
        + b"'\ntR.",
        "persistent_id": b"\x80\x02X\x01\x00\x00\x00aQ.",
    }

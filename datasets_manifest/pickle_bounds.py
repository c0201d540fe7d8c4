"""The memory that a pickle asks for before any value of it is there: a few bytes can ask for more than there is."""

from __future__ import annotations

import pickletools
import re

_FEW = 1 << 24
"""Numbers below it are no matter, however short the pickle: they take 256 MB."""
_WITH_LENGTH = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_SHORT = 32
"""Texts below these many bytes are passed by the expression, longer ones one by one."""
_LENGTH_BYTES = {
    ord(opcode.code): _WITH_LENGTH[opcode.arg.n]
    for opcode in pickletools.opcodes
    if opcode.arg is not None and opcode.arg.n in _WITH_LENGTH
}


def _passed() -> re.Pattern[bytes]:
    """What may be passed over at once: opcodes with arguments that ask for nothing."""

    def those(size: int) -> bytes:
        own = [o.code.encode("latin1") for o in pickletools.opcodes if (o.arg.n if o.arg else 0) == size]
        return b"[" + re.escape(b"".join(code for code in own if code not in b"rpci.")) + b"]"

    short = re.escape(bytes(code for code, width in _LENGTH_BYTES.items() if width == 1))
    texts = b"|".join(re.escape(bytes([length])) + b".{%d}" % length for length in range(_SHORT))
    sized = b"|".join(those(size) + b".{%d}" % size for size in (0, 1, 2, 4, 8))
    lines = those(pickletools.UP_TO_NEWLINE) + rb"[^\n]*\n|[ci][^\n]*\n[^\n]*\n|p[0-9]{1,7}\n"
    return re.compile(rb"(?s)(?:%b|[%b](?:%b)|%b|r...\x00)*+" % (sized, short, texts, lines))


_PASSED = _passed()


def asks_for_too_much(data: bytes) -> bool:
    """Whether a pickle remembers a value under a number that it cannot have counted up to.

    The reader makes room for all numbers below; whoever counts has no more of them than bytes.
    """
    at = 0
    while (at := _PASSED.match(data, at).end()) < len(data):  # type: ignore[union-attr]
        code = data[at]
        if (width := _LENGTH_BYTES.get(code)) is not None:
            at += 1 + width + int.from_bytes(data[at + 1 : at + 1 + width], "little")
        elif code == ord("r"):
            if int.from_bytes(data[at + 1 : at + 5], "little") > max(_FEW, len(data)):
                return True
            at += 5
        else:  # Places in text have fewer than eight digits. At anything else a reader stops as well.
            return code == ord("p")
    return False

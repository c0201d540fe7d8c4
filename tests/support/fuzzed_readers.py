"""All readers of files that others wrote, for fuzzing by Hypothesis and by coverage."""

from __future__ import annotations

from fuzzed_arrays import ARRAYS
from fuzzed_parquet import PARQUET
from fuzzed_tables import TABLES
from fuzzed_texts import TEXTS

READERS = {reader.name: reader for reader in (*TEXTS, *TABLES, *PARQUET, *ARRAYS)}

WORDS = (
    *(b"null", b"NaN", b"-1", b"1e999", b"9" * 25, b"0x10", b"2026-13-45", b"~", b"''", b"\0", b"\xff\xfe", b"[]"),
    *(b"{}", b"true", b"[" * 3000, b'{"a":' * 3000, b"a: &a [*a]", b"!!python/object/apply:os.system [id]", b"../x"),
    *(b"<<: *a", b"\n- ", b"? ", b"|", b"%", b"cos\nsystem\n", b"\x80\x04", b"R.", b"PAR1", b"/etc/passwd"),
)
"""What an edit may put into a file besides bytes at random."""

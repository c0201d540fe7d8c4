"""Not a test: fuzzes one reader guided by coverage, for some seconds (``make fuzz`` does so for all of them).

python guided_fuzz.py <reader> <seconds> <folder>     needs atheris; each fault found is a file in <folder>/finds, once
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

PRODUCT = ["datasets_manifest", "model.weights", "model.tensor_file", "model.body.official_files", "tasks.annotate"]
TEXT = (".yaml", ".json")
LONGEST = (40_000, 1_500)
"""Bytes of a file; of text fewer, since a thousand nested lists take the parser seconds."""
LIBRARIES = ["tarfile", "zipfile", "yaml", "json", "numpy.lib.format", "PIL"]
"""Of which every branch guides, besides the readers."""

with atheris.instrument_imports(include=[*PRODUCT, *LIBRARIES]):
    from fuzzed_readers import READERS


def main(name: str, seconds: int, folder: Path) -> None:
    """Runs until the time is over; a crash of the process itself leaves its input in the folder too."""
    reader, kind = READERS[name], name.replace(" ", "_")
    corpus, finds = folder / "corpus" / kind, folder / "finds" / kind
    corpus.mkdir(parents=True, exist_ok=True)
    finds.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    for number, seed in enumerate(reader.seeds(scratch)):
        (corpus / f"seed{number}").write_bytes(seed)
    hostile = scratch / "alone"
    hostile.mkdir()
    seen: set[str] = set()

    def once(data: bytes) -> None:
        if (problem := reader.problem(hostile, data)) is not None:
            place = traceback.extract_tb(problem.__traceback__)[-1]
            what = f"{type(problem).__name__}-{Path(place.filename).stem}-{place.lineno}"
            if what not in seen:
                seen.add(what)
                (finds / what).write_bytes(data)
                print(f"found {name}: {what}: {problem}"[:300], flush=True)

    limits = [
        f"-max_total_time={seconds}",
        "-timeout=60",
        "-rss_limit_mb=3000",
        f"-max_len={LONGEST[reader.suffix in TEXT]}",
    ]
    atheris.Setup(["guided_fuzz", str(corpus), f"-artifact_prefix={finds}/", *limits, "-verbosity=0"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

"""Frames of a video a second and core: in one go, as shards read them, and in any order.

    python -m benchmarks.video_frames                                the table of docs/benchmarks/speed.md
    python -m benchmarks.video_frames --sizes 320x240 --frames 60    a check of the program

The clip is a texture that moves, as H.264 with B-frames and open GOPs. `PyAV` decodes it in one go, which no reading of
single frames can beat. `in order` reads all frames by their numbers, `shards` runs of 32 neighbours in a random order,
each after the keyframe before it, `any order` single frames: pixels, as prediction takes them. `bytes` are the same
shards as an annotation takes them: as picture files, which are decoded. Processor time, one thread.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import torch

from benchmarks.measure import timed
from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.video import VideoClip, frame_name

CPU = torch.device("cpu")
SHARD = 32
WAYS = ("PyAV", "in order", "shards", "bytes", "any order")
COLUMNS = (
    Column(title="frames", text=lambda row: str(row["size"])),
    Column(title="keyframe every", text=number("gop", "{:d}", 1)),
    Column(title="listed ms", text=number("listed", "{:.0f}", 1e3)),
    *(Column(title=f"{way} /s", text=number(way, "{:.0f}")) for way in WAYS),
)


def write_clip(path: Path, width: int, height: int, num_frames: int, gop: int) -> None:
    """A texture that drifts, H.264."""
    noise = np.random.default_rng(0).integers(0, 255, (height // 8 + 32, width // 8 + 32, 3), np.uint8)
    texture = noise.repeat(8, axis=0).repeat(8, axis=1)
    parameters = f"open-gop=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=3:log-level=none"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "fast", "x264-params": parameters})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(num_frames):
            x, y = 3 * i % 250, 2 * i % 250
            picture = np.ascontiguousarray(texture[y : y + height, x : x + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _in_one_go(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="bgr24", interpolation="BICUBIC", threads=1)


def measure(path: Path, size: str, gop: int) -> Row:
    """One row of the table."""
    clip, listed = timed(lambda: VideoClip.index(path, name="clip"), CPU)
    num_frames = len(clip.frames.times_s)
    rng = np.random.default_rng(0)
    firsts = rng.permutation(np.arange(0, num_frames, SHARD))
    shards = [int(i) for first in firsts for i in range(first, min(first + SHARD, num_frames))]
    singles = rng.permutation(num_frames)[: max(16, num_frames // 8)].tolist()
    reads: dict[str, tuple[int, Callable[[], object]]] = {
        "PyAV": (num_frames, lambda: sum(1 for _ in _in_one_go(path))),
        "in order": (num_frames, lambda: [int(clip.rgb(i)[0, 0, 0]) for i in range(num_frames)]),
        "shards": (num_frames, lambda: [int(clip.rgb(i)[0, 0, 0]) for i in shards]),
        "bytes": (num_frames, lambda: [decode_image(clip.read(frame_name(i)), name="frame")[0, 0, 0] for i in shards]),
        "any order": (len(singles), lambda: [int(clip.rgb(i)[0, 0, 0]) for i in singles]),
    }
    rates = {way: number / timed(read, CPU)[1] for way, (number, read) in reads.items()}
    return {"size": size, "gop": gop, "listed": listed, **rates}


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures and prints the table; returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1280x720", "1920x1080"])
    parser.add_argument("--gops", nargs="+", type=int, default=[30, 250])
    parser.add_argument("--frames", type=int, default=512)
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            width, height = map(int, size.split("x"))
            for gop in options.gops:
                path = Path(folder) / f"{size}-{gop}.mp4"
                write_clip(path, width, height, options.frames, gop)
                rows.append(measure(path, size, gop))
    print(markdown(rows, COLUMNS))
    return rows


if __name__ == "__main__":
    main()

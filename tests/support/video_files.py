"""Small videos for tests."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FPS, SIZE = 10, (96, 64)
STEP = 12
"""Grey levels between two frames."""
OPEN_GOP = {"x264-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0:log-level=none"}
"""H.264 whose keyframes are preceded by frames that are stored after them and need the keyframe before."""


def write_video(path: Path, num_frames: int = 20, code: str = "MJPG") -> Path:
    """Frame i is i * STEP grey (from 22 on they repeat), its left half red only."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), FPS, SIZE)
    assert writer.isOpened()
    for i in range(num_frames):
        writer.write(_picture(i)[..., ::-1])
    writer.release()
    return path


def write_clip(
    path: Path,
    num_frames: int = 20,
    codec: str = "libx264",
    *,
    options: dict[str, str] | None = None,
    times_s: Iterable[float] | None = None,
    pixels: str = "yuv420p",
    tick: Fraction = Fraction(1, 1000),
    turned: tuple[int, bool, bool] | None = None,
) -> Path:
    """The frames of ``write_video`` by a codec of one's choice, with a speckle that moves.

    Args:
        path: Its suffix says which container.
        num_frames: How many.
        codec: As FFmpeg calls the encoder.
        options: Of the encoder.
        times_s: When each is shown; None: at FPS.
        pixels: Their format.
        tick: Unit of the times, s.
        turned: How it must be turned to stand upright: degrees counterclockwise, mirrored, upside down.
    """
    with _as_before(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options or {})
        stream.width, stream.height = SIZE
        stream.pix_fmt = pixels
        stream.codec_context.time_base = stream.time_base = tick
        if turned is not None:
            stream.set_display_rotation(*turned)
        times = (i / FPS for i in range(num_frames)) if times_s is None else times_s
        for i, time_s in zip(range(num_frames), times, strict=True):
            rgb = _picture(i)
            rgb[(7 * i) % 48 : (7 * i) % 48 + 9, (11 * i) % 80 : (11 * i) % 80 + 13] = 255 - i
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = round(time_s / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@contextmanager
def _as_before() -> Iterator[None]:
    """The calling thread keeps its place among all: SVT-AV1 makes it a realtime one where it may, as root may, and
    whatever the process does later would go before all that others do."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def _picture(i: int) -> np.ndarray:
    rgb = np.full((SIZE[1], SIZE[0], 3), i * STEP % 256, np.uint8)
    rgb[:, : SIZE[0] // 2, 1:] = 0
    return rgb

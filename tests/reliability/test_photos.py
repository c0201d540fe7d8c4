"""Photos: what is broken has its code, what is too large costs nothing, what is turned is turned once."""

import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
from image_files import BAD, GOOD, INVERSE, TOO_LARGE, png_of
from PIL import Image

from datasets_manifest.sources.images import ImageError, decode_image
from model.estimators.base import ImageInput

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")


@pytest.mark.promise(
    15,
    "A broken photo is refused with its code and never half shown",
    "40 broken files, cut at 10, 50 and 90 %, of other kinds, empty, damaged: 100 % the code that is expected; CMYK, "
    "grey, 16 bit and palettes are decoded",
)
def test_broken_files_are_refused_with_their_codes(measured):
    assert len(BAD) >= 40
    for name, (data, code) in BAD.items():
        with pytest.raises(ImageError) as caught:
            decode_image(data, name=f"{name}.jpg")
        assert caught.value.code == code, f"{name}: {caught.value}"
        assert name in caught.value.detail
    for name, (data, expected, tolerance) in GOOD.items():
        rgb = decode_image(data, name=name)
        assert np.quantile(np.abs(rgb.astype(int) - expected.astype(int)), 0.99) <= tolerance, name
    measured(f"{len(BAD)} broken files refused with their code, {len(GOOD)} unusual ones decoded")


BOMB = """
import sys, time
from pathlib import Path
from datasets_manifest.sources.images import ImageError, decode_image
start = time.process_time()
try:
    decode_image(open(sys.argv[1], "rb").read(), name="bomb")
except ImageError as error:
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(error.code, time.process_time() - start, int(peak) / 1024)
"""


@pytest.mark.promise(
    16,
    "A picture that unpacks to gigabytes is refused before it is decoded; a turned one is turned once",
    "a PNG of 30,000 x 30,000 px is refused in 5 s and below 1 GB; the 8 turns of EXIF give the same keypoints",
)
def test_a_bomb_is_refused_fast_and_small(tmp_path, measured):
    packer = zlib.compressobj(9)
    row = bytes(1 + 30000 // 8)
    bomb = png_of(30000, 30000, 1, 0, b"".join(packer.compress(row) for _ in range(30000)) + packer.flush())
    (tmp_path / "bomb.png").write_bytes(bomb)
    command = [sys.executable, "-c", BOMB, str(tmp_path / "bomb.png")]
    code, seconds, megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert code == TOO_LARGE
    assert float(seconds) < 5
    assert float(megabytes) < 1000
    measured(f"a PNG of {len(bomb) / 1000:.0f} kB: {float(seconds):.2f} s, the process at {float(megabytes):.0f} MB")


@pytest.mark.promise(16)
@pytest.mark.long
def test_the_eight_turns_of_exif_give_the_same_keypoints(measured):
    data = pytest.importorskip("skimage.data", reason="the photos of the demo are in the extra demo")
    from model.estimators.mediapipe.keypoints import MediapipeKeypoints

    astronaut = Image.fromarray(data.astronaut())
    estimator, found = MediapipeKeypoints(), []
    for orientation, turn in INVERSE.items():
        stored = astronaut if turn is None else astronaut.transpose(turn)
        exif, buffer = Image.Exif(), io.BytesIO()
        exif[0x0112] = orientation
        stored.save(buffer, format="PNG", exif=exif)
        rgb = decode_image(buffer.getvalue(), name="astronaut")
        image = ImageInput(image_id="astronaut", rgb=rgb, focal_px=700.0, principal_px=np.full(2, 256.0))
        found.append(estimator.estimate(image))
    assert len(found[0].keypoints) == 1
    assert (found[0].keypoints[0, :, 2] > 0).sum() > 40
    for other in found[1:]:
        np.testing.assert_array_equal(other.keypoints, found[0].keypoints)
    measured(f"{len(found)} turns of a photo: MediaPipe's keypoints the same to the bit")

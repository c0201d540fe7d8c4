"""Videos: every frame has one number and one set of pixels, however it is reached; a file that is no video is told."""

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pickling import sent
from video_files import FPS, OPEN_GOP, SIZE, STEP, write_clip, write_video

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.settings import read_settings
from datasets_manifest.sources.frame_choice import FrameChoice
from datasets_manifest.sources.images import ImageError, decode_image
from datasets_manifest.sources.video import VideoClip, is_video
from datasets_manifest.sources.video_index import StatedLength, stated_length

NUM_FRAMES = 20
TIMES = np.cumsum([0.04, 0.1, 0.04, 0.9, 0.02] * 8).tolist()
"""Of a clip whose rate varies, and that does not begin at 0."""


def clip_of(path):
    return VideoClip.index(path, name="clip")


def from_the_beginning(path):
    """Every frame that plain decoding gives, in its order, as it lies in the file."""
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="bgr24", interpolation="BICUBIC")[..., ::-1] for frame in container.decode(video=0)
        ]


@pytest.fixture(scope="module", params=["clip.avi", "clip.mp4", "clip.mkv"])
def video(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / request.param
    return write_video(path, NUM_FRAMES, "MJPG" if path.suffix == ".avi" else "mp4v")


def grey(rgb):
    return rgb[:, SIZE[0] // 2 + 8 :].mean()


def test_every_frame_comes_once_in_order_and_in_rgb(video):
    clip = clip_of(video)
    assert clip.chosen(FrameChoice()) == list(range(NUM_FRAMES))
    assert clip.frames.times_s.tolist() == pytest.approx([i / FPS for i in range(NUM_FRAMES)], abs=1e-3)
    for number in range(NUM_FRAMES):
        rgb = clip.rgb(number)
        assert rgb.shape == (SIZE[1], SIZE[0], 3)
        assert rgb.dtype == np.uint8
        assert grey(rgb) == pytest.approx(number * STEP, abs=5)
    red, green, blue = clip.rgb(NUM_FRAMES - 1)[:, : SIZE[0] // 2 - 8].mean((0, 1))
    assert red > 150
    assert max(green, blue) < 90


CLIPS = {
    "constant rate": ("a.mp4", {}),
    "varying rate": ("a.mp4", {"times_s": TIMES, "options": OPEN_GOP}),
    "varying rate, Matroska": ("a.mkv", {"times_s": TIMES, "options": OPEN_GOP}),
    "late start": ("a.mkv", {"times_s": [3 + i / FPS for i in range(40)], "options": OPEN_GOP}),
    "late start, MP4": ("a.mp4", {"times_s": [3 + i / FPS for i in range(40)], "options": OPEN_GOP}),
    "closed GOP": ("a.mp4", {"options": {"g": "8", "bf": "3"}}),
    "open GOP": ("a.mp4", {"options": OPEN_GOP}),
    "open GOP, HEVC": (
        "a.mp4",
        {"codec": "libx265", "options": {"x265-params": "open-gop=1:keyint=8:bframes=3:scenecut=0:log-level=none"}},
    ),
    "no keyframes but the first": ("a.mp4", {"options": {"x264-params": "intra-refresh=1:keyint=10:bframes=0"}}),
    "10 bit": ("a.mp4", {"pixels": "yuv420p10le"}),
    "AVI with frames out of order": ("a.avi", {"options": OPEN_GOP, "tick": Fraction(1, FPS)}),
    "AVI with frames left out": ("a.avi", {"codec": "mpeg4", "times_s": [i / 2 for i in range(40)]}),
    "MPEG-4 out of order": ("a.avi", {"codec": "mpeg4", "options": {"bf": "2"}, "tick": Fraction(1, FPS)}),
    "MPEG program stream": ("a.mpg", {"codec": "mpeg1video", "tick": Fraction(1, 25), "times_s": np.arange(40) / 25}),
    "VP9": ("a.webm", {"codec": "libvpx-vp9"}),
    "AV1": ("a.mp4", {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "keyint=16"}}),
    "keyframes alone": ("a.mkv", {"codec": "ffv1", "pixels": "bgr0"}),
    "WMV": ("a.wmv", {"codec": "wmv2"}),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.long] if place % 3 else []) for place, kind in enumerate(CLIPS)]
)
def test_any_frame_has_the_pixels_that_reading_from_the_beginning_gives(kind, tmp_path):
    name, how = CLIPS[kind]
    path = write_clip(tmp_path / name, 40, **how)
    expected = from_the_beginning(path)
    clip = clip_of(path)
    assert clip.cut is None
    assert clip.chosen(FrameChoice()) == list(range(len(expected))) == list(range(40))
    if "times_s" in how or "tick" not in how:
        times = list(how.get("times_s", np.arange(40) / FPS))
        assert clip.frames.times_s.tolist() == pytest.approx([t - times[0] for t in times], abs=2e-3)
    rng = np.random.default_rng(0)
    for number in [*rng.permutation(40), *range(0, 40, 3), 39, *range(7, 30)]:
        np.testing.assert_array_equal(clip.rgb(int(number)), expected[number])
    assert not np.array_equal(expected[5], expected[6])


@pytest.mark.parametrize("name", ["phone.3gp", "camcorder.MTS", "camcorder.m2ts"])
def test_videos_of_phones_and_camcorders_have_their_frames(name, tmp_path):
    assert is_video(name)
    clip = clip_of(write_clip(tmp_path / name.lower(), 10, tick=Fraction(1, 90_000)))
    assert clip.frames.times_s.tolist() == pytest.approx(np.arange(10) / FPS, abs=1e-3)
    assert [grey(clip.rgb(number)) for number in (0, 7, 9)] == pytest.approx([0, 84, 108], abs=15)


def test_a_picture_that_is_never_shown_has_no_number(tmp_path):
    """VP8 keeps pictures that others are made from; here a shown one is declared such."""
    path = write_clip(tmp_path / "a.webm", 12, "libvpx", options={"g": "4"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packet = [bytes(packet) for packet in container.demux(video=0)][6]
    assert packet[0] & 0x10
    data[data.index(packet)] &= ~0x10
    path.write_bytes(data)
    clip = clip_of(path)
    assert clip.frames.times_s.tolist() == pytest.approx([i / FPS for i in range(12) if i != 6])
    expected = from_the_beginning(path)
    for number in (10, 6, 5, 7):
        np.testing.assert_array_equal(clip.rgb(number), expected[number])


def test_a_frame_is_read_as_a_picture_file_of_its_pixels(video):
    clip = clip_of(video)
    np.testing.assert_array_equal(decode_image(clip.read("000007"), name="frame"), clip.rgb(7))


@pytest.mark.parametrize("member", ["000020", "-1", "1.5", "", "seven", "٣"])
def test_a_frame_that_is_none_is_missing(video, member):
    with pytest.raises(ImageError, match="clip has") as caught:
        clip_of(video).read(member)
    assert caught.value.code == ErrorCode.IMAGE_MISSING


def test_threads_and_forks_read_the_same_frames(tmp_path):
    path = write_clip(tmp_path / "a.mp4", 40, options=OPEN_GOP)
    clip = clip_of(path)
    expected = from_the_beginning(path)

    def is_right(number):
        return np.array_equal(clip.rgb(number), expected[number])

    numbers = np.random.default_rng(0).permutation(np.repeat(np.arange(40), 3)).tolist()
    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(is_right, numbers))
    assert is_right(20)
    child = os.fork()
    if child == 0:
        os._exit(0 if all(is_right(number) for number in (21, 3, 22, 4)) else 1)
    assert all(is_right(number) for number in (21, 22, 23, 24))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(sent(clip).rgb(9), expected[9])


def test_frames_in_order_are_decoded_once(tmp_path, monkeypatch):
    decoded = []

    def counted(stream, packet, whole=av.video.stream.VideoStream.decode):
        decoded.append(1)
        return whole(stream, packet)

    clip = clip_of(write_clip(tmp_path / "a.mp4", 40, options=OPEN_GOP))
    monkeypatch.setattr(
        "datasets_manifest.sources.video_decoder.frames_of", lambda stream, packet: counted(stream, packet)
    )
    for number in range(20, 40):
        clip.rgb(number)
    assert len(decoded) <= 20 + 8 + 5, "what is asked for, what lies before it from the keyframe on, and a few"


def test_a_replaced_file_is_indexed_anew_and_an_old_index_reads_nothing(tmp_path):
    path = write_clip(tmp_path / "a.mp4", 12)
    clip = clip_of(path)
    assert clip.current() is clip
    clip.rgb(3)
    write_clip(path, 7)
    assert len(clip.current().frames.times_s) == 7
    path.rename(tmp_path / "b.mp4")
    with ThreadPoolExecutor(1) as pool, pytest.raises(ImageError, match="cannot be opened any more") as caught:
        pool.submit(clip.rgb, 3).result()
    assert caught.value.code == ErrorCode.IMAGE_MISSING
    write_clip(path, 7)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ImageError, match="changed since it was indexed"):
        pool.submit(clip.rgb, 3).result()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (FrameChoice(every=7), [0, 7, 14]),
        (FrameChoice(fps=5), list(range(0, NUM_FRAMES, 2))),
        (FrameChoice(fps=100), list(range(NUM_FRAMES))),
        (FrameChoice(every=4, fps=5), [0, 4, 8, 12, 16]),
    ],
)
def test_chosen_frames_are_the_same_frames(video, choice, expected):
    clip = clip_of(video)
    assert clip.chosen(choice) == expected
    assert [grey(clip.rgb(number)) for number in expected] == pytest.approx([i * STEP for i in expected], abs=5)


@given(rate=st.floats(5, 120), fps=st.floats(0.5, 60), seconds=st.floats(0.5, 5))
def test_no_more_frames_a_second_than_asked_for(rate, fps, seconds):
    times = np.arange(0, seconds, 1 / rate)
    choice = FrameChoice(fps=fps)
    chosen = [t for i, t in enumerate(times) if choice.wants(i, t, times[i - 1] if i else None)]
    assert len(chosen) <= times[-1] * fps + 1.001
    assert len(chosen) >= min(len(times), int(times[-1] * min(fps, rate)))


TURNED = {
    (90, False, False): lambda rgb: np.rot90(rgb, 1),
    (180, False, False): lambda rgb: np.rot90(rgb, 2),
    (-90, False, False): lambda rgb: np.rot90(rgb, 3),
    (0, True, False): lambda rgb: rgb[:, ::-1],
    (0, False, True): lambda rgb: rgb[::-1],
    (90, True, False): lambda rgb: np.rot90(rgb, 1)[:, ::-1],
    (30, False, False): lambda rgb: rgb,
}


@pytest.mark.parametrize("turned", TURNED)
def test_a_video_that_was_held_otherwise_is_upright(turned, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 3, turned=turned)
    expected = TURNED[turned](from_the_beginning(path)[2])
    np.testing.assert_array_equal(clip_of(path).rgb(2), expected)


def test_a_video_that_was_filmed_upright_is_upright(tmp_path):
    """Telephones write the sensor's picture and how to turn it; here a quarter turn clockwise."""
    path = write_video(tmp_path / "clip.mp4", 3, "mp4v")
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 5 * 4 + 8 + 4 * 2
    one = 1 << 16
    assert struct.unpack(">9i", data[place : place + 36]) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    data[place : place + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, SIZE[1] * one, 0, 1 << 30)
    path.write_bytes(data)
    rgb = clip_of(path).rgb(2)
    assert rgb.shape == (SIZE[0], SIZE[1], 3)
    red = rgb[..., 0].astype(int) - rgb[..., 1]
    assert red[: SIZE[0] // 2 - 8].mean() > 15, "the left half is now the upper one"
    assert abs(red[SIZE[0] // 2 + 8 :].mean()) < 5


@pytest.mark.parametrize("spread", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5, 9, None], ids=["BT.709", "BT.601", "BT.2020", "not stated"])
def test_colours_follow_the_stated_matrix_and_range(matrix, spread, tmp_path):
    colour = (30, 180, 60)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "1"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = spread
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        flat = av.VideoFrame.from_ndarray(np.full((SIZE[1], SIZE[0], 3), colour, np.uint8), format="rgb24")
        flat = flat.reformat(format="yuv420p", dst_colorspace=matrix or 5, dst_color_range=spread)
        container.mux(stream.encode(flat))
        container.mux(stream.encode(None))
    assert clip_of(path).rgb(0)[30, 40].tolist() == pytest.approx(colour, abs=4)


def cut_file(path, share):
    """The first part of a file of 40 frames; MP4 with its table of frames in front."""
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    whole = write_clip(path.with_stem("whole"), 40, options=OPEN_GOP)
    if options:
        with av.open(str(whole)) as source, av.open(str(path), "w", options=options) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        whole.write_bytes(path.read_bytes())
    path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    return whole


@pytest.mark.parametrize("share", [0.5, 0.75])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_video_that_was_cut_has_its_frames_and_a_code_for_each_of_the_others(tmp_path, share, suffix):
    cut = (tmp_path / "cut.mkv").with_suffix(suffix)
    expected = from_the_beginning(cut_file(cut, share))
    clip = clip_of(cut)
    num_frames = len(clip.frames.times_s)
    assert 5 < num_frames < 40
    assert clip.cut.code == "video_truncated"
    assert f"states 40 frames (4.00 s), but it ends after {num_frames} (" in clip.cut.detail
    for number in range(num_frames - 1):
        np.testing.assert_array_equal(clip.rgb(number), expected[number])
    for number in range(num_frames, 40):
        with pytest.raises(ImageError, match="video_truncated"):
            clip.rgb(number)
    assert clip.chosen(FrameChoice()) + clip.missing(FrameChoice()) == list(range(40))
    assert clip.missing(FrameChoice(every=9)) == [number for number in (9, 18, 27, 36) if number >= num_frames]


def test_a_whole_video_misses_nothing(video):
    assert clip_of(video).missing(FrameChoice()) == []


@pytest.mark.parametrize("name", ["cut.mp4", "noise.mp4", "text.avi", "empty.mkv", "sound.mkv", "list.mp4"])
def test_what_is_no_video_is_said_once_and_nothing_else_is_printed(tmp_path, capfd, name):
    content = {
        "cut.mp4": lambda: write_video(tmp_path / "whole.mp4", NUM_FRAMES, "mp4v").read_bytes()[:-700],
        "noise.mp4": lambda: np.random.default_rng(0).bytes(5000),
        "text.avi": lambda: b"this is a text",
        "empty.mkv": lambda: b"",
        "sound.mkv": lambda: sound(tmp_path / "whole.mkv").read_bytes(),
        "list.mp4": lambda: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    }
    path = tmp_path / name
    path.write_bytes(content[name]())
    with pytest.raises(ImageError, match=f"{name} .* cannot be opened") as caught:
        VideoClip.index(path, name=name)
    assert caught.value.code == "video_unreadable"
    assert capfd.readouterr() == ("", "")


def sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp2", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152 * 2), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_video_of_which_nothing_can_be_decoded_is_unreadable(tmp_path):
    path = write_video(tmp_path / "a.avi", 3)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    data = path.read_bytes()
    for packet in filter(None, packets):
        data = data.replace(packet, bytes(len(packet)))
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"no frame that can be decoded \(codec \w+\)") as caught:
        clip_of(path)
    assert caught.value.code == "video_unreadable"


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", b"avc1"), ("a.mkv", b"V_MPEG4/ISO/AVC")])
def test_a_codec_without_a_decoder_is_said_with_the_way_on(tmp_path, name, codec):
    path = write_clip(tmp_path / name, 3)
    path.write_bytes(path.read_bytes().replace(codec, codec[:-3] + b"XYZ"))
    with pytest.raises(ImageError, match=r"video_unreadable: .* no decoder for its video stream; convert it"):
        clip_of(path)


def test_a_missing_file_and_a_numbered_pattern_are_no_files(tmp_path):
    write_video(tmp_path / "img_00.mp4", 2, "mp4v")
    for name in ("gone.mp4", "img_%02d.mp4"):
        with pytest.raises(ImageError, match=rf"image_missing: {name} does not exist"):
            VideoClip.index(tmp_path / name, name=name)


def test_a_video_with_too_large_frames_is_refused(video):
    with pytest.raises(ImageError, match="image_too_large: clip is 96 x 64"):
        VideoClip.index(video, name="clip", max_pixels=1000)


def test_the_header_states_the_length(video, tmp_path):
    assert stated_length(video) == StatedLength(frames=NUM_FRAMES, fps=FPS)
    assert stated_length(tmp_path / "gone.mp4") == StatedLength(frames=0, fps=0.0)


def test_a_video_of_varying_rate_whose_time_is_complete_is_not_cut():
    """Some containers state length times rate: there are fewer frames than that, but the last comes at the end."""
    stated = StatedLength(frames=300, fps=30.0)
    assert not stated.ends_early(150, 9.95)
    assert stated.ends_early(150, 4.98)
    assert not stated.ends_early(299, 9.93)
    assert not StatedLength(frames=0, fps=0.0).ends_early(5, 0.2)


@pytest.mark.parametrize("wrong", [{"every": 0}, {"fps": -1.0}, {"fps": float("nan")}, {"fps": float("inf")}])
def test_a_choice_out_of_range_names_field_and_value(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        read_settings(FrameChoice, wrong, "frames")

"""Pictures that change their size, shape, samples or colours on the way, and frames with side data without a name."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from media import BLUE, GREEN, RED, Rgb, encode, pattern, save, to_frame
from PIL import Image

from vidguard.types import FrameBatch, PictureSize
from vidguard.video import open_source
from vidguard.video.keyframes import open_key_frames
from vidguard.video.letterbox import Letterbox


def packets(
    pictures: Sequence[Rgb], codec: str, aspect: Fraction | None = None, pixel_format: str = "yuv420p"
) -> list[bytes]:
    height, width = pictures[0].shape[:2]
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, pixel_format
    encoder.time_base, encoder.colorspace, encoder.color_range = Fraction(1, 10), 5, 1
    encoder.options = {
        "g": "5",
        "bf": "0",
        "crf": "10",
        **({"preset": "ultrafast"} if codec == "libx264" else {"b": "0"}),
    }
    if aspect is not None:
        encoder.sample_aspect_ratio = aspect
    found = []
    for index, picture in enumerate(pictures):
        frame = to_frame(picture, pixel_format)
        frame.pts, frame.time_base = index, encoder.time_base
        found += [bytes(packet) for packet in encoder.encode(frame)]
    return found + [bytes(packet) for packet in encoder.encode(None)]


def joined(parts: Sequence[Sequence[bytes]], container: str, codec: str, size: tuple[int, int]) -> bytes:
    """One stream of encoded parts at 10 frames/s, whose header speaks of the first part's size."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = target.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        target.start_encoding()
        for index, data in enumerate(data for part in parts for data in part):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, index % 5 == 0
            target.mux(packet)
    return out.getvalue()


def ramp(sizes: Sequence[tuple[int, int]], container: str = "webm", codec: str = "libvpx") -> bytes:
    parts = [packets([pattern(i, w, h) for i in range(10 * k, 10 * k + 10)], codec) for k, (w, h) in enumerate(sizes)]
    return joined(parts, container, codec, sizes[0])


def assert_pattern(frame: torch.Tensor) -> None:
    height, width = frame.shape[1:]
    for color, y, x in ((RED, 0.25, 0.25), (GREEN, 0.25, 0.75), (BLUE, 0.75, 0.25)):
        assert (frame[:, int(height * y), int(width * x)].int() - torch.tensor(color)).abs().max() < 30


RAMPS = [
    ("webm", "libvpx", [(160, 96), (320, 192), (96, 160)]),
    ("mpegts", "libx264", [(160, 96), (96, 160)]),
    ("mpegts", "libx264", [(320, 192), (160, 96), (320, 192)]),
]


@pytest.mark.parametrize(("container", "codec", "sizes"), RAMPS)
def test_every_frame_keeps_its_size_and_time(container: str, codec: str, sizes: list[tuple[int, int]]) -> None:
    with open_source(ramp(sizes, container, codec)) as reader:
        batches = list(reader.batches(batch_size=7))
        assert not reader.damaged, reader.notes
        origin = reader.info.origin_seconds
        assert [(s.width, s.height) for s in reader.info.sizes] == sizes
        assert [s.start - origin for s in reader.info.sizes] == pytest.approx([float(k) for k in range(len(sizes))])
        for k, size in enumerate(sizes[1:], 1):
            assert f"the picture's size changes to {size[0]}x{size[1]} at {k:.2f} s" in reader.notes
    shown = [(f, t - origin) for b in batches for f, t in zip(b.frames, b.pts_seconds)]
    assert [t for _, t in shown] == pytest.approx([k / 10 for k in range(10 * len(sizes))], abs=1e-3)
    for index, (frame, _) in enumerate(shown):
        assert (frame.shape[2], frame.shape[1]) == sizes[index // 10]
        assert_pattern(frame)


def test_frames_at_fits_them_into_the_largest() -> None:
    with open_source(ramp([(160, 96), (96, 160)])) as reader:
        batch = reader.frames_at([0.5, 1.5])
    assert batch.frames.shape == (2, 3, 160, 160)
    assert_pattern(batch.frames[0, :, 32:128])
    assert_pattern(batch.frames[1, :, :, 32:128])
    assert int(batch.frames[0, :, :30].max()) == 0


def test_key_frames_keep_their_size(tmp_path: Path) -> None:
    path = save(tmp_path, "ramp.webm", ramp([(160, 96), (96, 160)]))
    with open_key_frames(path, max_frames=4) as reader:
        frames = [batch.frames[0] for batch in reader.batches()]
    assert {(f.shape[2], f.shape[1]) for f in frames} == {(160, 96), (96, 160)}
    for frame in frames:
        assert_pattern(frame)


def test_samples_that_change_their_shape_are_stretched_from_there_on() -> None:
    plain = packets([pattern(i, 96, 96) for i in range(10)], "libx264", Fraction(1, 1))
    wide = packets([pattern(i, 96, 96) for i in range(10, 20)], "libx264", Fraction(2, 1))
    with open_source(joined([plain, wide], "mpegts", "libx264", (96, 96))) as reader:
        sizes = [(b.frames.shape[3], b.frames.shape[2]) for b in reader.batches(batch_size=1)]
        assert [s.width for s in reader.info.sizes] == [96, 192]
    assert sizes == [(96, 96)] * 10 + [(192, 96)] * 10


@pytest.mark.parametrize("aspects", [("1/1", "2/1", "1/1"), ("2/1", "1/2"), ("4/3", "1/1")])
def test_each_part_has_the_shape_of_its_samples(aspects: tuple[str, ...]) -> None:
    shapes = [Fraction(aspect) for aspect in aspects]
    parts = [packets([pattern(i, 96, 96) for i in range(10)], "libx264", aspect) for aspect in shapes]
    data = joined(parts, "mpegts", "libx264", (96, 96))
    widths = [round(96 * aspect) for aspect in shapes]
    with open_source(data) as reader:
        frames = [frame for batch in reader.batches() for frame in batch.frames]
        assert [s.width for s in reader.info.sizes] == widths
        assert not reader.damaged
    assert [(f.shape[2], f.shape[1]) for f in frames] == [(w, 96) for w in widths for _ in range(10)]
    for frame in frames:
        assert_pattern(frame)
    with open_key_frames(data, max_frames=8) as keys:
        seen = [(batch.frames.shape[3], batch.frames[0]) for batch in keys.batches(batch_size=1)]
    assert {width for width, _ in seen} == set(widths)
    for _, frame in seen:
        assert_pattern(frame)


FORMATS = ["yuv420p", "yuv444p", "yuv420p10le", "yuv422p", "yuv444p10le", "yuvj420p"]


@pytest.mark.parametrize("container", ["mpegts", "matroska"])
@pytest.mark.parametrize("pixel_format", FORMATS[1:])
@pytest.mark.parametrize("turned_round", [False, True])
def test_colours_stay_right_where_the_pixel_format_changes(
    pixel_format: str, container: str, turned_round: bool
) -> None:
    formats = ["yuv420p", pixel_format][:: -1 if turned_round else 1]
    codec = "libx264"
    parts = [packets([pattern(i, 96, 64) for i in range(10)], codec, pixel_format=name) for name in formats]
    data = joined(parts, container, codec, (96, 64))
    with open_source(data) as reader:
        frames = [frame for batch in reader.batches() for frame in batch.frames]
        assert not reader.damaged, reader.notes
        assert reader.info.sizes == ()
    assert len(frames) == 20
    for frame in frames:
        assert_pattern(frame)
    with open_key_frames(data, max_frames=8) as keys:
        for batch in keys.batches():
            assert_pattern(batch.frames[0])
        assert keys.num_frames_decoded == 4


def test_pictures_that_are_turned_and_mirrored_on_the_way_are_each_read_upright() -> None:
    orientations = (1, 6, 1, 4, 2, 3, 7, 8, 1)
    out = io.BytesIO()
    with av.open(out, "w", format="avi") as target:
        stream = target.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        target.start_encoding()
        for index, orientation in enumerate(orientations):
            upright = Image.fromarray(pattern(0, 96, 64))
            stored = upright.transpose(_STORED[orientation]) if orientation in _STORED else upright
            packet = av.Packet(jpeg(np.asarray(stored), orientation))
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 10), index, index
            packet.is_keyframe = True
            target.mux(packet)
    with open_source(out.getvalue()) as reader:
        frames = [frame for batch in reader.batches(batch_size=1) for frame in batch.frames]
    assert len(frames) == len(orientations)
    for orientation, frame in zip(orientations, frames):
        assert tuple(frame.shape[1:]) == (64, 96), orientation
        assert_pattern(frame)


_STORED = {  # how an upright picture is stored for its EXIF orientation to turn it back
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def jpeg(picture: Rgb, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=95, exif=exif)
    return data.getvalue()


TURNS = {1: 0, 2: "mirror", 3: 2, 6: 1, 8: 3}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("container", ["avi", "matroska", "mov"])
def test_mjpeg_of_camera_pictures_is_read_upright(orientation: int, container: str) -> None:
    turn = TURNS[orientation]
    stored = [pattern(k) for k in range(5)]
    stored = [p[:, ::-1] if turn == "mirror" else np.rot90(p, turn) for p in stored]  # type: ignore[arg-type]
    pictures = [jpeg(np.ascontiguousarray(p), orientation) for p in stored]
    data = joined([pictures], container, "mjpeg", stored[0].shape[1::-1])
    with open_source(data, backend="pyav") as reader:
        frames = torch.cat([batch.frames for batch in reader.batches()])
    assert frames.shape == (5, 3, 64, 96)
    for frame in frames:
        assert_pattern(frame)
    with open_key_frames(data, max_frames=4) as keys:
        assert_pattern(next(iter(keys.batches())).frames[0])


@pytest.mark.parametrize("name", ["clip.png", "clip.apng"])
def test_animated_png_with_exif_is_read(name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 1, "camera"
    pictures = [Image.fromarray(pattern(k)) for k in range(4)]
    pictures[0].save(tmp_path / name, "PNG", save_all=True, append_images=pictures[1:], duration=100, exif=exif)
    with open_source(tmp_path / name, backend="pyav") as reader:
        frames = torch.cat([batch.frames for batch in reader.batches()])
    assert len(frames) == 4
    assert_pattern(frames[3])


def test_a_letterbox_moves_boxes_with_the_picture() -> None:
    box = Letterbox.fit((160, 90), (1280, 720))
    assert box.box((10, 20, 30, 40)) == pytest.approx((80, 160, 240, 320))
    tall = Letterbox.fit((90, 160), (160, 160))
    assert (tall.left, tall.top, tall.size) == (35, 0, (90, 160))
    assert tall.place(np.full((160, 90, 3), 200, np.uint8))[80].max(1).tolist() == [0] * 35 + [200] * 90 + [0] * 35


def test_sizes_of_a_steady_picture_are_not_listed() -> None:
    with open_source(encode([pattern(k) for k in range(3)])) as reader:
        assert all(isinstance(batch, FrameBatch) for batch in reader.batches())
        assert reader.info.sizes == ()
    assert PictureSize(0.0, 2, 3).width == 2

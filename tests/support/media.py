"""Makes the hard files: small videos whose pixels and times are known.

The upright picture has four quadrants: red, green, blue, and grey of a level that counts frames.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from struct import pack, unpack
from typing import Any, Final

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

TICKS: Final = 1000
RED, GREEN, BLUE = (200, 40, 40), (40, 180, 40), (40, 40, 200)
Rgb = NDArray[np.uint8]


def level(index: int) -> int:
    """Grey level that counts frames, modulo 20."""
    return 40 + 9 * (index % 20)


def pattern(index: int, width: int = 96, height: int = 64) -> Rgb:
    picture = np.empty((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    picture[:top, :left], picture[:top, left:], picture[top:, :left] = RED, GREEN, BLUE
    picture[top:, left:] = level(index)
    return picture


@dataclass(frozen=True)
class HardFile:
    """What a reader must find in a file, or the error it must teach with."""

    name: str
    make: Callable[[], bytes]
    times: tuple[float, ...] = ()
    levels: tuple[int, ...] = ()
    size: tuple[int, int] = (96, 64)
    error: str | None = None
    damaged: bool = False
    notes: tuple[str, ...] = ()
    rotation: int = 0
    tolerance: int = 12
    """Of 255, on colours: what two lossy codecs and 4:2:0 may cost."""
    time_tolerance: float = 0.002
    exact_colors: bool = True
    info: dict[str, Any] = field(default_factory=dict)


def encode(
    frames: Iterable[Rgb],
    *,
    container: str = "mp4",
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: Sequence[int] | None = None,
    rate: int = 10,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    matrix: int = 5,
    full_range: bool = False,
    trc: int | None = None,
    change: Callable[[Any], None] | None = None,
    before_encode: Callable[[VideoFrame], VideoFrame] | None = None,
) -> bytes:
    """Encode RGB frames; pts in milliseconds (default: constant rate)."""
    folder = tempfile.TemporaryDirectory()  # "faststart" reads its own file again, by name
    path = Path(folder.name) / "out"
    with folder, av.open(str(path), "w", format=container, options=container_options or {}) as target:
        stream = None
        for index, picture in enumerate(frames):
            frame = to_frame(picture, pixel_format, matrix, full_range)
            if before_encode is not None:
                frame = before_encode(frame)
            if stream is None:
                stream = target.add_stream(codec, rate=rate)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
                stream.options = _FAST.get(codec, {}) | (options or {})
                context = stream.codec_context
                context.time_base = Fraction(1, TICKS) if pts is not None else Fraction(1, rate)
                context.colorspace, context.color_range = matrix, 2 if full_range else 1
                if trc is not None:
                    context.color_trc, context.color_primaries = trc, 9
                if change is not None:
                    change(stream)
            frame.pts = index if pts is None else pts[index]
            frame.time_base = stream.codec_context.time_base
            target.mux(stream.encode(frame))
        assert stream is not None
        target.mux(stream.encode(None))
        target.close()
        return path.read_bytes()


_FAST: Final = {
    "libx264": {"preset": "ultrafast", "qp": "12", "g": "5"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:qp=12"},
    "libvpx-vp9": {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0"},
    "mpeg2video": {"b": "8000k", "g": "1"},
}


def to_frame(picture: Rgb, pixel_format: str, matrix: int = 5, full_range: bool = False) -> VideoFrame:
    """Convert with swscale into the wanted format, matrix and range."""
    frame = VideoFrame.from_ndarray(picture, "rgb24")
    if matrix == 9 and int(av.__version__.split(".")[0]) < 18:
        pytest.skip("PyAV before 18 can't make BT.2020 test material")
    sws_matrix = {1: 1, 5: 5, 6: 5, 9: 9}[matrix]
    return frame.reformat(
        format=pixel_format,
        src_colorspace=sws_matrix,
        dst_colorspace=sws_matrix,
        src_color_range=2,
        dst_color_range=2 if full_range else 1,
    )


def frames(count: int = 20, width: int = 96, height: int = 64) -> list[Rgb]:
    return [pattern(index, width, height) for index in range(count)]


def rotated_mp4(degrees: int) -> bytes:
    """Store the picture turned back by degrees and write the display matrix that turns it upright (clockwise)."""
    stored = [np.ascontiguousarray(np.rot90(picture, degrees // 90)) for picture in frames()]
    return with_display_matrix(encode(stored), *{90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[degrees])


def with_display_matrix(mp4: bytes, xx: int, xy: int, yx: int, yy: int) -> bytes:
    """Rewrite the matrix of the track header (ISO 14496-12, tkhd version 0: 40 bytes into the box's content)."""
    at = mp4.index(b"tkhd") + 4 + 40
    assert unpack(">9i", mp4[at : at + 36])[0] == 1 << 16
    unit = 1 << 16
    matrix = pack(">9i", xx * unit, xy * unit, 0, yx * unit, yy * unit, 0, 0, 0, 1 << 30)
    return mp4[:at] + matrix + mp4[at + 36 :]


def interlaced_mpeg() -> bytes:
    def tag(stream: Any) -> None:
        stream.codec_context.flags |= 1 << 29 | 1 << 18  # AV_CODEC_FLAG_INTERLACED_ME | _DCT

    graph = av.filter.Graph()
    source = graph.add_buffer(width=96, height=64, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 10))
    graph.link_nodes(source, graph.add("setfield", "tff"), graph.add("buffersink"))
    graph.configure()

    def as_interlaced(frame: VideoFrame) -> VideoFrame:
        frame.pts = as_interlaced.count  # type: ignore[attr-defined]
        as_interlaced.count += 1  # type: ignore[attr-defined]
        frame.time_base = Fraction(1, 10)
        graph.vpush(frame)
        return graph.vpull()

    as_interlaced.count = 0  # type: ignore[attr-defined]
    return encode(
        combed_frames(), container="mpegts", codec="mpeg2video", rate=25, change=tag, before_encode=as_interlaced
    )


def combed_frames(count: int = 20) -> list[Rgb]:
    """The odd rows of the grey quadrant show the next frame's level plus 60: combing a deinterlacer must remove."""
    combed = frames(count)
    for picture in combed:
        picture[33::2, 48:] = np.minimum(picture[33::2, 48:].astype(int) + 60, 255)
    return combed


def two_streams() -> bytes:
    """A small second-choice stream of grey first, the pattern larger and second."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as target:
        streams = []
        for width, height in ((48, 32), (96, 64)):
            stream = target.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = _FAST["libx264"]
            stream.codec_context.colorspace, stream.codec_context.color_range = 5, 1
            streams.append(stream)
        for index, picture in enumerate(frames()):
            for stream, shown in zip(streams, (np.full((32, 48, 3), 128, np.uint8), picture)):
                frame = to_frame(shown, "yuv420p")
                frame.pts = index
                frame.time_base = Fraction(1, 10)
                target.mux(stream.encode(frame))
        for stream in streams:
            target.mux(stream.encode(None))
    return out.getvalue()


def audio_only() -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as target:
        stream = target.add_stream("aac", rate=16000, layout="mono")
        for index in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, index * 1024, Fraction(1, 16000)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


def raw_h264() -> bytes:
    return encode(frames(), container="h264", options={"x264-params": "bframes=0"})


def corrupt_middle(data: bytes) -> bytes:
    """Overwrite a twentieth in the middle of the file with noise."""
    damaged = bytearray(data)
    start, length = len(data) // 2, len(data) // 20
    damaged[start : start + length] = np.random.default_rng(0).integers(0, 256, length, np.uint8).tobytes()
    return bytes(damaged)


def noisy_frames(count: int = 40) -> list[Rgb]:
    """The pattern under fine noise, so that packets have bytes enough to damage."""
    rng = np.random.default_rng(0)
    return [
        np.clip(picture.astype(int) + rng.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)
        for picture in frames(count)
    ]


def save(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path

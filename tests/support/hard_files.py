"""The table of hard files: how each is made, and what a reader must find in it."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Final

import media
import numpy as np
from media import HardFile, encode, frames, level, noisy_frames
from PIL import Image

_TIMES: Final = tuple(index / 10 for index in range(20))
_LEVELS: Final = tuple(level(index) for index in range(20))
_VFR_MS: Final = (0, 40, 80, 250, 290, 1000, 1033, 1066, 1100, 1500)


def _plain(name: str, make: object, **expected: object) -> HardFile:
    return replace(HardFile(name, make, times=_TIMES, levels=_LEVELS), **expected)  # type: ignore[arg-type]


def _anamorphic() -> bytes:
    def squeeze(stream: object) -> None:
        stream.codec_context.sample_aspect_ratio = 2  # type: ignore[attr-defined]

    return encode(frames(width=48), change=squeeze)


def _size_change() -> bytes:
    """Two raw H.264 streams of different size, one after the other."""
    small = encode(frames(10), container="h264")
    large = encode([media.pattern(index, 192, 128) for index in range(10, 20)], container="h264")
    return small + large


def _moov_first(pictures: list[media.Rgb]) -> bytes:
    return encode(pictures, container_options={"movflags": "faststart"})


def _with_exif() -> bytes:
    """An APNG whose frames carry an EXIF block, a kind of side data that PyAV has no name for."""
    exif = Image.Exif()
    exif[0x0112] = 1
    first, *others = (Image.fromarray(picture) for picture in frames())
    file = BytesIO()
    first.save(file, "PNG", save_all=True, append_images=others, duration=100, exif=exif)
    return file.getvalue()


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _undecodable() -> bytes:
    """A healthy index over a payload of zeros."""
    data = bytearray(_moov_first(frames()))
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    return bytes(data)


HARD_FILES: Final = (
    _plain("constant frame rate", lambda: encode(frames())),
    HardFile(
        "variable frame rate",
        lambda: encode(frames(10), pts=_VFR_MS),
        times=tuple(ms / 1000 for ms in _VFR_MS),
        levels=_LEVELS[:10],
    ),
    _plain("six columns beyond a multiple of 16", lambda: encode(frames(width=102)), size=(102, 64)),
    _plain("APNG with EXIF", _with_exif),
    _plain("rotated 90", lambda: media.rotated_mp4(90), rotation=90),
    _plain("rotated 180", lambda: media.rotated_mp4(180), rotation=180),
    _plain("rotated 270", lambda: media.rotated_mp4(270), rotation=270),
    _plain(
        "mirrored",
        lambda: media.with_display_matrix(encode([np.ascontiguousarray(f[:, ::-1]) for f in frames()]), -1, 0, 0, 1),
        notes=("mirrored",),
    ),
    _plain(
        "start time 3 s",
        lambda: encode(frames(), container="matroska", pts=[3000 + 100 * index for index in range(20)]),
        times=tuple(3 + t for t in _TIMES),
    ),
    _plain(
        "missing times (AVI with B-frames)",
        lambda: encode(frames(), container="avi", options={"preset": "medium", "bf": "2"}),
        notes=("reconstructed",),
    ),
    _plain(
        "MPEG-4 with B-frames in AVI",
        lambda: encode(frames(), container="avi", codec="mpeg4", options={"bf": "2", "g": "8", "b": "4000k"}),
        notes=("reconstructed",),
        tolerance=20,
    ),
    _plain("no container (raw H.264)", media.raw_h264, notes=("reconstructed",)),
    _plain(
        "odd size", lambda: encode(frames(width=97, height=63), container="webm", codec="libvpx-vp9"), size=(97, 63)
    ),
    _plain("non-square pixels", _anamorphic, notes=("square pixels",), tolerance=16),
    _plain("10 bit", lambda: encode(frames(), pixel_format="yuv420p10le")),
    _plain("full range", lambda: encode(frames(), full_range=True)),
    _plain("BT.709", lambda: encode(frames(), matrix=1)),
    _plain("BT.2020, 10 bit", lambda: encode(frames(), matrix=9, pixel_format="yuv420p10le")),
    _plain(
        "HDR (PQ)",
        lambda: encode(frames(), codec="libx265", pixel_format="yuv420p10le", matrix=9, trc=16),
        exact_colors=False,
        notes=("tone mapped",),
    ),
    _plain(
        "interlaced",
        media.interlaced_mpeg,
        times=tuple(0.04 * (index + 1) for index in range(20)),
        notes=("deinterlaced",),
    ),
    _plain("alpha (VP9)", lambda: encode(frames(), container="webm", codec="libvpx-vp9", pixel_format="yuva420p")),
    _plain("several video streams", media.two_streams, notes=("ignored: 0 (48x32)",)),
    _plain("size changes on the way", _size_change, notes=("size changes", "reconstructed"), tolerance=16),
    _plain("fragmented MP4", lambda: encode(frames(), container_options={"movflags": "frag_keyframe+empty_moov"})),
    _plain(
        "MPEG-TS",
        lambda: encode(frames(), container="mpegts", options={"preset": "medium", "bf": "2"}),
        times=tuple(t + 0.2 for t in _TIMES),
    ),
    HardFile("MP4 cut in half", lambda: _half(_moov_first(noisy_frames())), damaged=True, notes=("header promised",)),
    HardFile("MKV cut in half", lambda: _half(encode(noisy_frames(), container="matroska")), damaged=True),
    HardFile("MPEG-TS cut in half", lambda: _half(encode(noisy_frames(), container="mpegts")), damaged=True),
    HardFile("noise in an MP4", lambda: media.corrupt_middle(_moov_first(noisy_frames())), damaged=True),
    HardFile(
        "noise in an MPEG-TS", lambda: media.corrupt_middle(encode(noisy_frames(), container="mpegts")), damaged=True
    ),
    HardFile("no frame decodes", _undecodable, damaged=True),
    HardFile("MP4 without its index", lambda: _half(encode(noisy_frames())), error="moov"),
    HardFile("audio only", media.audio_only, error="no video stream in .* \\(streams: audio aac\\)"),
    HardFile("zero bytes", lambda: b"", error="is empty"),
    HardFile("text", lambda: b"This is no video.\n" * 100, error="not a video or image"),
)

"""Conversions of noise in every pixel format and width; as a program, prints a digest of each."""

from __future__ import annotations

import hashlib
import sys
from typing import Final

import numpy as np
import torch
from av.video.frame import VideoFrame

from vidguard.video.color import ColorSpec
from vidguard.video.orientation import Orientation
from vidguard.video.picture import Picture
from vidguard.video.pyav_software import SoftwareCanvas
from vidguard.video.writer import to_yuv

# What FFmpeg's decoders of the formats in use give: H.264, HEVC, VP8/9, AV1, MPEG, MJPEG, ProRes, DV, GIF, PNG, raw.
PIXEL_FORMATS: Final = (
    *("yuv420p", "yuvj420p", "yuva420p", "nv12", "yuv420p10le", "yuv420p12le", "p010le"),
    *("yuv422p", "yuvj422p", "yuva422p", "yuyv422", "uyvy422", "yuv422p10le", "yuva422p10le"),
    *("yuv444p", "yuvj444p", "yuva444p", "yuv444p10le", "yuva444p10le", "yuv440p", "yuv411p", "yuv410p", "yuvj440p"),
    *("gray", "gray10le", "gray16le", "ya8", "monow", "monob", "pal8", "rgb555le", "rgb565le"),
    *("rgb24", "bgr24", "rgba", "bgra", "argb", "bgr0", "0rgb", "rgb48le", "rgba64le", "gbrp", "gbrap", "gbrp10le"),
)

_SDR: Final = ColorSpec("bt601", full_range=False)
_HDR: Final = ColorSpec("bt2020", full_range=False, transfer="pq")


def frame_of_noise(width: int, height: int, pixel_format: str, *, flat_chroma: bool = False) -> VideoFrame:
    """Noise in all that is stored, the padding at the end of rows included; flat_chroma: of one colour."""
    rng = np.random.default_rng(width * 1000 + height)
    frame = VideoFrame(width, height, pixel_format)
    ten_bits = pixel_format.endswith("10le")
    for index, plane in enumerate(frame.planes):
        if flat_chroma and index in (1, 2):
            noise = np.full(plane.buffer_size, 90 + 40 * index, np.uint8)
        elif ten_bits:
            noise = rng.integers(0, 1 << 10, plane.buffer_size // 2, np.uint16).view(np.uint8)
        else:
            noise = rng.integers(0, 1 << 8, plane.buffer_size, np.uint8)
        plane.update(noise.tobytes())
    return frame


def conversion_digests() -> dict[str, str]:
    """By format and sizes, a digest of what the software reader's canvas makes of a frame."""
    digests = {}
    for pixel_format in PIXEL_FORMATS:
        for width in range(48, 64):
            height = 32 + width % 3
            frame = frame_of_noise(width, height, pixel_format)
            for size in ((width, height), (width + 9, height + 4), (width // 2, height)):
                digests[f"{pixel_format} {width}x{height} to {size[0]}x{size[1]}"] = _digest(frame, size)
        digests[f"{pixel_format} HDR"] = _digest(frame_of_noise(54, 32, pixel_format), (54, 32), _HDR)
    for width in range(48, 80, 2):
        planes = to_yuv(frame_of_noise(width, 32, "rgb24").to_ndarray()).planes
        digests[f"encoded {width}"] = _hash(
            *(np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width].tobytes() for p in planes)
        )
    return digests


def _digest(frame: VideoFrame, size: tuple[int, int], color: ColorSpec = _SDR) -> str:
    canvas = SoftwareCanvas(Picture(*size, False, color, Orientation(), ()), torch.device("cpu"))
    pixels = canvas.blank(1)
    canvas.write(frame, pixels[0])
    return _hash(canvas.finish(pixels).numpy().tobytes())


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


if __name__ == "__main__":
    sys.stdout.writelines(f"{name} {digest}\n" for name, digest in conversion_digests().items())

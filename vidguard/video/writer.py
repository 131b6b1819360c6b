"""Writing pictures with times as a video file, and one picture as a file: whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from vidguard.errors import BackendError, InputError, SourceError
from vidguard.types import write_whole

TimedImage = tuple[NDArray[np.uint8], float]
"""(H, W, 3) uint8 RGB and its time in seconds."""
_TIME_BASE: Final = Fraction(1, 90_000)  # MPEG's clock: represents 24, 25, 30 and 30000/1001 frames/s alike


def write_video(
    target: Path, images: Iterable[TimedImage], *, crf: int | None = None, frame_rate: float | None = None
) -> None:
    """Write pictures of one size to an .mp4, whole or not at all; times are kept, there is no sound.

    H.264 at a constant rate factor of 0 (best) to 51, 20 if none is asked for; yuv420p, BT.709; an odd last row or
    column is doubled. frame_rate: what the header shall say. Where PyAV was built without libx264 it is MPEG-4 part 2,
    or BackendError if a crf was asked for. Raises SourceError where there is no picture.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as output:
            _encode(output, images, crf, frame_rate)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _encode(output: Any, images: Iterable[TimedImage], crf: int | None, frame_rate: float | None) -> None:
    stream: Any = None
    for picture, seconds in images:
        height, width = picture.shape[:2]
        even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if stream is None:
            stream = _add_stream(output, even, crf, frame_rate)
        image = to_yuv(even)
        image.pts, image.time_base = round(seconds / _TIME_BASE), _TIME_BASE
        output.mux(stream.encode(image))
    if stream is None:
        raise SourceError(
            f"not one frame of the source could be decoded, so there is nothing to write to {output.name}"
        )
    output.mux(stream.encode())


def to_yuv(picture: NDArray[np.uint8]) -> av.VideoFrame:
    """Convert (H, W, 3) uint8 RGB of even sides to yuv420p: BT.709, limited range."""
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
    )


def _add_stream(output: Any, picture: NDArray[np.uint8], crf: int | None, frame_rate: float | None) -> Any:
    rate = Fraction(frame_rate or 25).limit_denominator(1001)
    if "libx264" in av.codecs_available:
        stream = output.add_stream(
            "libx264", rate=rate, options={"crf": str(20 if crf is None else crf), "preset": "veryfast"}
        )
    elif crf is not None:
        raise BackendError("this PyAV can't encode H.264; install its official wheel: pip install --force-reinstall av")
    else:
        stream = output.add_stream("mpeg4", rate=rate, options={"qscale": "3"})
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = _TIME_BASE
    # Said in the stream, because players guess BT.601 for small pictures and BT.709 for large ones.
    stream.codec_context.colorspace = Colorspace.ITU709
    stream.codec_context.color_range = ColorRange.MPEG
    return stream


def write_picture(target: Path, picture: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 RGB as what target's suffix names, whole or not at all."""
    ok, data = cv2.imencode(target.suffix.lower(), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        raise InputError(f"a picture of {picture.shape[1]}x{picture.shape[0]} px can't be written as {target.suffix}")
    write_whole(target, data.tobytes())

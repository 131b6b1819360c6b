"""What the first decoded frame and the header say of a stream's picture."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidguard.types import SourceInfo
from vidguard.video.color import ColorSpec, Matrix, Transfer
from vidguard.video.container import AV_TIME_BASE
from vidguard.video.limits import count, length, moment, rate
from vidguard.video.orientation import Orientation, from_display_matrix
from vidguard.video.source import Source

DEFAULT_FRAME_RATE: Final = Fraction(25)
_HD_HEIGHT: Final = 720
# Beyond it, a sample aspect ratio is nonsense or hostile: the widest in use (anamorphic film) is 2.
_MAX_SAMPLE_ASPECT: Final = 4
# Encoders round sizes and note the rest as an aspect ratio, e.g. 1280:1281. Undoing that would resample every pixel,
# and with it the traces a detector looks for, to correct what nobody sees.
_NEGLIGIBLE_ASPECT: Final = Fraction(1, 50)
# AVColorSpace, AVColorRange and AVColorTransferCharacteristic values of FFmpeg's libavutil/pixfmt.h.
_MATRICES: Final[dict[int, Matrix]] = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
_UNSPECIFIED_SPACES: Final = (0, 2)  # 0 is RGB, which has no matrix
_FULL_RANGE: Final = 2
# How much earlier than its header says a stream may end: encoders round, and the last frame may not be counted.
_END_TOLERANCE_SECONDS: Final = 0.5
_TRANSFERS: Final[dict[int, Transfer]] = {16: "pq", 18: "hlg"}


@dataclass(frozen=True)
class Picture:
    """How decoded frames become upright RGB with square pixels. Sizes in pixels, before the turn."""

    width: int
    """After non-square samples were stretched, the same for every frame of the stream."""
    height: int
    is_stretched: bool
    color: ColorSpec
    orientation: Orientation
    notes: tuple[str, ...]


def read_picture(stream: VideoStream, first: VideoFrame | None) -> Picture:
    """Read size, colour and orientation off the first frame (or, where none decodes, the header)."""
    notes: list[str] = []
    shown = stream.codec_context if first is None else first
    width, height = shown.width, shown.height
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _MAX_SAMPLE_ASPECT) <= aspect <= _MAX_SAMPLE_ASPECT:
        notes.append(f"sample aspect ratio {aspect} was ignored")
    elif abs(aspect - 1) > _NEGLIGIBLE_ASPECT:
        width = max(1, round(width * aspect))
        notes.append(
            f"samples of aspect ratio {aspect} were stretched to square pixels: width {shown.width} to {width}"
        )
    color = _read_color(shown, stream.codec_context.color_trc, notes)
    stretched = width != shown.width
    return Picture(width, height, stretched, color, _read_orientation(first, notes), tuple(notes))


def describe(
    source: Source, container: InputContainer, stream: VideoStream, picture: Picture, first: VideoFrame | None
) -> SourceInfo:
    """Put together what the header and the first frame say."""
    pace = frame_rate(stream, first)
    width, height = picture.orientation.size(picture.width, picture.height)
    duration = stream_seconds(stream)
    if duration is None and container.duration is not None:
        duration = length(container.duration / AV_TIME_BASE)
    return SourceInfo(
        kind="video",
        name=source.name,
        container=container.format.name,
        codec=stream.codec_context.name,
        pixel_format=None if first is None else pixel_format(first),
        width=width or None,
        height=height or None,
        rotation_degrees=picture.orientation.rotation_degrees,
        frame_rate=None if pace is None else float(pace),
        start_seconds=moment(None if first is None else first.time) or 0.0,
        duration_seconds=duration,
        num_frames_header=count(stream.frames),
        size_bytes=source.size_bytes,
        sha256=source.sha256,
        color_matrix=picture.color.matrix,
        color_range="full" if picture.color.full_range else "limited",
        color_transfer=picture.color.transfer,
        interlaced=first is not None and first.interlaced_frame,
        num_video_streams=len(container.streams.video),
        stream_index=stream.index,
    )


def frame_rate(stream: VideoStream, first: VideoFrame | None) -> Fraction | None:
    """Give the average rate by the container's times or, where it has none, the rate the codec or header states."""
    has_times = first is None or first.pts is not None
    rates = (stream.average_rate, stream.guessed_rate)
    return next((found for found in map(rate, rates if has_times else reversed(rates)) if found), None)


def stream_seconds(stream: VideoStream) -> float | None:
    """Give how long the video stream itself lasts by its header, if the header says, and what it says can be true."""
    if stream.duration is not None and stream.time_base is not None:
        return length(float(stream.duration * stream.time_base))
    tag = stream.metadata.get("DURATION")  # Matroska: 00:01:02.030000000, counted from zero
    if tag is None:
        return None
    try:
        hours, minutes, seconds = tag.split(":")
        return length(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
    except (ValueError, OverflowError):
        return None


def promised_end_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Give when the video is to end by its header; a container's length counts only where video is all it holds."""
    seconds = stream_seconds(stream)
    if seconds is None and len(container.streams) == 1 and container.duration is not None:
        return length(container.duration / AV_TIME_BASE)
    return seconds


def early_end(promised: float | None, start: float, end: float) -> str | None:
    """Say so if a video shown from start to end (seconds) breaks off before its header's promise."""
    # Matroska counts durations from zero, others from the first frame: only a negative start needs regard to be safe.
    if promised is None or end - min(start, 0.0) >= promised - _END_TOLERANCE_SECONDS:
        return None
    return f"the video ends at {end:.2f} s, its header promised {promised:.2f} s"


def pixel_format(frame: VideoFrame) -> str:
    """Name the pixel format; of a frame on the GPU the one underneath, which PyAV tells from version 18 on."""
    under = getattr(frame, "sw_format", None) or frame.format
    return str(under.name)


def _read_color(shown: VideoFrame | VideoCodecContext, transfer_code: int, notes: list[str]) -> ColorSpec:
    space = shown.colorspace
    named = _MATRICES.get(space)
    matrix = named
    if matrix is None:
        matrix = "bt709" if shown.height >= _HD_HEIGHT else "bt601"
        if space not in _UNSPECIFIED_SPACES:
            notes.append(f"colour matrix {space} is not supported and was read as {matrix}")
    transfer = _TRANSFERS.get(transfer_code, "sdr")
    if transfer != "sdr":
        notes.append(f"HDR ({transfer}) was tone mapped: 203 cd/m2 is white, roll-off to 1000, gamma 2.4, BT.709")
    # "yuvj" formats are full range by name.
    full = shown.color_range == _FULL_RANGE or (shown.format is not None and shown.format.name.startswith("yuvj"))
    return ColorSpec(matrix, full, transfer, is_tagged=named is not None)


def _read_orientation(first: VideoFrame | None, notes: list[str]) -> Orientation:
    # PyAV's stubs call side_data a dict of motion vectors; it maps every kind of side data to a buffer.
    matrix: Any = None if first is None else first.side_data.get("DISPLAYMATRIX")
    orientation = Orientation() if matrix is None else from_display_matrix(bytes(matrix))
    if orientation.is_mirrored:
        notes.append("the picture is stored mirrored and was mirrored back")
    return orientation

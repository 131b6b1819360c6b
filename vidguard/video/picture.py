"""What the first decoded frame and the header say of a stream's picture."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from av.container import InputContainer
from av.filter import Graph
from av.sidedata.sidedata import Type as SideDataType
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidguard.types import SourceInfo
from vidguard.video.color import ColorSpec, Matrix, Transfer
from vidguard.video.container import AV_TIME_BASE
from vidguard.video.crop import NO_CROP, Crop, read_crop
from vidguard.video.limits import count, moment, rate
from vidguard.video.orientation import Orientation, from_display_matrix
from vidguard.video.promise import container_seconds, is_untimed, stream_seconds
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
# AVFrameSideDataType has so many kinds, and a few to come, beyond those that PyAV names: 4 in FFmpeg 8.
_UNNAMED_KINDS: Final = 16
_TRANSFERS: Final[dict[int, Transfer]] = {16: "pq", 18: "hlg"}


@dataclass(frozen=True)
class Picture:
    """How decoded frames become upright RGB with square pixels. Sizes in pixels, before the turn."""

    width: int
    """After non-square samples were stretched, and what the container crops was cut off."""
    height: int
    is_stretched: bool
    color: ColorSpec
    orientation: Orientation
    notes: tuple[str, ...]
    crop: Crop = NO_CROP
    """What is cut off the stretched picture, which is larger by it."""

    @property
    def whole_size(self) -> tuple[int, int]:
        """Width and height before anything is cut off."""
        left, top, right, bottom = self.crop
        return left + self.width + right, top + self.height + bottom


class PictureReader:
    """Reads each decoded frame's picture; the same one as long as nothing about the frames changes."""

    def __init__(self, source: Source, stream: VideoStream) -> None:
        """Remember the header's word on the shape of samples and on what is shown, before a frame is decoded."""
        self._stream = stream
        context = stream.codec_context
        self._header_size = context.width, context.height
        self._crop = read_crop(source, stream, *self._header_size)
        self._header_aspect = stream.codec_context.sample_aspect_ratio
        self._last: tuple[tuple[object, ...], Picture] | None = None

    def mark(self, frame: VideoFrame) -> None:
        """Note the shape of a frame's samples in it, which its decoder tells while it gives it only."""
        aspect = self._stream.codec_context.sample_aspect_ratio
        if aspect != self._header_aspect:
            frame.opaque = aspect

    def read(self, frame: VideoFrame | None) -> Picture:
        """Give a frame's picture or, where none decodes, the header's."""
        if frame is None:
            return read_picture(self._stream, None, self._crop)
        # The whole matrix: mirrored upside down has the rotation of upright.
        aspect, turn = frame.opaque, _display_matrix(frame)
        key = (frame.width, frame.height, aspect, turn, frame.colorspace, frame.color_range, frame.color_trc)
        if self._last is None or self._last[0] != key:
            # The container speaks of the size in its header; of another one it says nothing.
            crop = self._crop if (frame.width, frame.height) == self._header_size else NO_CROP
            self._last = key, read_picture(self._stream, frame, crop)
        return self._last[1]


def read_picture(stream: VideoStream, first: VideoFrame | None, crop: Crop = NO_CROP) -> Picture:
    """Read size, colour and orientation off a frame (or, where none decodes, the header)."""
    notes: list[str] = []
    shown = stream.codec_context if first is None else first
    width, height = shown.width, shown.height
    changed = None if first is None else first.opaque
    aspect = (changed if isinstance(changed, Fraction) else stream.sample_aspect_ratio) or Fraction(1)
    if not Fraction(1, _MAX_SAMPLE_ASPECT) <= aspect <= _MAX_SAMPLE_ASPECT:
        notes.append(f"sample aspect ratio {aspect} was ignored")
    elif abs(aspect - 1) > _NEGLIGIBLE_ASPECT:
        width = max(1, round(width * aspect))
        notes.append(
            f"samples of aspect ratio {aspect} were stretched to square pixels: width {shown.width} to {width}"
        )
    color = _read_color(shown, notes)
    stretched = width != shown.width
    orientation = _read_orientation(first, notes)
    if crop != NO_CROP:
        factor = Fraction(width, shown.width)
        crop = round(crop[0] * factor), crop[1], round(crop[2] * factor), crop[3]
        width, height = width - crop[0] - crop[2], height - crop[1] - crop[3]
        notes.append(f"the container crops the picture to {width}x{height}")
    return Picture(width, height, stretched, color, orientation, tuple(notes), crop)


def describe(
    source: Source, container: InputContainer, stream: VideoStream, picture: Picture, first: VideoFrame | None
) -> SourceInfo:
    """Put together what the header and the first frame say."""
    pace = None if is_clock(stream, stream.average_rate) else frame_rate(stream, first)
    width, height = picture.orientation.size(picture.width, picture.height)
    duration = stream_seconds(stream)
    if duration is None:
        duration = container_seconds(container)
    start = 0.0 if first is None or is_untimed(container) else moment(first.time) or 0.0
    begin = None if container.start_time is None else moment(container.start_time / AV_TIME_BASE)
    if duration is not None and "matroska" in container.format.name and 0 < start < duration:
        duration -= start  # there, it is counted from zero
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
        start_seconds=start,
        origin_seconds=start if begin is None else min(start, begin),
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
    has_times = not is_untimed(stream.container) and (first is None or first.pts is not None)
    stated = map(rate, (stream.average_rate, stream.guessed_rate))
    rates = [None if is_clock(stream, pace) else pace for pace in stated]
    return next((pace for pace in (rates if has_times else reversed(rates)) if pace), None)


def is_clock(stream: VideoStream, pace: Fraction | None) -> bool:
    """Whether a rate is only that of the clock: 1000 in WebM that states none, as MediaRecorder writes, 100 in GIF."""
    if stream.time_base is None or not stream.container.format.name.startswith(("matroska", "gif")):
        return False
    return pace is not None and pace * stream.time_base >= 1


def pixel_format(frame: VideoFrame) -> str:
    """Name the pixel format; of a frame on the GPU the one underneath, which PyAV tells from version 18 on."""
    under = getattr(frame, "sw_format", None) or frame.format
    return str(under.name)


def _read_color(shown: VideoFrame | VideoCodecContext, notes: list[str]) -> ColorSpec:
    space = shown.colorspace
    named = _MATRICES.get(space)
    matrix = named
    if matrix is None:
        matrix = "bt709" if shown.height >= _HD_HEIGHT else "bt601"
        if space not in _UNSPECIFIED_SPACES:
            notes.append(f"colour matrix {space} is not supported and was read as {matrix}")
    transfer = _TRANSFERS.get(shown.color_trc, "sdr")
    if transfer != "sdr":
        notes.append(f"HDR ({transfer}) was tone mapped: 203 cd/m2 is white, roll-off to 1000, gamma 2.4, BT.709")
    # "yuvj" formats are full range by name.
    full = shown.color_range == _FULL_RANGE or (shown.format is not None and shown.format.name.startswith("yuvj"))
    return ColorSpec(matrix, full, transfer, is_tagged=named is not None)


def _read_orientation(first: VideoFrame | None, notes: list[str]) -> Orientation:
    matrix = None if first is None else _display_matrix(first)
    orientation = Orientation() if matrix is None else from_display_matrix(matrix)
    if orientation.is_mirrored:
        notes.append("the picture is stored mirrored and was mirrored back")
    return orientation


def _display_matrix(frame: VideoFrame) -> bytes | None:
    # PyAV's stubs call side_data a dict of motion vectors; it maps every kind of side data to a buffer.
    side_data: Any
    try:
        side_data = frame.side_data
    except ValueError:  # among it is a kind that PyAV has no name for, such as EXIF: then it gives none at all
        side_data = _without_unnamed(frame).side_data
    matrix = side_data.get("DISPLAYMATRIX")
    return None if matrix is None else bytes(matrix)


def _without_unnamed(frame: VideoFrame) -> VideoFrame:
    """The same picture without the kinds of side data that PyAV can't name."""
    named = {int(kind.value) for kind in SideDataType}  # type: ignore[call-overload]  # the stubs name no values
    graph = Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    for kind in sorted(set(range(max(named) + _UNNAMED_KINDS)) - named):
        filtered = graph.add("sidedata", f"mode=delete:type={kind}")
        last.link_to(filtered)
        last = filtered
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.vpush(frame)
    return graph.vpull()

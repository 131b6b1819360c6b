"""The decode loop PyAV's software and NVDEC backends share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from math import prod
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidguard.closing import Closing
from vidguard.config import Limits
from vidguard.errors import InputError
from vidguard.types import FrameBatch, PictureSize
from vidguard.video.deinterlace import Deinterlacer
from vidguard.video.gif import GifClock
from vidguard.video.limits import check_pixels
from vidguard.video.picture import (
    DEFAULT_FRAME_RATE,
    Picture,
    PictureReader,
    describe,
    frame_rate,
)
from vidguard.video.promise import is_untimed, read_promise
from vidguard.video.reader import (
    Canvas,
    counted,
    fill_batches,
    one_batch,
    pick_shown,
    require_batch_size,
    require_increasing,
)
from vidguard.video.sampler import FrameSampler, Timeline
from vidguard.video.source import Source

# Reading goes on after errors in the middle of a file, but not for ever where no packet comes any more.
_MAX_READ_ERRORS_IN_A_ROW: Final = 32
# Sizes that are listed and told of; a file may change its picture's size with every frame.
_MAX_SIZES: Final = 64
_MAX_SIZE_NOTES: Final = 4


class PyAvReader(Closing):
    """One pass over a container's video stream; the canvas decides where and how frames become RGB.

    The first frame is decoded at once: only it tells colours, turn and interlacing for sure, and whether the hardware
    can decode the stream at all.
    """

    def __init__(
        self,
        backend: str,
        source: Source,
        container: InputContainer,
        stream: VideoStream,
        canvas_for: Callable[[Picture], Canvas[VideoFrame]],
        *,
        limits: Limits,
        notes: Sequence[str] = (),
        deinterlace: bool = True,
    ) -> None:
        """Take over source and container, both closed by `close`; make the canvas for what the first frame shows."""
        self.backend = backend
        self.num_frames_decoded = 0
        self.end_seconds: float | None = None
        self._source = source
        self._container = container
        self._stream = stream
        self._limits = limits
        self._notes = list(notes)
        self._troubles: Counter[str] = Counter()
        self._deinterlacer = Deinterlacer() if deinterlace else None
        self._taken = False
        self._pictures = PictureReader(source, stream)
        self._gif_clock = GifClock(container)
        self._raw = self._decoded()
        self.first = next(self._raw, None)
        self._timeline = Timeline(float(1 / (frame_rate(stream, self.first) or DEFAULT_FRAME_RATE)))
        self.picture = self._pictures.read(self.first)
        check_pixels(source.name, self.picture.width, self.picture.height, limits)  # stretched samples count as well
        self.info = describe(source, container, stream, self.picture, self.first)
        self.promise = read_promise(source, container, stream)
        self._notes += (*self.picture.notes, *self.promise.notes)
        self._canvas_for = canvas_for
        self._canvas = canvas_for(self.picture)
        self._shape = self.picture
        self._num_sizes = 1
        self._measures_rate = self.info.frame_rate is None

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way, in sentences; grows while frames are read."""
        notes = [*self._notes, *self._size_notes(), *self.troubles]
        if self._timeline.num_repaired:
            notes.append(f"{self._timeline.num_repaired} missing or non-increasing times were reconstructed")
        if self._deinterlacer is not None and self._deinterlacer.num_interlaced:
            notes.append("interlaced frames were deinterlaced (bwdif)")
        return tuple(notes)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why not all of the source was seen, so far."""
        return counted(self._troubles)

    @property
    def damaged(self) -> bool:
        """Whether the source turned out, so far, to be broken off, partly undecodable or cut by a limit."""
        return bool(self._troubles)

    def batches(self, *, frames_per_second: float | None = None, batch_size: int = 8) -> Iterator[FrameBatch]:
        """Decode every frame and yield the sampled ones; see VideoReader."""
        require_batch_size(batch_size)
        sampler = FrameSampler[VideoFrame](frames_per_second)
        sampled = sampler.sample(self._take_frames(), lambda: self.end_seconds)
        return fill_batches(sampled, self._canvas_of, batch_size)

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """Give the frames shown at increasing times, decoding up to the last; see VideoReader."""
        require_increasing(times_seconds)
        blank = self._canvas.finish(self._canvas.blank(0))
        shown = pick_shown(self._take_frames(), times_seconds)
        return one_batch(shown, self._canvas_of, blank, len(times_seconds))

    def close(self) -> None:
        """Release the decoder; the caller's file object stays open."""
        self._raw.close()
        self.first = None
        self._container.close()
        self._source.close()

    def _take_frames(self) -> Iterator[tuple[VideoFrame, float]]:
        if self._taken:
            raise InputError("a source is read once; open it again for another pass")
        self._taken = True
        return self._timed_frames()

    def _timed_frames(self) -> Iterator[tuple[VideoFrame, float]]:
        first, self.first = self.first, None
        if first is None:
            self._troubles["no frame of the video stream could be decoded"] += 1
            return
        frames: Iterable[VideoFrame] = chain((first,), self._raw)
        if self._deinterlacer is not None:
            frames = self._deinterlacer.run(frames)
        untimed = is_untimed(self._container)
        start: float | None = None
        late = end = 0.0
        acceptable = ((f, None if untimed else f.time) for f in frames if self._is_acceptable(f))
        for frame, pts in self._timeline.place(acceptable):
            if start is None:
                late = self._lateness(first, pts)
            pts -= late
            start = pts if start is None else start
            if pts - start > self._limits.max_seconds:
                self._troubles[f"cut after max_seconds={self._limits.max_seconds:g}"] += 1
                return
            self.num_frames_decoded += 1
            self._follow_size(frame, pts)
            if self._measures_rate and pts > start:
                self.info = replace(self.info, frame_rate=(self.num_frames_decoded - 1) / (pts - start))
            end = pts + (float(frame.duration * frame.time_base) if frame.time_base else 0.0)
            self.end_seconds = end if end > pts else None
            yield frame, pts
        if self._source.was_cut:
            self._troubles[f"the pipe was cut after max_bytes={self._limits.max_bytes}"] += 1
        origin = self.info.origin_seconds
        self._troubles.update(self.promise.broken(start or 0.0, end, self.num_frames_decoded, origin=origin))

    def _lateness(self, first: VideoFrame, pts: float) -> float:
        """How late all times are, in seconds: AVI counts pictures as they are decoded, B-frames after their next."""
        start, base = self._stream.start_time, self._stream.time_base
        if self._container.format.name != "avi" or first.pts is not None or start is None or base is None:
            return 0.0
        return pts - float(start * base)

    def _is_acceptable(self, frame: VideoFrame) -> bool:
        if frame.is_corrupt:
            self._troubles["frames with missing or concealed parts"] += 1
        picture = self._pictures.read(frame)
        if max(frame.width * frame.height, prod(picture.whole_size)) > self._limits.max_pixels:
            self._troubles[f"frames of more than max_pixels={self._limits.max_pixels} were left out"] += 1
            return False
        return True

    def _canvas_of(self, frame: VideoFrame) -> Canvas[VideoFrame]:
        picture = self._pictures.read(frame)
        if picture != self.picture:
            self.picture, self._canvas = picture, self._canvas_for(picture)
        return self._canvas

    def _follow_size(self, frame: VideoFrame, pts: float) -> None:
        picture = self._pictures.read(frame)
        if picture == self._shape:
            return
        self._shape = picture
        self._notes += [note for note in picture.notes if note not in self._notes and len(self._notes) < _MAX_SIZES]
        width, height = picture.orientation.size(picture.width, picture.height)
        sizes = self.info.sizes or (PictureSize(self.info.start_seconds, self.info.width or 0, self.info.height or 0),)
        if (width, height) != (sizes[-1].width, sizes[-1].height):
            self._num_sizes += 1
            if len(sizes) < _MAX_SIZES:
                self.info = replace(self.info, sizes=(*sizes, PictureSize(pts, width, height)))

    def _size_notes(self) -> Iterator[str]:
        sizes = self.info.sizes[1:]
        for size in sizes[:_MAX_SIZE_NOTES]:
            seconds = size.start - self.info.origin_seconds
            yield f"the picture's size changes to {size.width}x{size.height} at {seconds:.2f} s"
        if (more := self._num_sizes - 1 - len(sizes[:_MAX_SIZE_NOTES])) > 0:
            yield f"the picture's size changes {more} more times"

    def _decoded(self) -> Generator[VideoFrame, None, None]:
        for packet in self._packets():
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.FFmpegError as error:
                self._troubles[f"packets that can't be decoded: {error.strerror}"] += 1
                continue
            for frame in frames:
                if frame.time_base is None:  # PyAV sets it from the packet, and the flush has none
                    frame.time_base = self._stream.time_base
                self._pictures.mark(frame)
                yield frame

    def _packets(self) -> Iterator[Packet[VideoStream] | None]:
        failures = 0
        while failures < _MAX_READ_ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    self._gif_clock.set(packet)
                    if packet.is_corrupt:  # MPEG-TS: lost or broken transport packets
                        self._troubles["packets the container marks as corrupt"] += 1
                    if packet.size:
                        yield packet
                break
            except av.FFmpegError as error:
                failures += 1
                self._troubles[f"reading errors: {error.strerror}"] += 1
        yield None  # flushes the decoder

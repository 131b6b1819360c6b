"""A few key frames spread over a video, decoded alone: a look that costs the same however long the video is.

A key frame needs no other frame to be decoded. Between them nothing is decoded, and where the source can seek, hardly
anything is read. Which frames are key frames is what the file says; one that says it of others yields no picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from math import prod
from pathlib import Path
from typing import BinaryIO, Final

import av
import torch
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidguard.closing import Closing
from vidguard.config import Limits
from vidguard.errors import InputError
from vidguard.sandbox import Sandbox
from vidguard.types import FrameBatch
from vidguard.video.container import choose_stream, decoder_options, open_container
from vidguard.video.deinterlace import Deinterlacer
from vidguard.video.gif import GifClock
from vidguard.video.guard import guarded, reading
from vidguard.video.isolated import open_sandboxed
from vidguard.video.limits import check_pixels, moment
from vidguard.video.picture import (
    DEFAULT_FRAME_RATE,
    Picture,
    PictureReader,
    describe,
    frame_rate,
)
from vidguard.video.pillow_reader import PicturesReader, PillowReader, is_for_pillow, open_picture
from vidguard.video.promise import container_seconds, is_untimed, read_promise, stream_seconds
from vidguard.video.pyav_software import SoftwareCanvas
from vidguard.video.reader import VideoReader, counted
from vidguard.video.recovery import builds_up
from vidguard.video.source import Source

# Larger pictures are scaled down while they are converted: a face that is worth a look is still larger than its crop.
_MAX_SIDE_PX: Final = 1920
# A header's end and the last frame's differ by rounding, sound and what editors cut; the readers allow as much.
_END_TOLERANCE_SECONDS: Final = 0.5
_BUILD_UP: Final = "key frames of intra refresh, which build up over several frames, were passed over"
_HIDDEN: Final = "key frames that an edit list hides were passed over"
# Whose demuxers jump by an index; the others guess, and miss key frames, or read all the same.
_INDEXED: Final = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"})
_DEFAULT_LIMITS: Final = Limits()
_CPU: Final = torch.device("cpu")


def open_key_frames(
    source: str | Path | bytes | BinaryIO,
    *,
    max_frames: int,
    limits: Limits = _DEFAULT_LIMITS,
    sandbox: Sandbox | None = None,
) -> VideoReader:
    """Open a path, bytes or binary file object for a look at no more than max_frames key frames, on the CPU.

    A still image, told by content, is read whole, of several pictures the first max_frames. Raises SourceError and
    LimitError as `open_source` does, and InputError for fewer than one frame.
    """
    if max_frames < 1:
        raise InputError(f"max_frames must be at least 1, got {max_frames}")
    if sandbox is not None and sandbox.available:
        opener = "vidguard.video.keyframes:open_key_frames"
        return open_sandboxed(opener, source, sandbox, limits, _CPU, max_frames=max_frames)
    opened = Source(source, limits)
    try:
        with reading(opened):
            return guarded(_open(opened, max_frames, limits), opened)
    except BaseException:
        opened.close()
        raise


def _open(source: Source, max_frames: int, limits: Limits) -> KeyFrameReader | PillowReader | PicturesReader:
    if is_for_pillow(source, limits):
        return open_picture(source, _CPU, limits, max_pictures=max_frames)
    container = open_container(source, limits)
    try:
        return KeyFrameReader(source, container, max_frames=max_frames, limits=limits)
    except BaseException:
        container.close()
        raise


class KeyFrameReader(Closing):
    """One look at a video's key frames, in order of time, the first one among them.

    ``damaged`` tells, once `batches` has ended, whether anything was found wrong: a key frame that doesn't decode, a
    file that ends before its header's promise or goes on after it. What lies between key frames isn't looked at.
    """

    backend = "pyav"

    def __init__(self, source: Source, container: InputContainer, *, max_frames: int, limits: Limits) -> None:
        """Take over source and container, both closed by `close`; decodes the first key frame."""
        self.num_frames_decoded = 0
        self._source, self._container, self._limits = source, container, limits
        self._max_frames = max_frames
        self._stream, notes = choose_stream(container, source.name)
        context = self._stream.codec_context
        context.options = decoder_options(limits)
        context.skip_frame = "NONKEY"
        context.thread_count = 1  # single pictures gain nothing from threads that must first be started
        self._notes = list(notes)
        self._troubles: Counter[str] = Counter()
        self._passed_over: Counter[str] = Counter()
        self._promise = read_promise(source, container, self._stream)
        self._last_seconds: float | None = None
        self._end_seconds: float | None = None
        self._pictures = PictureReader(source, self._stream)
        self._untimed = is_untimed(container)
        self._hidden: set[int | None] = set()
        self._frames = self._decoded()
        self._first = next(self._frames, None)
        picture = self._pictures.read(self._first)
        check_pixels(source.name, picture.width, picture.height, limits)
        self.info = describe(source, container, self._stream, picture, self._first)
        self._notes += (*picture.notes, *self._promise.notes)
        self._picture = picture
        self._canvas = SoftwareCanvas(_reduced(picture), _CPU)

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way, in sentences."""
        return (*self._notes, *counted(self._passed_over), *self.troubles)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why not all of the source can be told from its key frames, so far."""
        return counted(self._troubles)

    @property
    def damaged(self) -> bool:
        """Whether anything turned out, so far, to be wrong with the file."""
        return bool(self._troubles)

    def batches(self, *, batch_size: int = 1) -> Iterator[FrameBatch]:
        """Yield each key frame as a batch of one, whatever batch_size.

        (1, 3, H, W) uint8 RGB, upright, at most 1920 px long, on the CPU.
        """
        if self._first is None:
            if not self._passed_over:
                self._troubles["no key frame of the video stream could be decoded"] += 1
            self._compare_ends()
            return
        first, self._first = self._first, None
        last = float("-inf")
        for frame in chain((first,), self._frames):
            seconds = moment(frame.time)
            if seconds is None or seconds <= last:
                self._troubles["key frames without a time, or out of order"] += 1
                continue
            last = seconds
            canvas = self._canvas_of(frame)
            pixels = canvas.blank(1)
            for shown in Deinterlacer().run((frame,)):
                canvas.write(shown, pixels[0])
            yield FrameBatch(canvas.finish(pixels), (seconds,))
        self._compare_ends()

    def close(self) -> None:
        """Release the decoder; the caller's file object stays open."""
        self._first = None
        self._container.close()
        self._source.close()

    def _canvas_of(self, frame: VideoFrame) -> SoftwareCanvas:
        picture = self._pictures.read(frame)
        if picture != self._picture:
            size_changes = "the picture changes on the way; each key frame is looked at as it is"
            self._notes += [note for note in (size_changes, *picture.notes) if note not in self._notes]
            self._picture, self._canvas = picture, SoftwareCanvas(_reduced(picture), _CPU)
        return self._canvas

    def _decoded(self) -> Iterator[VideoFrame]:
        for packet in self._chosen_packets():
            frame = self._decode(packet)
            if frame is None:
                continue
            self.num_frames_decoded += 1
            if frame.is_corrupt:
                self._troubles["key frames with missing or concealed parts"] += 1
            self._pictures.mark(frame)
            picture = self._pictures.read(frame)
            if max(frame.width * frame.height, prod(picture.whole_size)) > self._limits.max_pixels:
                self._troubles[f"key frames of more than max_pixels={self._limits.max_pixels} were left out"] += 1
                continue
            yield frame

    def _decode(self, packet: Packet[VideoStream]) -> VideoFrame | None:
        context = self._stream.codec_context
        try:
            frames = [*context.decode(packet), *context.decode(None)]
        except av.FFmpegError as error:
            self._troubles[f"key frames that can't be decoded: {error.strerror}"] += 1
            return None
        finally:
            context.flush_buffers()  # after its end is announced, a decoder takes no further packet without it
        if not frames:
            if builds_up(bytes(packet), context):
                self._passed_over[_BUILD_UP] += 1
            else:
                self._troubles["packets marked as key frames that hold none"] += 1
            return None
        frame = frames[0]
        if frame.time_base is None:  # a flushed frame has none
            frame.time_base = self._stream.time_base
        if frame.pts is None:
            frame.pts = _ticks(packet)
        return frame

    def _chosen_packets(self) -> Iterator[Packet[VideoStream]]:
        seconds = self._seconds()
        if self._source.seekable and seconds is not None and self._container.format.name in _INDEXED:
            return self._by_seeking(seconds)
        return self._by_reading()

    def _by_seeking(self, seconds: float) -> Iterator[Packet[VideoStream]]:
        """The key frames before evenly spaced moments, then the end of the file without decoding it."""
        taken: set[int | None] = set()
        for step in range(self._max_frames):
            packet = next(self._demuxed(seconds * step / self._max_frames), None)
            if packet is None and self._hidden:
                break
            if packet is None:
                self._troubles["parts of the file that its index promises are missing"] += 1
            elif _ticks(packet) not in taken:
                taken.add(_ticks(packet))
                yield packet
        for _ in self._demuxed(seconds):
            pass

    def _by_reading(self) -> Iterator[Packet[VideoStream]]:
        """The same of a source without an index: every packet is read, and one in so many key frames is kept."""
        kept: list[Packet[VideoStream]] = []
        every = 1
        for number, packet in enumerate(self._demuxed(None)):
            if number % every == 0:
                kept.append(packet)
            if len(kept) > 4 * self._max_frames:
                kept, every = kept[::2], 2 * every
        wanted = min(self._max_frames, len(kept))
        yield from (kept[len(kept) * step // wanted] for step in range(wanted))

    def _demuxed(self, start: float | None) -> Iterator[Packet[VideoStream]]:
        """Key frames' packets from the one before start (seconds after the stream's own) on; None: from here on."""
        try:
            if start is not None:
                self._seek(start)
            clock = GifClock(self._container)
            for number, packet in enumerate(self._container.demux(self._stream)):
                clock.set(packet)
                if self._untimed and packet.size:
                    self._count_time(packet, number)
                ticks = _ticks(packet)
                if packet.is_corrupt:
                    self._troubles["packets the container marks as corrupt"] += 1
                if packet.is_discard:
                    self._passed_over[_HIDDEN] += packet.is_keyframe and ticks not in self._hidden
                    self._hidden.add(ticks)
                    continue
                if ticks is not None and packet.size and self._stream.time_base is not None:
                    begin = float(ticks * self._stream.time_base)
                    end = begin + float((packet.duration or 0) * self._stream.time_base)
                    self._last_seconds = max(begin, self._last_seconds or 0.0)
                    self._end_seconds = max(end, self._end_seconds or 0.0)
                if packet.is_keyframe and packet.size:
                    yield packet
        except av.FFmpegError as error:
            self._troubles[f"reading errors: {error.strerror}"] += 1

    def _seek(self, seconds: float) -> None:
        base = self._stream.time_base
        assert base is not None  # every stream that demuxes has one
        self._container.seek(round(seconds / base) + (self._stream.start_time or 0), stream=self._stream)

    def _count_time(self, packet: Packet[VideoStream], number: int) -> None:
        """Elementary streams have no times: a packet's place counts, as in a full pass."""
        rate = frame_rate(self._stream, None) or DEFAULT_FRAME_RATE
        assert self._stream.time_base is not None
        packet.pts = packet.dts = round(number / rate / self._stream.time_base)
        packet.duration = round(1 / rate / self._stream.time_base)

    def _seconds(self) -> float | None:
        """How long the video lasts by its header; the container's word, where the stream says nothing."""
        seconds = stream_seconds(self._stream)
        if seconds is None:
            seconds = container_seconds(self._container)
        return seconds if seconds is not None and seconds > 0 else None

    def _compare_ends(self) -> None:
        if self._source.was_cut:
            self._troubles[f"the pipe was cut after max_bytes={self._limits.max_bytes}"] += 1
        start = self.info.start_seconds
        end = start if self._end_seconds is None else self._end_seconds
        origin = self.info.origin_seconds
        self._troubles.update(self._promise.broken(start, end, origin=origin))
        seconds, last = self._seconds(), self._last_seconds or start
        if seconds is not None and last - max(start, 0.0) > seconds + _END_TOLERANCE_SECONDS:
            self._troubles[f"the video goes on to {last - origin:.2f} s, beyond the {seconds:.2f} s of its header"] += 1


def _ticks(packet: Packet[VideoStream]) -> int | None:
    """When a packet is shown or, where the container doesn't say, decoded: in ticks of the stream."""
    return packet.dts if packet.pts is None else packet.pts


def _reduced(picture: Picture) -> Picture:
    factor = min(1.0, _MAX_SIDE_PX / max(picture.width, picture.height, 1))
    width, height = (max(1, round(side * factor)) for side in (picture.width, picture.height))
    left, top, right, bottom = (round(side * factor) for side in picture.crop)
    return replace(picture, width=width, height=height, crop=(left, top, right, bottom))

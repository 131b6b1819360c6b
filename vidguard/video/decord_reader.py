"""Random access with decord: backend "decord"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any, Final

import av
import numpy as np
import torch
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor

from vidguard.closing import Closing
from vidguard.config import Limits
from vidguard.errors import BackendError, InputError
from vidguard.types import FrameBatch
from vidguard.video.container import choose_stream, open_container
from vidguard.video.crop import NO_CROP
from vidguard.video.limits import moment
from vidguard.video.pyav_reader import PyAvReader
from vidguard.video.pyav_software import open_software
from vidguard.video.reader import fill_batches, one_batch, require_batch_size, require_increasing
from vidguard.video.recovery import builds_up
from vidguard.video.sampler import FrameSampler
from vidguard.video.source import Source

# In MPEG-TS it jumps to wrong frames, in AVI its times are garbage (decord 0.6.0).
_SEEKABLE_CONTAINERS: Final = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
_TIME_TOLERANCE: Final = 0.002  # seconds: containers round to ticks, of 1 ms in Matroska

_MAX_BYTES: Final = 1 << 30


def open_decord(source: Source, device: torch.device, limits: Limits) -> DecordReader:
    """Open a source with decord; frames are moved to device.

    PyAV reads the header first: decord checks no limits and would follow playlists. Raises BackendError where decord
    isn't installed, can't open the source, or would show it wrong (HDR, interlaced, several streams, wrong colours,
    trimmed by an edit list, intra refresh, times that aren't the container's).
    """
    try:
        import decord
    except ImportError as error:
        raise BackendError("decord isn't installed (it has wheels for x86-64 only); use backend='pyav'") from error
    if not source.seekable:
        raise BackendError("decord reads no pipes; use backend='pyav'")
    if (source.size_bytes or 0) > _MAX_BYTES:
        raise BackendError(f"decord would hold all of {source.name} in memory; use backend='pyav'")
    probe = open_software(source, torch.device("cpu"), limits)
    try:
        _require_showable(probe)
        starts = _plain_starts(source, limits)
        try:
            # Bytes, never a name: they are what was hashed, and FFmpeg would take some names for addresses.
            frames = decord.VideoReader(BytesIO(source.stream().read()), ctx=decord.cpu(0))
            spans = frames.get_frame_timestamp(range(len(frames)))
        except (decord.DECORDError, AssertionError, RuntimeError) as error:
            raise BackendError(f"decord can't open {source.name}: {_first_line(error)}; use backend='pyav'") from error
        theirs = np.asarray(spans, dtype=np.float64).reshape(-1, 2)[:, 0]
        if len(theirs) != len(starts) or not np.allclose(np.diff(theirs), np.diff(starts), atol=_TIME_TOLERANCE):
            raise _wrong(source.name, "its times aren't the container's")
    except BaseException:
        probe.close()
        raise
    probe.close()
    return DecordReader(probe, frames, spans, device, limits)


class DecordReader(Closing):
    """A video behind decord's index; times are decord's, moved to the container's start."""

    backend = "decord"

    def __init__(self, probe: PyAvReader, frames: Any, spans: Any, device: torch.device, limits: Limits) -> None:
        """Take decord's open reader and its (N, 2) frame spans in seconds."""
        self.info = probe.info
        self.num_frames_decoded = 0
        self.end_seconds: float | None = None
        self._notes = [*probe.notes]
        self._frames = frames
        self._spans = np.asarray(spans, dtype=np.float64)
        starts = self._spans[:, 0]
        sound = np.isfinite(starts).all() and (np.diff(starts) > 0).all() and moment(float(starts[-1])) is not None
        if not (sound and abs(starts[0]) <= limits.max_seconds):
            raise BackendError(f"decord found no usable times in {self.info.name}; use backend='pyav'")
        self._starts = starts - starts[0] + self.info.start_seconds
        end = float(self._starts[-1] + np.ptp(self._spans[-1]))
        start, origin = float(self._starts[0]), self.info.origin_seconds
        self._troubles = list(probe.promise.broken(start, end, len(self._starts), origin=origin))
        self._canvas = _PackedCanvas(self.info.width or 0, self.info.height or 0, device)
        self._taken = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way, in sentences; grows while frames are read."""
        return (*self._notes, *self._troubles, "decord repeats frames it can't decode and reports no damage")

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why not all of the source was seen; smaller damage decord hides."""
        return tuple(self._troubles)

    @property
    def damaged(self) -> bool:
        """Whether there are troubles."""
        return bool(self._troubles)

    def batches(self, *, frames_per_second: float | None = None, batch_size: int = 8) -> Iterator[FrameBatch]:
        """Decode every frame and yield the sampled ones; see VideoReader."""
        require_batch_size(batch_size)
        sampler = FrameSampler[Any](frames_per_second)
        if self._taken:
            raise InputError("a source is read once; open it again for another pass")
        self._taken = True
        sampled = sampler.sample(self._in_order(), lambda: self.end_seconds)
        return fill_batches(sampled, lambda _: self._canvas, batch_size)

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """Jump to the frames shown at increasing times; may be called again and again; see VideoReader."""
        require_increasing(times_seconds)
        shown = np.searchsorted(self._starts, np.asarray(times_seconds, dtype=np.float64), side="right") - 1
        indices = [int(index) for index in np.unique(np.maximum(shown, 0))]
        blank = self._canvas.finish(self._canvas.blank(0))
        return one_batch(self._jumping(indices), lambda _: self._canvas, blank, len(indices))

    def close(self) -> None:
        """Release the decoder."""
        self._frames = None

    def _in_order(self) -> Iterator[tuple[Any, float]]:
        return self._read(lambda index: self._frames.next(), range(len(self._starts)))

    def _jumping(self, indices: Sequence[int]) -> Iterator[tuple[Any, float]]:
        return self._read(lambda index: self._frames[index], indices)

    def _read(self, get: Callable[[int], Any], indices: Sequence[int]) -> Iterator[tuple[Any, float]]:
        import decord

        for index in indices:
            try:
                frame = get(index)
            except (decord.DECORDError, StopIteration, RuntimeError) as error:
                seconds = self._starts[index] - self.info.origin_seconds
                self._troubles.append(f"decord gave up at {seconds:.2f} s: {_first_line(error)}")
                return
            self.num_frames_decoded += 1
            seconds = float(np.ptp(self._spans[index]))
            self.end_seconds = float(self._starts[index]) + seconds if seconds > 0 else None
            yield frame, float(self._starts[index])


class _PackedCanvas:
    def __init__(self, width: int, height: int, device: torch.device) -> None:
        self._size = (3, height, width)
        self._device = device

    def blank(self, num_frames: int) -> Tensor:
        return torch.empty((num_frames, *self._size), dtype=torch.uint8)

    def write(self, raw: Any, out: Tensor) -> None:
        out.numpy()[...] = raw.asnumpy().transpose(2, 0, 1)

    def finish(self, frames: Tensor) -> Tensor:
        return frames.to(self._device)


def _require_showable(probe: PyAvReader) -> None:
    info, picture = probe.info, probe.picture
    reasons = [
        (probe.first is None, "none of its frames decodes"),
        (info.container not in _SEEKABLE_CONTAINERS, f"its seeking is wrong in {info.container}"),
        (picture.color.transfer != "sdr", "it doesn't tone map HDR"),
        (info.interlaced, "it doesn't deinterlace"),
        (picture.orientation.is_mirrored, "it doesn't mirror"),
        (picture.crop != NO_CROP, "it doesn't crop"),
        (picture.is_stretched, "it doesn't stretch samples to square pixels"),
        (info.num_video_streams > 1, "it may choose another of several video streams"),
        (not picture.color.is_tagged and picture.color.matrix != "bt601", "it reads untagged HD colours as BT.601"),
    ]
    for applies, why in reasons:
        if applies:
            raise _wrong(info.name, why)


def _plain_starts(source: Source, limits: Limits) -> NDArray[np.float64]:
    """When each frame is shown by the container, in seconds and in order.

    Raises BackendError for what decord gets wrong: it shows what an edit list hides, and jumps into intra refresh.
    """
    starts: list[float] = []
    with open_container(source, limits) as container:
        stream, _ = choose_stream(container, source.name)
        for packet in _demuxed(container, stream, source.name):
            if packet.is_discard:
                raise _wrong(source.name, "it shows frames that an edit list hides")
            if packet.is_keyframe and packet.size and starts and builds_up(bytes(packet), stream.codec_context):
                raise _wrong(source.name, "it can't jump into an intra refresh")
            if packet.size and packet.pts is not None and packet.time_base is not None:
                starts.append(float(packet.pts * packet.time_base))
    return np.sort(np.asarray(starts))


def _demuxed(container: InputContainer, stream: VideoStream, name: str) -> Iterator[Packet[VideoStream]]:
    try:
        yield from container.demux(stream)
    except av.FFmpegError as error:
        raise _wrong(name, f"reading it fails ({error.strerror})") from error


def _wrong(name: str, why: str) -> BackendError:
    return BackendError(f"decord can't show {name} right: {why}; use backend='pyav'")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

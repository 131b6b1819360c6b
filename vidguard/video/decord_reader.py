"""Random access with decord: backend "decord"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from types import TracebackType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from vidguard.config import Limits
from vidguard.errors import BackendError, InputError
from vidguard.types import FrameBatch
from vidguard.video.limits import moment
from vidguard.video.picture import early_end
from vidguard.video.pyav_reader import PyAvReader
from vidguard.video.pyav_software import open_software
from vidguard.video.reader import fill_batches, one_batch, require_batch_size, require_increasing
from vidguard.video.sampler import FrameSampler
from vidguard.video.source import Source

# In MPEG-TS it jumps to wrong frames, in AVI its times are garbage (decord 0.6.0).
_SEEKABLE_CONTAINERS: Final = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")


def open_decord(source: Source, device: torch.device, limits: Limits) -> DecordReader:
    """Open a source with decord; frames are moved to device.

    PyAV reads the header first: decord checks no limits and would follow playlists. Raises BackendError where decord
    isn't installed, can't open the source, or would show it wrong (HDR, interlaced, several streams, wrong colours).
    """
    try:
        import decord
    except ImportError as error:
        raise BackendError("decord isn't installed (it has wheels for x86-64 only); use backend='pyav'") from error
    if not source.seekable:
        raise BackendError("decord reads no pipes; use backend='pyav'")
    probe = open_software(source, torch.device("cpu"), limits)
    try:
        _require_showable(probe)
        where: Any = str(source.path) if source.path is not None else BytesIO(source.stream().read())
        try:
            frames = decord.VideoReader(where, ctx=decord.cpu(0))
            spans = frames.get_frame_timestamp(range(len(frames)))
        except (decord.DECORDError, AssertionError, RuntimeError) as error:
            raise BackendError(f"decord can't open {source.name}: {_first_line(error)}; use backend='pyav'") from error
    except BaseException:
        probe.close()
        raise
    probe.close()
    return DecordReader(probe, frames, spans, device, limits)


class DecordReader:
    """A video behind decord's index; times are decord's, moved to the container's start."""

    backend = "decord"

    def __init__(self, probe: PyAvReader, frames: Any, spans: Any, device: torch.device, limits: Limits) -> None:
        """Take decord's open reader and its (N, 2) frame spans in seconds."""
        self.info = probe.info
        self.num_frames_decoded = 0
        self._notes = [*probe.notes]
        self._damaged = False
        self._frames = frames
        self._spans = np.asarray(spans, dtype=np.float64)
        starts = self._spans[:, 0]
        sound = np.isfinite(starts).all() and (np.diff(starts) > 0).all() and moment(float(starts[-1])) is not None
        if not (sound and abs(starts[0]) <= limits.max_seconds):
            raise BackendError(f"decord found no usable times in {self.info.name}; use backend='pyav'")
        self._starts = starts - starts[0] + self.info.start_seconds
        if early := early_end(
            probe.promised_end_seconds, float(self._starts[0]), self._starts[-1] + np.ptp(self._spans[-1])
        ):
            self._damaged = True
            self._notes.append(early)
        self._canvas = _PackedCanvas(self.info.width or 0, self.info.height or 0, device)
        self._taken = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way, in sentences; grows while frames are read."""
        return (*self._notes, "decord repeats frames it can't decode and reports no damage")

    @property
    def damaged(self) -> bool:
        """Whether decord gave up on the way; smaller damage it hides."""
        return self._damaged

    def batches(self, *, frames_per_second: float | None = None, batch_size: int = 8) -> Iterator[FrameBatch]:
        """Decode every frame and yield the sampled ones; see VideoReader."""
        require_batch_size(batch_size)
        sampler = FrameSampler(frames_per_second)
        if self._taken:
            raise InputError("a source is read once; open it again for another pass")
        self._taken = True
        timed = ((frame, pts) for frame, pts in self._in_order() if sampler.wants(pts))
        return fill_batches(timed, self._canvas, batch_size)

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """Jump to the frames shown at increasing times; may be called again and again; see VideoReader."""
        require_increasing(times_seconds)
        shown = np.searchsorted(self._starts, np.asarray(times_seconds, dtype=np.float64), side="right") - 1
        indices = [int(index) for index in np.unique(np.maximum(shown, 0))]
        return one_batch(self._jumping(indices), self._canvas, len(indices))

    def close(self) -> None:
        """Release the decoder."""
        self._frames = None

    def __enter__(self) -> DecordReader:
        """Enter a with block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of a with block."""
        self.close()

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
                self._damaged = True
                self._notes.append(f"decord gave up at {self._starts[index]:.2f} s: {_first_line(error)}")
                return
            self.num_frames_decoded += 1
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
        (picture.is_stretched, "it doesn't stretch samples to square pixels"),
        (info.num_video_streams > 1, "it may choose another of several video streams"),
        (not picture.color.is_tagged and picture.color.matrix != "bt601", "it reads untagged HD colours as BT.601"),
    ]
    for applies, why in reasons:
        if applies:
            raise BackendError(f"decord can't show {info.name} right: {why}; use backend='pyav'")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

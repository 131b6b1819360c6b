"""What every backend offers, and the filling of batches they share."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from vidguard.errors import InputError
from vidguard.types import FrameBatch, SourceInfo
from vidguard.video.letterbox import Letterbox

_Raw = TypeVar("_Raw")
_RawIn = TypeVar("_RawIn", contravariant=True)


class VideoReader(Protocol):
    """One source, read once from beginning to end, used in a ``with`` block.

    Frames are (N, 3, H, W) uint8 RGB, upright, with square pixels, on the reader's device. Where the picture's size
    changes on the way, so does the batches'; `info` lists the sizes met so far. Times are the container's own, in
    seconds, strictly increasing.
    """

    @property
    def info(self) -> SourceInfo:
        """What the header and the first frame say, and the sizes that the picture has had so far."""

    @property
    def backend(self) -> str:
        """Which backend decodes: "pyav", "pyav-nvdec", "decord" or "pillow"."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way, in sentences; grows while frames are read."""

    @property
    def num_frames_decoded(self) -> int:
        """Frames decoded so far, analysed or not."""

    @property
    def troubles(self) -> tuple[str, ...]:
        """Of the notes those that say why not all of the source was seen, so far."""

    @property
    def damaged(self) -> bool:
        """Whether there are troubles: the source is broken off, partly undecodable, cut by a limit or partly hidden."""

    @property
    def end_seconds(self) -> float | None:
        """When the last frame decoded so far stops being shown, by its own duration; None where the source has none."""

    def batches(self, *, frames_per_second: float | None = None, batch_size: int = 8) -> Iterator[FrameBatch]:
        """Decode every frame and yield those a FrameSampler of that rate takes, at most batch_size at a time.

        Yields nothing where no frame decodes. Raises InputError for a second pass.
        """

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """Give the distinct frames shown at increasing times, in order; before the first frame, the first.

        Takes the place of `batches`. Only decord jumps; the others decode up to the last time asked for. Frames of
        several sizes are fitted into the largest, black around. An empty batch (0, 3, H, W) where none is asked for or
        decodes. Raises InputError for times that decrease.
        """

    def close(self) -> None:
        """Release the decoder; the caller's file object stays open."""

    def __enter__(self) -> VideoReader:
        """Enter a with block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close at the end of a with block."""


def counted(sentences: Counter[str]) -> tuple[str, ...]:
    """Each sentence once, with how often it was true where that is more than once."""
    return tuple(f"{what} ({n} times)" if n > 1 else what for what, n in sentences.items())


def require_batch_size(batch_size: int) -> None:
    """Refuse a batch that can't hold a frame."""
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")


class Canvas(Protocol[_RawIn]):
    """Where a backend's decoded frames become RGB."""

    def blank(self, num_frames: int) -> Tensor:
        """Allocate (num_frames, 3, h, w) uint8, not yet upright."""

    def write(self, raw: _RawIn, out: Tensor) -> None:
        """Convert one decoded frame into (3, h, w) out."""

    def finish(self, frames: Tensor) -> Tensor:
        """Turn converted frames upright, on the reader's device."""


def fill_batches(
    timed: Iterable[tuple[_Raw, float]], canvas_for: Callable[[_Raw], Canvas[_Raw]], batch_size: int
) -> Iterator[FrameBatch]:
    """Convert (decoded frame, time) pairs as they come and yield them batch_size at a time.

    canvas_for: the canvas that a frame is to be converted by; another one than the last frame's ends the batch.
    """
    canvas: Canvas[_Raw] | None = None
    frames = torch.empty(0)
    times: list[float] = []
    for raw, pts in timed:
        own = canvas_for(raw)
        if canvas is not None and times and own is not canvas:
            yield FrameBatch(canvas.finish(frames[: len(times)]), tuple(times))
            times = []
        canvas = own
        if not times:
            frames = canvas.blank(batch_size)
        canvas.write(raw, frames[len(times)])
        times.append(pts)
        if len(times) == batch_size:
            yield FrameBatch(canvas.finish(frames), tuple(times))
            times = []
    if canvas is not None and times:
        yield FrameBatch(canvas.finish(frames[: len(times)]), tuple(times))


def pick_shown(timed: Iterable[tuple[_Raw, float]], times_seconds: Sequence[float]) -> Iterator[tuple[_Raw, float]]:
    """Pick, of (frame, time) pairs in order, the distinct ones shown at increasing times; stops after the last."""
    left = deque(times_seconds)
    previous: tuple[_Raw, float] | None = None
    for current in timed:
        if previous is not None and left and left[0] < current[1]:
            yield previous
            while left and left[0] < current[1]:
                left.popleft()
        if not left:
            return
        previous = current
    if previous is not None and left:
        yield previous


def one_batch(
    timed: Iterable[tuple[_Raw, float]], canvas_for: Callable[[_Raw], Canvas[_Raw]], blank: Tensor, num_frames: int
) -> FrameBatch:
    """Convert at most num_frames frames into one batch: blank, (0, 3, H, W), where there is none."""
    batches = list(fill_batches(timed, canvas_for, max(num_frames, 1)))
    if not batches:
        return FrameBatch(blank, ())
    times = tuple(time for batch in batches for time in batch.pts_seconds)
    sizes = [batch.frames.shape[2:] for batch in batches]
    height, width = max(size[0] for size in sizes), max(size[1] for size in sizes)
    return FrameBatch(torch.cat([_fitted(batch.frames, width, height) for batch in batches]), times)


def _fitted(frames: Tensor, width: int, height: int) -> Tensor:
    if tuple(frames.shape[2:]) == (height, width):
        return frames
    box = Letterbox.fit((frames.shape[3], frames.shape[2]), (width, height))
    pictures = [torch.from_numpy(box.place(picture)) for picture in frames.permute(0, 2, 3, 1).cpu().numpy()]
    return torch.stack(pictures).permute(0, 3, 1, 2).contiguous().to(frames.device)


def require_increasing(times_seconds: Sequence[float]) -> None:
    """Refuse times that decrease."""
    if any(later < earlier for earlier, later in pairwise(times_seconds)):
        raise InputError("times_seconds must not decrease")

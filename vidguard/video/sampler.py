"""Which frames are analysed, and when each is shown: two small state machines on presentation times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import floor, inf, nextafter
from typing import Final, Generic, TypeVar

from vidguard.errors import InputError

_Frame = TypeVar("_Frame")
# Containers round times to their ticks, 1 ms in Matroska: half a tick on the first frame, where the grid begins, and
# half on this one (and a hair for floating point). Without it a stream at just the rate asked for would lose frames.
_TOLERANCE_SECONDS: Final = 0.001001


class FrameSampler(Generic[_Frame]):
    """Thins a stream of frames to a rate; depends on presentation times only, never on how frames are chunked.

    The first frame is taken; then each frame that reaches the next point of the grid ``first + k / rate``. Points
    that no frame met in time are skipped, so a stream slower than the rate is used whole. A frame is shown until the
    next one comes: where that is more than a whole step after the point due, the frame that was shown meanwhile is
    taken as well, at its own time. So no picture that stays on screen is passed over, and of two frames taken that are
    more than two steps apart nothing was shown between. A rate of None takes every frame. Raises InputError for a rate
    that isn't positive.
    """

    def __init__(self, frames_per_second: float | None) -> None:
        """Start before the first frame."""
        if frames_per_second is not None and not 0 < frames_per_second < inf:
            raise InputError(f"frames_per_second must be positive, got {frames_per_second}")
        self._rate = frames_per_second
        self._first: float | None = None
        self._next_point = 0
        self.passed_over: tuple[_Frame, float] | None = None
        """The last frame and its time, where it wasn't taken; it may be yet."""

    def push(self, frame: _Frame, pts_seconds: float) -> list[tuple[_Frame, float]]:
        """Give the frames that are to be analysed, with their times, now that one more is shown at pts_seconds.

        Never before the previous call's time. Gives none, this frame, or the one passed over and this one.
        """
        if self._rate is None:
            return [(frame, pts_seconds)]
        if self._first is None:
            self._first = pts_seconds
        taken = self.finish(pts_seconds)
        elapsed = pts_seconds - self._first + _TOLERANCE_SECONDS
        if elapsed < self._next_point / self._rate:
            self.passed_over = frame, pts_seconds
            return taken
        self.passed_over = None
        self._next_point = max(self._next_point, floor(elapsed * self._rate)) + 1
        return [*taken, (frame, pts_seconds)]

    def finish(self, end_seconds: float | None) -> list[tuple[_Frame, float]]:
        """Give the frame passed over, if it is shown for long until end_seconds (None: not known to be)."""
        if self.passed_over is None or self._first is None or self._rate is None or end_seconds is None:
            return []
        late = end_seconds - self._first - _TOLERANCE_SECONDS > (self._next_point + 1) / self._rate
        return [self.passed_over] if late else []

    def sample(
        self, timed: Iterable[tuple[_Frame, float]], end_seconds: Callable[[], float | None]
    ) -> Iterator[tuple[_Frame, float]]:
        """Thin all of a stream. end_seconds: asked after its last frame, when that one stops being shown, if known."""
        for frame, pts_seconds in timed:
            yield from self.push(frame, pts_seconds)
        yield from self.finish(end_seconds())


class Timeline:
    """Turns a container's presentation times into strictly increasing ones.

    A missing, repeated or backward time becomes the previous one plus a frame's duration; ``num_repaired`` counts
    them.
    """

    def __init__(self, frame_seconds: float) -> None:
        """Take the average frame duration, the step that stands in for what the container doesn't say."""
        self._frame_seconds = frame_seconds
        self._last: float | None = None
        self.num_repaired = 0

    def place(self, pts_seconds: float | None) -> float:
        """Give the time, in seconds, at which the next frame is shown."""
        if self._last is None:
            placed = 0.0 if pts_seconds is None else pts_seconds
            self.num_repaired += pts_seconds is None
        elif pts_seconds is not None and pts_seconds > self._last:
            placed = pts_seconds
        else:
            # nextafter: so far from zero, a frame's duration may be lost in rounding.
            placed = max(self._last + self._frame_seconds, nextafter(self._last, inf))
            self.num_repaired += 1
        self._last = placed
        return placed

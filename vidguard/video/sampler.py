"""Which frames are analysed, and when each is shown: two small state machines on presentation times."""

from __future__ import annotations

from math import floor, inf, nextafter
from typing import Final

from vidguard.errors import InputError
from vidguard.video.limits import moment

# Containers round times to their ticks, 1 ms in Matroska: half a tick on the first frame, where the grid begins, and
# half on this one (and a hair for floating point). Without it a stream at just the rate asked for would lose frames.
_TOLERANCE_SECONDS: Final = 0.001001


class FrameSampler:
    """Thins a stream of frames to a rate; depends on presentation times only, never on how frames are chunked.

    The first frame is wanted; then each frame that reaches the next point of the grid ``first + k / rate``. Points
    that no frame met in time are skipped, so a stream slower than the rate is used whole. A rate of None wants
    every frame. Raises InputError for a rate that isn't positive.
    """

    def __init__(self, frames_per_second: float | None) -> None:
        """Start before the first frame."""
        if frames_per_second is not None and not 0 < frames_per_second < inf:
            raise InputError(f"frames_per_second must be positive, got {frames_per_second}")
        self._rate = frames_per_second
        self._first: float | None = None
        self._next_point = 0

    def wants(self, pts_seconds: float) -> bool:
        """Tell whether the frame shown at pts_seconds (never before the previous call's) is to be analysed."""
        if self._rate is None:
            return True
        if self._first is None:
            self._first = pts_seconds
        elapsed = pts_seconds - self._first + _TOLERANCE_SECONDS
        if elapsed < self._next_point / self._rate:
            return False
        self._next_point = max(self._next_point, floor(elapsed * self._rate)) + 1
        return True


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
        """Give the time, in seconds, at which the next frame is shown; one that can't be true counts as missing."""
        pts_seconds = moment(pts_seconds)
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

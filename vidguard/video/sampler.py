"""Which frames are analysed, and when each is shown: two small state machines on presentation times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import floor, inf, nextafter
from typing import Final, Generic, TypeVar

from vidguard.errors import InputError
from vidguard.video.limits import moment

_Frame = TypeVar("_Frame")
# Containers round times to their ticks, 1 ms in Matroska: half a tick on the first frame, where the grid begins, and
# half on this one (and a hair for floating point). Without it a stream at just the rate asked for would lose frames.
_TOLERANCE_SECONDS: Final = 0.001001
# So many frames are looked ahead, where times don't increase, to tell which of them is the wrong one.
_LOOK_AHEAD: Final = 8


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
    """Turns a container's presentation times into strictly increasing ones; true times stay as they are.

    A missing, repeated or backward time is wrong, and so is one ahead of those that follow: of a few frames, as many
    times are kept as increase. The others are placed between their neighbours, at most a frame's duration apart. Where
    the clock jumps back for good, time goes on from there. ``num_repaired`` counts the times that were made up.
    """

    def __init__(self, frame_seconds: float) -> None:
        """Take the average frame duration, the step that stands in for what the container doesn't say."""
        self.num_repaired = 0
        self._frame_seconds = frame_seconds
        self._last: float | None = None
        self._shift = 0.0

    def place(self, timed: Iterable[tuple[_Frame, float | None]]) -> Iterator[tuple[_Frame, float]]:
        """Give each frame with the time, in seconds, at which it is shown; one frame is looked ahead, or a few."""
        waiting: list[tuple[_Frame, float | None]] = []
        for frame, stated in timed:
            time = moment(stated)  # one that can't be true counts as missing
            waiting.append((frame, None if time is None else time + self._shift))
            if self._is_plain(waiting):
                while len(waiting) > 1:
                    yield from self._settle(waiting)
            elif len(waiting) > _LOOK_AHEAD:
                yield from self._settle(waiting)
        while waiting:
            yield from self._settle(waiting)

    def _is_plain(self, waiting: list[tuple[_Frame, float | None]]) -> bool:
        """Whether the first time follows the last one given, and all that wait follow each other."""
        before = -inf if self._last is None else self._last
        for _, time in waiting:
            if time is None or time <= before:
                return False
            before = time
        return True

    def _settle(self, waiting: list[tuple[_Frame, float | None]]) -> Iterator[tuple[_Frame, float]]:
        """Give, and take off, the frames up to the first that keeps its time."""
        last = -inf if self._last is None else self._last
        kept = _longest_increasing([time for _, time in waiting], last)
        if kept is None:
            kept = self._jump_back(waiting)
        if kept is None:  # no times at all
            frame, _ = waiting.pop(0)
            yield frame, self._give(0.0 if self._last is None else self._last + self._frame_seconds, repaired=True)
            return
        end = waiting[kept][1]
        assert end is not None
        step = self._frame_seconds if self._last is None else min(self._frame_seconds, (end - last) / (kept + 1))
        begin = end - step * (kept + 1) if self._last is None else last
        for place in range(kept):
            yield waiting[place][0], self._give(begin + step * (place + 1), repaired=True)
        yield waiting[kept][0], self._give(end, repaired=False)
        del waiting[: kept + 1]

    def _jump_back(self, waiting: list[tuple[_Frame, float | None]]) -> int | None:
        """Move the clock so that the first time there is comes a frame after the last one given; its place."""
        place = next((i for i, (_, time) in enumerate(waiting) if time is not None), None)
        if place is None or self._last is None:
            return None
        time = waiting[place][1]
        assert time is not None
        moved = self._last + self._frame_seconds * (place + 1) - time
        self._shift += moved
        self.num_repaired += 1
        waiting[:] = [(frame, None if t is None else t + moved) for frame, t in waiting]
        return place

    def _give(self, seconds: float, *, repaired: bool) -> float:
        self.num_repaired += repaired
        if self._last is not None:  # so far from zero, a step may be lost in rounding
            seconds = max(seconds, nextafter(self._last, inf))
        self._last = seconds
        return seconds


def _longest_increasing(times: list[float | None], above: float) -> int | None:
    """Where the longest strictly increasing run of times above a bound begins, other times between being left out.

    Of several, the one that begins first. None where no time lies above.
    """
    longest = [0] * len(times)
    for i in reversed(range(len(times))):
        time = times[i]
        if time is not None and time > above:
            after = (longest[k] for k in range(i + 1, len(times)) if (later := times[k]) is not None and later > time)
            longest[i] = 1 + max(after, default=0)
    return longest.index(max(longest)) if any(longest) else None

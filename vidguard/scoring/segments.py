"""From scored frames to segments, and from either to findings: pure bookkeeping of time.

A frame speaks for the half-open stretch from its own time to the next analysed frame's. A track's visible time is the
union of its frames' stretches, short misses bridged; each unbroken span is cut into segments of equal length from its
start. A rest shorter than half a segment belongs to the one before it: on its own a frame or two would make a finding.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vidguard.errors import InputError
from vidguard.types import Finding, Interval, Segment

_DIGITS = 6  # times are kept in whole microseconds: finer than any container's clock that matters, and they read well
_EPSILON = 1.5e-6  # seconds; a gap shorter than this is rounding
_KEPT_ODDS = math.exp(-0.5)
"""Odds that keep a finding going, of those that open one: less keeps more of a stretch and blurs where it ends."""
_LULL_SECONDS = 1.0
"""Suspicious frames no further apart are one finding: forgeries drop out and flicker, and seldom come in pairs."""
_LEAST_FRAMES = 2
"""Frames that open a finding together: of one alone most are noise. With these three, found on forged tracks that
nothing is calibrated on, what is found is one stretch where it was four (`benchmarks/accuracy/LOG.md`)."""


def union(intervals: Iterable[Interval]) -> list[tuple[float, float]]:
    """The time, (start, end) in seconds, that at least one of the intervals covers: sorted, apart from each other."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted((i.start, i.end) for i in intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


@dataclass(frozen=True)
class ScoredPart(Interval):
    """A stretch of one track, before calibration: a frame's, or a segment's with the mean of its frames' logits."""

    logit: float


@dataclass(frozen=True)
class ScoredFrame(ScoredPart):
    """A judged frame and the time it speaks for. index: its position in the track, judged or not."""

    index: int


@dataclass(frozen=True)
class ScoredStretch(ScoredPart):
    """A finished segment before calibration. logit: time-weighted mean of its judged frames' logits."""

    num_frames: int
    """Judged ones; where there are none, the logit means nothing."""
    frame_indices: tuple[int, ...]
    """Positions, in the track, of the frames in it, judged or not."""


@dataclass
class _Frame:
    index: int
    start: float
    end: float
    judged: bool
    logit: float | None = None


@dataclass
class SegmentBuilder:
    """State machine over one track; gives each segment as soon as nothing that comes later can change it."""

    segment_seconds: float
    bridge_seconds: float
    spans: list[Interval] = field(default_factory=list)
    """Closed visible spans so far."""
    _frames: list[_Frame] = field(default_factory=list)
    _closed_spans: list[tuple[float, float]] = field(default_factory=list)
    _span_start: float | None = None
    _done_in_span: int = 0
    _count: int = 0
    _unscored: deque[_Frame] = field(default_factory=deque)

    def add_frame(self, start: float, end: float, *, judged: bool = True) -> None:
        """Add the next frame, which speaks for [start, end). Of a frame that isn't judged no logit will come."""
        start, end = round(start, _DIGITS), round(end, _DIGITS)
        if not end > start:
            raise InputError(f"a frame must speak for some time, got [{start}, {end})")
        last = self._frames[-1] if self._frames else None
        if self._span_start is not None and last is not None:
            if start - last.end <= self.bridge_seconds:
                last.end = start
            else:
                self._close_span(last.end)
        if self._span_start is None:
            self._span_start = start
        self._frames.append(_Frame(self._count, start, end, judged))
        self._count += 1
        if judged:
            self._unscored.append(self._frames[-1])

    def add_logits(self, logits: Sequence[float]) -> None:
        """Add the final logits of the next judged frames, in the order the frames were added."""
        for logit in logits:
            self._unscored.popleft().logit = logit

    def take(self) -> list[ScoredStretch]:
        """Take the segments that are final by now."""
        ready: list[ScoredStretch] = []
        while self._closed_spans:
            start, end = self._closed_spans[0]
            while (edges := self._next_edges(start, end, closed=True)) is not None:
                stretch = self._score(*edges)
                if stretch is None:
                    return ready
                ready.append(stretch)
                self._done_in_span += 1
            self._closed_spans.pop(0)
            self._done_in_span = 0
            self._frames = [f for f in self._frames if f.start >= end]
        if self._span_start is None or not self._frames:
            return ready
        while (edges := self._next_edges(self._span_start, self._frames[-1].end, closed=False)) is not None:
            stretch = self._score(*edges)
            if stretch is None:
                break
            ready.append(stretch)
            self._done_in_span += 1
            # the last frame stays: a bridge may still lengthen it
            self._frames = [f for f in self._frames[:-1] if f.end > edges[1]] + self._frames[-1:]
        return ready

    def finish(self) -> list[ScoredStretch]:
        """End the track; all frames must have their logits. Takes the remaining segments."""
        if self._span_start is not None:
            self._close_span(self._frames[-1].end)
        return self.take()

    def _close_span(self, end: float) -> None:
        assert self._span_start is not None
        self.spans.append(Interval(self._span_start, end))
        self._closed_spans.append((self._span_start, end))
        self._span_start = None

    def _next_edges(self, start: float, end: float, *, closed: bool) -> tuple[float, float] | None:
        low, high = (round(start + (self._done_in_span + k) * self.segment_seconds, _DIGITS) for k in (0, 1))
        half = self.segment_seconds / 2
        if round(end - high, _DIGITS) >= half:
            return low, high
        if not closed or (self._done_in_span > 0 and round(end - low, _DIGITS) < half):
            return None  # the segment before has taken the rest
        return low, end

    def _score(self, start: float, end: float) -> ScoredStretch | None:
        inside = [f for f in self._frames if f.start < end and f.end > start]
        judged = [f for f in inside if f.judged]
        weighted = seconds = 0.0
        for frame in judged:
            if frame.logit is None:
                return None
            shared = min(frame.end, end) - max(frame.start, start)
            weighted, seconds = weighted + frame.logit * shared, seconds + shared
        logit = weighted / seconds if judged else 0.0
        return ScoredStretch(start, end, logit, len(judged), tuple(f.index for f in inside))


def merge_findings(segments: Sequence[Segment], threshold: float) -> tuple[Finding, ...]:
    """Merge adjacent segments of the same track at or above the threshold; sorted by track, then time."""
    runs: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda s: (s.track_id, s.start)):
        if segment.fake_prob is None or segment.fake_prob < threshold:
            continue
        previous = runs[-1][-1] if runs else None
        if previous and previous.track_id == segment.track_id and segment.start - previous.end <= _EPSILON:
            runs[-1].append(segment)
        else:
            runs.append([segment])
    return tuple(_finding(run[0].track_id, run, [s.fake_prob or 0.0 for s in run]) for run in runs)


def find_stretches(frames: Sequence[Interval], fake_probs: Sequence[float], opens: float) -> list[slice]:
    """Suspicious stretches of one track, as slices of its frames: hysteresis with short lulls bridged.

    frames: in order of time; fake_probs: as many. A stretch holds at least two frames, or the track's only one, at or
    above `opens`, and begins and ends with frames at or above a lower bound; no two are as near as a lull.
    """
    keeps = opens * _KEPT_ODDS / (1.0 - opens + opens * _KEPT_ODDS)
    runs: list[slice] = []
    for k in (k for k, p in enumerate(fake_probs) if p >= keeps):
        if runs and frames[k].start - frames[runs[-1].stop - 1].end <= _LULL_SECONDS + _EPSILON:
            runs[-1] = slice(runs[-1].start, k + 1)
        else:
            runs.append(slice(k, k + 1))
    least = min(_LEAST_FRAMES, len(frames))
    return [run for run in runs if sum(p >= opens for p in fake_probs[run]) >= least]


def opening_of(logits: Sequence[float]) -> float:
    """The highest logit at which these frames would open a finding by themselves; needs at least one."""
    return sorted(logits, reverse=True)[min(_LEAST_FRAMES, len(logits)) - 1]


def findings_of(
    track_id: int, frames: Sequence[Interval], fake_probs: Sequence[float], opens: float
) -> tuple[Finding, ...]:
    """The findings of one track, told by its frames (`find_stretches`)."""
    runs = find_stretches(frames, fake_probs, opens)
    return tuple(_finding(track_id, frames[run], fake_probs[run]) for run in runs)


def _finding(track_id: int, parts: Sequence[Interval], fake_probs: Sequence[float]) -> Finding:
    """One finding of adjacent segments or frames, each with its probability."""
    peak = max(range(len(parts)), key=lambda k: fake_probs[k])
    mean = sum(p * part.seconds for p, part in zip(fake_probs, parts)) / sum(part.seconds for part in parts)
    return Finding(
        start=parts[0].start,
        end=parts[-1].end,
        track_id=track_id,
        fake_prob=min(mean, 1.0),
        peak_time=(parts[peak].start + parts[peak].end) / 2,
        peak_fake_prob=fake_probs[peak],
    )

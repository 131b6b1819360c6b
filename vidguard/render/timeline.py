"""Geometry of a face's timeline as SVG paths, bounded in size however long the video is.

A lane is `WIDTH` units wide over the time domain and `HEIGHT` units high; probability 0 is at the bottom, 1 at `TOP`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, TypeVar

from vidguard.render.scale import step_index
from vidguard.render.words import clock
from vidguard.types import (
    MAX_SECONDS,
    Explanation,
    Finding,
    Interval,
    Observation,
    Report,
    Segment,
    Thumbnail,
    Track,
)

_Part = TypeVar("_Part", Segment, Finding, Thumbnail, Explanation)
_Stretch = TypeVar("_Stretch", bound=Interval)
WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
TOP: Final = 12.0
"""Room above the plot for the marks of findings."""
MIN_BAR: Final = 0.6
"""Narrower segments are drawn together, showing the highest probability: 0.6 units are about one pixel."""
MAX_CURVE_POINTS: Final = 800
_TICK_STEPS: Final = (0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_LONG_STEP: Final = 7200


@dataclass(frozen=True)
class Tick:
    """A labelled moment on the time axis; ``x`` in lane units."""

    x: float
    label: str


@dataclass(frozen=True)
class Axis:
    """The time domain that all lanes of a report share."""

    domain: Interval

    def x(self, seconds: float) -> float:
        """Lane units of a time, clipped to the domain and rounded to a hundredth."""
        share = (seconds - self.domain.start) / self.domain.seconds
        return round(min(max(share, 0.0), 1.0) * WIDTH, 2)

    def ticks(self, *, count: int = 8) -> tuple[Tick, ...]:
        """At most ``count + 1`` round times."""
        whole = math.ceil(self.domain.seconds / (count * _LONG_STEP)) * _LONG_STEP
        step = next((s for s in _TICK_STEPS if self.domain.seconds / s <= count), whole)
        first = -(-self.domain.start // step)
        number = int(self.domain.end // step - first) + 1
        times = [(first + i) * step for i in range(number)]
        return tuple(Tick(self.x(t), clock(t, decimals=1 if step < 1 else 0)) for t in times)


@dataclass(frozen=True)
class Lane:
    """SVG path data of one face; ``bars`` are (colour step, path)."""

    seen: str
    bars: tuple[tuple[int, str], ...]
    unjudged: str
    curve: str
    findings: str


def time_axis(report: Report) -> Axis:
    """Span everything the report speaks of: the source's own duration and every track."""
    start = report.source.start_seconds
    length = report.source.duration_seconds or report.coverage.seconds
    starts = [start, *(track.start for track in report.tracks)]
    ends = [start + length, *(track.end for track in report.tracks)]
    begin = min(*starts, MAX_SECONDS - 1.0)
    return Axis(Interval(begin, min(max(*ends, begin + 1e-3), MAX_SECONDS)))


def by_track(report: Report, items: Iterable[_Part]) -> dict[int, list[_Part]]:
    """The parts of each of a report's tracks, in the order given."""
    groups: dict[int, list[_Part]] = {track.id: [] for track in report.tracks}
    for item in items:
        groups[item.track_id].append(item)
    return groups


def most_suspicious(report: Report, limit: int) -> tuple[Track, ...]:
    """At most ``limit`` of the tracks, in the report's order: those with the highest probability, or finding in them.

    A crowd, or a tracker that loses its faces, makes thousands; no view grows with them.
    """
    if len(report.tracks) <= limit:
        return report.tracks
    peaks = {track.id: -1.0 if track.fake_prob is None else track.fake_prob for track in report.tracks}
    for finding in report.findings:
        peaks[finding.track_id] = max(peaks[finding.track_id], finding.peak_fake_prob)
    kept = set(sorted(peaks, key=lambda track_id: -peaks[track_id])[:limit])
    return tuple(track for track in report.tracks if track.id in kept)


def containing(intervals: Sequence[_Stretch], time: float) -> _Stretch | None:
    """The one of sorted, disjoint intervals that holds a moment."""
    index = bisect_right(intervals, time, key=lambda i: i.start) - 1
    return intervals[index] if index >= 0 and time < intervals[index].end else None


def draw_lane(axis: Axis, track: Track, segments: Sequence[Segment], findings: Iterable[Finding]) -> Lane:
    """Draw one face. ``segments`` are this track's, in order of time."""
    bars: dict[int, list[str]] = {}
    unjudged: list[str] = []
    for x0, x1, prob in _merge_narrow(axis, segments):
        # A hairline between wide bars shows where one segment ends; narrow ones would lose their colour to it.
        right = x1 - 0.8 if x1 - x0 > 4 else x1
        if prob is None:
            unjudged.append(f"M{x0:g} {HEIGHT:g}V{HEIGHT - 30:g}H{right:g}V{HEIGHT:g}Z")
        else:
            # At least 3 units high, so that a face at probability 0 is still seen to be judged.
            bars.setdefault(step_index(prob), []).append(
                f"M{x0:g} {HEIGHT:g}V{min(level(prob), HEIGHT - 3):g}H{right:g}V{HEIGHT:g}Z"
            )
    marks = ((axis.x(f.start), axis.x(f.end)) for f in findings)
    return Lane(
        seen="".join(
            f"M{axis.x(s.start):g} {TOP:g}H{axis.x(s.end):g}V{HEIGHT:g}H{axis.x(s.start):g}Z" for s in track.spans
        ),
        bars=tuple((step, "".join(bars[step])) for step in sorted(bars)),
        unjudged="".join(unjudged),
        curve=_curve_path(axis, track),
        findings="".join(f"M{x0:g} 1H{max(x1, x0 + 3):g}V7H{x0:g}Z" for x0, x1 in marks),
    )


def level(prob: float) -> float:
    """Vertical position of a probability in lane units."""
    return round(HEIGHT - prob * (HEIGHT - TOP), 2)


def curve_runs(track: Track, limit: int = MAX_CURVE_POINTS) -> list[list[tuple[float, float]]]:
    """Times and probabilities of the judged frames, broken where the face was unseen or not judged.

    About ``limit`` points at most: of each bucket of frames the lowest and the highest stay, so that no peak is lost.
    """
    ends = [span.end for span in track.spans]
    runs: list[list[tuple[float, float]]] = []
    previous = -1
    for observation in track.observations:
        if observation.fake_prob is None:
            previous = -1
            continue
        span = bisect_right(ends, observation.time)
        if span != previous:
            runs.append([])
        runs[-1].append((observation.time, observation.fake_prob))
        previous = span
    total = sum(map(len, runs))
    return runs if total <= limit else [_thin(run, bucket_size=-(-2 * total // limit)) for run in runs]


def observations_in(track: Track, interval: Interval) -> Sequence[Observation]:
    """The track's observations whose time lies in the half-open interval."""
    lo = bisect_left(track.observations, interval.start, key=lambda o: o.time)
    hi = bisect_left(track.observations, interval.end, key=lambda o: o.time)
    return track.observations[lo:hi]


def mean_face_px(observations: Sequence[Observation]) -> float | None:
    """Mean size of the face in pixels; None without observations."""
    return round(fmean(o.quality.face_px for o in observations), 1) if observations else None


def _merge_narrow(axis: Axis, segments: Sequence[Segment]) -> list[tuple[float, float, float | None]]:
    """Bars ``(x0, x1, prob)``; neighbours are joined while narrower than MIN_BAR, keeping the most suspicious."""
    merged: list[tuple[float, float, float | None]] = []
    for segment in segments:
        x0, x1, prob = axis.x(segment.start), axis.x(segment.end), segment.fake_prob
        if merged and merged[-1][1] - merged[-1][0] < MIN_BAR and x0 - merged[-1][1] < MIN_BAR:
            before = merged.pop()
            judged = [p for p in (before[2], prob) if p is not None]
            merged.append((before[0], x1, max(judged, default=None)))
        else:
            merged.append((x0, max(x1, x0 + 0.3), prob))
    return merged


def _thin(points: list[tuple[float, float]], bucket_size: int) -> list[tuple[float, float]]:
    kept: list[tuple[float, float]] = []
    for first in range(0, len(points), bucket_size):
        bucket = points[first : first + bucket_size]
        kept += sorted({min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])})
    return kept


def _curve_path(axis: Axis, track: Track) -> str:
    points = [[f"{axis.x(time):g} {level(prob):g}" for time, prob in run] for run in curve_runs(track)]
    return "".join("M" + "L".join(run) for run in points)

"""Where in time: found stretches against true ones. An interval is (start, end) in seconds, half-open."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vidguard.errors import InputError

Interval: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class SegmentMatch:
    """Found stretches paired with true ones, of one video or pooled over several."""

    pairs: tuple[tuple[Interval, Interval], ...]
    """(found, true) of each match, best first within a video."""
    num_found: int
    num_true: int

    @property
    def precision(self) -> float:
        """Share of the found stretches that match a true one; NaN where nothing was found."""
        return len(self.pairs) / self.num_found if self.num_found else math.nan

    @property
    def recall(self) -> float:
        """Share of the true stretches that were found; NaN where there are none."""
        return len(self.pairs) / self.num_true if self.num_true else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); NaN where both sides are empty."""
        total = self.num_found + self.num_true
        return 2 * len(self.pairs) / total if total else math.nan

    @property
    def boundary_error(self) -> Interval:
        """Mean |start error| and mean |end error| of the matches in seconds; (NaN, NaN) without matches.

        Only matches count, so it goes with the recall and the IoU threshold it was measured at.
        """
        if not self.pairs:
            return math.nan, math.nan
        start = math.fsum(abs(found[0] - true[0]) for found, true in self.pairs)
        end = math.fsum(abs(found[1] - true[1]) for found, true in self.pairs)
        return start / len(self.pairs), end / len(self.pairs)


def temporal_iou(found: Iterable[Interval], truth: Iterable[Interval]) -> float:
    """Seconds in both sets of intervals over seconds in either; what overlaps within a set counts once.

    NaN where both are empty: silence about a genuine video is right, but locates nothing.
    """
    ours, theirs = merge_intervals(found), merge_intervals(truth)
    either = _seconds(merge_intervals([*ours, *theirs]))
    return sum(_overlap(interval, theirs) for interval in ours) / either if either else math.nan


def match_segments(found: Sequence[Interval], truth: Sequence[Interval], iou: float = 0.5) -> SegmentMatch:
    """Pair found and true stretches one to one, highest IoU first, down to the threshold `iou` in (0, 1].

    Two found halves of one true stretch are one match at most: stretches that touch should be merged before.
    """
    if not 0 < iou <= 1:
        raise InputError(f"iou must lie in (0, 1], got {iou}")
    candidates = [(temporal_iou([f], [t]), i, j) for i, f in enumerate(found) for j, t in enumerate(truth)]
    pairs: list[tuple[Interval, Interval]] = []
    free_found, free_true = set(range(len(found))), set(range(len(truth)))
    for value, i, j in sorted(candidates, key=lambda c: (-c[0], c[1], c[2])):
        if value >= iou and i in free_found and j in free_true:
            free_found.remove(i)
            free_true.remove(j)
            pairs.append((found[i], truth[j]))
    return SegmentMatch(tuple(pairs), len(found), len(truth))


def pool_matches(matches: Iterable[SegmentMatch]) -> SegmentMatch:
    """Matches of several videos as one, so that each stretch counts the same, not each video."""
    parts = list(matches)
    return SegmentMatch(
        pairs=tuple(pair for part in parts for pair in part.pairs),
        num_found=sum(part.num_found for part in parts),
        num_true=sum(part.num_true for part in parts),
    )


def segment_labels(segments: Iterable[Interval], forged: Iterable[Interval]) -> list[bool | None]:
    """Truth of each fixed segment, for AUC over segments: fake where at least half of it is forged, real where nothing
    is, None, to be left out, between.
    """
    stretches = merge_intervals(forged)
    labels: list[bool | None] = []
    for segment in segments:
        _check(segment)
        share = _overlap(segment, stretches) / (segment[1] - segment[0])
        labels.append(True if share >= 0.5 else False if share == 0 else None)
    return labels


def _check(interval: Interval) -> None:
    start, end = interval
    if not (math.isfinite(start) and math.isfinite(end) and start < end):
        raise InputError(f"an interval must start before it ends, got [{start}, {end})")


def merge_intervals(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted disjoint intervals that cover the same time; raises InputError for one that covers none."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        _check((start, end))
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _seconds(disjoint: Iterable[Interval]) -> float:
    return sum(end - start for start, end in disjoint)


def _overlap(interval: Interval, disjoint: Iterable[Interval]) -> float:
    """Seconds of the interval that the disjoint ones cover."""
    return sum(max(0.0, min(interval[1], end) - max(interval[0], start)) for start, end in disjoint)

"""From segments to one answer about the video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from vidguard.segments import ScoredStretch

MIN_SHARE_OF_LONGEST: Final = 0.25
ENOUGH_SECONDS: Final = 3.0
"""A face judged for less than both doesn't decide: passers-by and false alarms would, by their number."""


def track_logit(stretches: Sequence[ScoredStretch]) -> float:
    """Time-weighted mean of the more suspicious half of a track's time.

    The plain mean would dilute a forged stretch in a genuine video, the maximum would grow with length; half the time
    is the same share of any length. Needs at least one stretch.
    """
    half = sum(s.seconds for s in stretches) / 2
    taken = total = 0.0
    for stretch in sorted(stretches, key=lambda s: -s.logit):
        seconds = min(stretch.seconds, half - taken)
        if seconds <= 0:
            break
        taken += seconds
        total += seconds * stretch.logit
    return total / taken


def video_logit(tracks: Mapping[int, Sequence[ScoredStretch]]) -> float | None:
    """The most suspicious face's logit, among the faces seen long enough to matter; None without any."""
    seconds = {track: sum(s.seconds for s in stretches) for track, stretches in tracks.items() if stretches}
    if not seconds:
        return None
    needed = min(MIN_SHARE_OF_LONGEST * max(seconds.values()), ENOUGH_SECONDS)
    return max(track_logit(tracks[track]) for track, long in seconds.items() if long >= needed)

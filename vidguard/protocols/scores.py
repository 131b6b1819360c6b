"""What a detector said of one item: plain rows, without a number where there is no decision."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vidguard.errors import InputError


@dataclass(frozen=True)
class FrameScore:
    """One judged face in one frame. time: seconds; fake_prob in [0, 1]."""

    track_id: int
    time: float
    fake_prob: float


@dataclass(frozen=True)
class SegmentScore:
    """One judged stretch [start, end) of one face, seconds."""

    track_id: int
    start: float
    end: float
    fake_prob: float


@dataclass(frozen=True)
class Score:
    """The answer about one item.

    fake_prob: [0, 1] or None where there is no decision (status says why: "no_face", "too_short", "undecodable",
    "error"); never a number that stands for not knowing.
    """

    id: str
    fake_prob: float | None
    status: str
    seconds: float
    """Wall-clock time it took."""
    detail: str = ""
    """What went wrong, for status "error"."""
    frames: tuple[FrameScore, ...] = ()
    segments: tuple[SegmentScore, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a number outside [0, 1], and one beside a status that says there is none."""
        if (self.fake_prob is not None) != (self.status in ("ok", "partial")):
            raise InputError(f"{self.id}: status {self.status} with fake_prob {self.fake_prob}")
        if self.fake_prob is not None and not (math.isfinite(self.fake_prob) and 0 <= self.fake_prob <= 1):
            raise InputError(f"{self.id}: fake_prob must lie in [0, 1], got {self.fake_prob}")

"""What a detector said of one item: plain rows, without a number where there is no decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vidguard.errors import InputError
from vidguard.types import MAX_SECONDS, Status

STATUSES: Final = (*(status.value for status in Status), "error")


@dataclass(frozen=True)
class FrameScore:
    """One judged face in one frame. time: seconds; fake_prob in [0, 1]."""

    track_id: int
    time: float
    fake_prob: float

    def __post_init__(self) -> None:
        """Refuse what is no time or no probability."""
        _require_times(self.time)
        _require_prob(self.fake_prob)


@dataclass(frozen=True)
class SegmentScore:
    """One judged stretch [start, end) of one face, seconds."""

    track_id: int
    start: float
    end: float
    fake_prob: float

    def __post_init__(self) -> None:
        """Refuse what is no stretch of time or no probability."""
        _require_times(self.start, self.end)
        _require_prob(self.fake_prob)
        if not self.start < self.end:
            raise InputError(f"a stretch must not be empty: [{self.start}, {self.end})")


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
    """What went wrong, for status "error"; else why not all of the item was seen, where it wasn't."""
    frames: tuple[FrameScore, ...] = ()
    segments: tuple[SegmentScore, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a number outside [0, 1], and one beside a status that says there is none."""
        if (self.fake_prob is not None) != (self.status in ("ok", "partial")):
            raise InputError(f"{self.id}: status {self.status} with fake_prob {self.fake_prob}")
        if self.status not in STATUSES:
            raise InputError(f"{self.id}: there is no status {self.status!r}; use one of {', '.join(STATUSES)}")
        if self.fake_prob is not None:
            _require_prob(self.fake_prob)
        if not 0 <= self.seconds <= MAX_SECONDS:
            raise InputError(f"{self.id}: it can't have taken {self.seconds} s")


def _require_prob(fake_prob: float) -> None:
    if not 0 <= fake_prob <= 1:
        raise InputError(f"fake_prob must lie in [0, 1], got {fake_prob}")


def _require_times(*seconds: float) -> None:
    if not all(abs(time) <= MAX_SECONDS for time in seconds):
        raise InputError(f"a time must lie within {MAX_SECONDS:g} s of zero, got {seconds}")

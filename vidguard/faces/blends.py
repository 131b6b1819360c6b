"""Which frames show one scene only: known of each a little after it was seen."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from vidguard.faces.follower import FaceFollower
from vidguard.faces.scene import LONGEST_BLEND
from vidguard.types import Interval

_Seen = TypeVar("_Seen")


class BlendFilter(Generic[_Seen]):
    """Holds what was seen in frames until no dissolve can reach it any more, and drops what one did reach.

    A face in a dissolve is a mixture of two, and nobody's. Holds `LONGEST_BLEND` seconds of it.
    """

    def __init__(self, follower: FaceFollower, *, keep_history: bool = True) -> None:
        """Ask this follower for blends; without keep_history those that are over are forgotten."""
        self.blends: list[Interval] = []
        """Stretches in which one scene dissolves into another."""
        self._follower = follower
        self._keep_history = keep_history
        self._held: deque[tuple[float, _Seen]] = deque()

    @property
    def held(self) -> Iterator[_Seen]:
        """What isn't decided yet."""
        return (seen for _, seen in self._held)

    def hold(self, time: float, seen: _Seen) -> None:
        """Add what a frame showed from this time on, seconds; times increase."""
        self._held.append((time, seen))

    def release(self, now: float = math.inf) -> Iterator[_Seen]:
        """Give, in order, what no dissolve can reach once all frames up to `now` were followed."""
        self.blends += self._follower.take_blends()
        while self._held and self._held[0][0] < now - LONGEST_BLEND:
            time, seen = self._held.popleft()
            if not any(blend.start <= time < blend.end for blend in self.blends):
                yield seen
        if not self._keep_history:
            self.blends = [blend for blend in self.blends if blend.end >= now - LONGEST_BLEND]

"""The one way from a track's encoded frames to its logits and segments: analyses and training's calibration call it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from vidguard.segments import ScoredPart, ScoredStretch, SegmentBuilder
from vidguard.temporal import FrameTokens, WindowedJudge


@dataclass
class TrackScorer:
    """State machine over one track; gives frames and segments as soon as nothing that comes later can change them.

    Answers are judged frames by their position among all of the track's frames, and finished segments, before
    calibration.
    """

    builder: SegmentBuilder
    windows: WindowedJudge
    num_frames: int = 0
    _unscored: deque[tuple[int, float, float]] = field(default_factory=deque)
    """Positions of judged frames whose logits are to come, and what they speak for."""

    def add(
        self, tokens: FrameTokens, start: float, end: float, *, is_judged: bool
    ) -> tuple[dict[int, ScoredPart], list[ScoredStretch]]:
        """Add the next frame, its tokens of length 1, which speaks for [start, end) seconds.

        One that isn't judged, being too small or too blurred, is part of the track's time and of nothing else.
        """
        self.builder.add_frame(start, end, judged=is_judged)
        scored = {}
        if is_judged:
            self._unscored.append((self.num_frames, start, end))
            scored = self._score(self.windows.push(tokens))
        self.num_frames += 1
        return scored, self.builder.take()

    def finish(self) -> tuple[dict[int, ScoredPart], list[ScoredStretch]]:
        """End the track."""
        return self._score(self.windows.finish()), self.builder.finish()

    def _score(self, logits: Sequence[float]) -> dict[int, ScoredPart]:
        self.builder.add_logits(logits)
        taken = [self._unscored.popleft() for _ in logits]
        return {index: ScoredPart(start, end, logit) for (index, start, end), logit in zip(taken, logits)}

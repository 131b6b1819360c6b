"""One face through time: its frames' logits, its segments, and its own logit."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vidguard.config import AnalysisConfig
from vidguard.scoring.calibration import TrackReading
from vidguard.scoring.segments import ScoredFrame, ScoredPart, ScoredStretch, SegmentBuilder
from vidguard.scoring.verdict import track_logit
from vidguard.scoring.windows import FrameTokens, JudgeWindow, WindowedJudge
from vidguard.types import Interval


@dataclass(frozen=True)
class TrackScores:
    """What became final of a track: logits of judged frames, and segments, each in order of time."""

    frames: tuple[ScoredFrame, ...]
    segments: tuple[ScoredStretch, ...]
    """Those without a judged frame among them."""

    def logit(self, reading: TrackReading) -> float | None:
        """The face's logit, before calibration, of a whole track; None where no frame was judged."""
        parts = self.parts(reading)
        return track_logit(parts, reading.share) if parts else None

    def parts(self, reading: TrackReading) -> Sequence[ScoredPart]:
        """The parts of a whole track that its logit is read from."""
        return self.frames if reading.of == "frames" else tuple(s for s in self.segments if s.num_frames)


class TrackScorer:
    """State machine over one track: frames in, logits of frames and segments out as soon as they are final.

    judge_window: the temporal model. Keeps one window of frames and what isn't final yet; how frames are handed over
    doesn't matter.
    """

    def __init__(self, judge_window: JudgeWindow, config: AnalysisConfig) -> None:
        self._windows = WindowedJudge(judge_window)
        self._builder = SegmentBuilder(config.segment_seconds, config.bridge_seconds)
        self._unscored: deque[ScoredFrame] = deque()
        self.num_frames = 0
        """Added so far, judged or not."""

    @property
    def spans(self) -> Sequence[Interval]:
        """The unbroken spans in which the face was visible, as far as they are closed."""
        return self._builder.spans

    def add(self, shown: Interval, tokens: FrameTokens | None) -> TrackScores:
        """Add the next frame, shown for that time, with its one token; None where its face can't be judged."""
        self._builder.add_frame(shown.start, shown.end, judged=tokens is not None)
        logits = []
        if tokens is not None:
            self._unscored.append(ScoredFrame(shown.start, shown.end, 0.0, self.num_frames))
            logits = self._windows.push(tokens)
        self.num_frames += 1
        frames = self._scored(logits)
        return TrackScores(frames, tuple(self._builder.take()))

    def finish(self) -> TrackScores:
        """End the track; what remains."""
        frames = self._scored(self._windows.finish())
        return TrackScores(frames, tuple(self._builder.finish()))

    def _scored(self, logits: Sequence[float]) -> tuple[ScoredFrame, ...]:
        self._builder.add_logits(logits)
        return tuple(replace(self._unscored.popleft(), logit=logit) for logit in logits)


def score_track(
    judge_window: JudgeWindow,
    shown: Sequence[Interval],
    tokens: FrameTokens,
    config: AnalysisConfig,
    *,
    is_judged: Sequence[bool] | None = None,
) -> TrackScores:
    """Score a whole track at once, as an analysis scores it frame by frame.

    shown: T intervals, each frame's; tokens: of the T frames; is_judged: of which the faces can be judged, all if left
    out.
    """
    scorer = TrackScorer(judge_window, config)
    judged = [True] * len(shown) if is_judged is None else is_judged
    parts = [scorer.add(one, tokens[k : k + 1] if judged[k] else None) for k, one in enumerate(shown)]
    parts.append(scorer.finish())
    return TrackScores(
        tuple(f for part in parts for f in part.frames), tuple(s for part in parts for s in part.segments)
    )

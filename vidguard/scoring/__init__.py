"""From logits to answers: windows, segments, findings, a track's logit, calibration, decisions.

Everything that turns an encoder's or the transformer's logits into what people read lies here, once: the analysis of
files and streams, stills, training's calibration and the benchmarks call the same functions.
"""

from __future__ import annotations

from vidguard.scoring.levels import Level, Scoring
from vidguard.scoring.segments import ScoredPart, ScoredStretch
from vidguard.scoring.track import TrackScorer, TrackScores, score_track
from vidguard.scoring.windows import HOP_FRAMES, WINDOW_FRAMES, FrameTokens, WindowedJudge

__all__ = [
    "HOP_FRAMES",
    "WINDOW_FRAMES",
    "FrameTokens",
    "Level",
    "ScoredPart",
    "ScoredStretch",
    "Scoring",
    "TrackScorer",
    "TrackScores",
    "WindowedJudge",
    "score_track",
]

"""Judging time: a transformer over the frames of one followed face."""

from __future__ import annotations

from vidguard.temporal.transformer import TemporalOutput, TemporalTransformer, frame_features
from vidguard.temporal.windows import HOP_FRAMES, WINDOW_FRAMES, FrameTokens, WindowedJudge

__all__ = [
    "HOP_FRAMES",
    "WINDOW_FRAMES",
    "FrameTokens",
    "TemporalOutput",
    "TemporalTransformer",
    "WindowedJudge",
    "frame_features",
]

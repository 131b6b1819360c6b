"""Judging time: a transformer over the frames of one followed face."""

from __future__ import annotations

from vidguard.temporal.transformer import TemporalOutput, TemporalTransformer, frame_features

__all__ = ["TemporalOutput", "TemporalTransformer", "frame_features"]

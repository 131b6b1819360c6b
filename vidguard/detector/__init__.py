"""Wires the stages: `load` weights, then `Detector.analyze`, `.stream`, `.score_crops`."""

from __future__ import annotations

from vidguard.detector.detector import Detector, choose_device, load
from vidguard.detector.judge import Judge, load_judge

__all__ = ["Detector", "Judge", "choose_device", "load", "load_judge"]

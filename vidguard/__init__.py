"""vidguard finds forged faces in video and says where: per face, per stretch of time, a calibrated probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidguard._version import __version__
from vidguard.config import AnalysisConfig, FaceConfig, Limits
from vidguard.errors import (
    BackendError,
    InputError,
    LimitError,
    OutputError,
    ReportFormatError,
    SourceError,
    VidguardError,
    WeightsError,
)
from vidguard.types import Finding, FrameBatch, Interval, Report, Segment, Status, Track

if TYPE_CHECKING:
    from vidguard.detector import Detector, load

__all__ = [
    "AnalysisConfig",
    "BackendError",
    "Detector",
    "FaceConfig",
    "Finding",
    "FrameBatch",
    "InputError",
    "Interval",
    "LimitError",
    "Limits",
    "OutputError",
    "Report",
    "ReportFormatError",
    "Segment",
    "SourceError",
    "Status",
    "Track",
    "VidguardError",
    "WeightsError",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: `vidguard --help` and reading reports do without it
    if name in ("Detector", "load"):
        from vidguard import detector

        return getattr(detector, name)
    raise AttributeError(f"module 'vidguard' has no attribute {name!r}")

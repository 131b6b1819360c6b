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
from vidguard.types import (
    Coverage,
    Decision,
    EngineInfo,
    Explanation,
    Finding,
    FrameBatch,
    Interval,
    KindGuess,
    Observation,
    PictureSize,
    Quality,
    Report,
    Segment,
    SourceInfo,
    Status,
    Thumbnail,
    Track,
    WeightsInfo,
)

if TYPE_CHECKING:
    from vidguard.detector import Detector, load

__all__ = [
    "AnalysisConfig",
    "BackendError",
    "Coverage",
    "Decision",
    "Detector",
    "EngineInfo",
    "Explanation",
    "FaceConfig",
    "Finding",
    "FrameBatch",
    "InputError",
    "Interval",
    "KindGuess",
    "LimitError",
    "Limits",
    "Observation",
    "OutputError",
    "PictureSize",
    "Quality",
    "Report",
    "ReportFormatError",
    "Segment",
    "SourceError",
    "SourceInfo",
    "Status",
    "Thumbnail",
    "Track",
    "VidguardError",
    "WeightsError",
    "WeightsInfo",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: `vidguard --help` and reading reports do without it
    if name in ("Detector", "load"):
        from vidguard import detector

        return getattr(detector, name)
    raise AttributeError(f"module 'vidguard' has no attribute {name!r}")

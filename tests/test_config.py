"""Settings that can't work are refused at birth."""

from __future__ import annotations

import json
import math

import pytest

from vidguard.config import AnalysisConfig, FaceConfig, Limits
from vidguard.errors import InputError


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (AnalysisConfig, {"frames_per_second": 0.0}),
        (AnalysisConfig, {"frames_per_second": 1e6}),
        (AnalysisConfig, {"segment_seconds": math.inf}),
        (AnalysisConfig, {"segment_seconds": 1e-7}),
        (AnalysisConfig, {"min_track_frames": 0}),
        (AnalysisConfig, {"clear_detection_prob": 1.0}),
        (AnalysisConfig, {"error_rate": 0.0}),
        (AnalysisConfig, {"error_rate": 5.0}),
        (FaceConfig, {"max_detection_side_px": 0}),
        (FaceConfig, {"max_gap_seconds": math.inf}),
        (FaceConfig, {"thresholds": (0.6, 0.7, 1.0)}),
        (Limits, {"max_seconds": math.inf}),
        (Limits, {"max_pixels": 0}),
    ],
)
def test_refused(kind: type, values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        kind(**values)


def test_settings_are_plain_json() -> None:
    plain = AnalysisConfig().as_dict()
    assert json.loads(json.dumps(plain)) == plain

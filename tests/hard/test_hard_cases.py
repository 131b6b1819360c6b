from __future__ import annotations

from pathlib import Path

import pytest
from case import HardCase
from cases import CASES

from vidguard.detector import Detector
from vidguard.video import open_source

_BY_KIND = [pytest.param(case, id=case.kind.replace(" ", "-")) for case in CASES]


@pytest.mark.parametrize("case", _BY_KIND)
def test_the_analysis_is_right_on(case: HardCase, detector: Detector, tmp_path: Path) -> None:
    case.analyze(detector.analyze(case.make(tmp_path)))


@pytest.mark.parametrize("case", [p for p in _BY_KIND if p.values[0].triage is not None])
def test_the_triage_is_right_on(case: HardCase, detector: Detector, tmp_path: Path) -> None:
    assert case.triage is not None
    case.triage(detector.triage(case.make(tmp_path)))


@pytest.mark.parametrize("case", [p for p in _BY_KIND if p.values[0].stream is not None])
def test_the_stream_is_right_on(case: HardCase, detector: Detector, tmp_path: Path) -> None:
    assert case.stream is not None
    with open_source(case.make(tmp_path)) as reader:
        case.stream(list(detector.stream(reader.batches())))

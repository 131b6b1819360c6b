"""The shipped weights, the demo clip whose truth is known, and what they say of it: made once for all tests here."""

from __future__ import annotations

import pytest

import vidguard
from vidguard.demo import DemoClip, make_demo_clip


@pytest.fixture(scope="session")
def detector() -> vidguard.Detector:
    return vidguard.load(device="cpu")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> DemoClip:
    return make_demo_clip(tmp_path_factory.mktemp("demo") / "demo.mp4")


@pytest.fixture(scope="session")
def report(detector: vidguard.Detector, clip: DemoClip) -> vidguard.Report:
    return detector.analyze(clip.path)

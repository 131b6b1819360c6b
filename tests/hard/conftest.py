"""Loaded weights for all hard files: the ones that ship by default."""

from __future__ import annotations

import pytest

import vidguard
from vidguard.detector import Detector


@pytest.fixture(scope="session")
def detector() -> Detector:
    return vidguard.load(device="cpu")

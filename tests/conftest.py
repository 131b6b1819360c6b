"""Shared by all tests: what becomes of those that need a GPU."""

from __future__ import annotations

import os

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available() or os.environ.get("VIDGUARD_REQUIRE_CUDA") == "1":
        return  # required but absent: the tests run and fail
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device (VIDGUARD_REQUIRE_CUDA=1 forbids this skip)"))

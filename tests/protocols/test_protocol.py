"""Protocols: the frames they choose, and the combinations they refuse."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidguard.config import CropGeometry
from vidguard.errors import InputError
from vidguard.protocols.protocol import DEEPFAKEBENCH, PROTOCOLS, VIDGUARD, Protocol


def test_frames_are_spread_over_the_whole_video_not_its_beginning() -> None:
    chosen = DEEPFAKEBENCH.frame_indices(300)
    assert len(chosen) == 32
    assert (chosen[0], chosen[-1]) == (0, 299)
    steps = np.diff(chosen)
    assert steps.max() - steps.min() <= 1


@given(st.integers(0, 2000), st.integers(1, 64))
def test_chosen_frames_exist_and_none_is_taken_twice(total: int, wanted: int) -> None:
    chosen = Protocol("p", "", "linspace", wanted).frame_indices(total)
    assert len(chosen) == min(total, wanted)
    assert (np.diff(chosen) > 0).all()
    assert not len(chosen) or (chosen[0] >= 0 and chosen[-1] < total)


@pytest.mark.parametrize(
    "wrong",
    [
        {"frames": "pipeline"},
        {"frames": "linspace", "aggregation": "verdict", "num_frames": 8},
        {"frames": "linspace"},
        {"frames": "linspace", "num_frames": 0},
        {"frames": "pipeline", "aggregation": "verdict", "crop": CropGeometry(256, 1.3)},
        {"frames": "linspace", "num_frames": 8, "threshold": 1.2},
        {"frames": "linspace", "num_frames": 8, "clip": (0.6, 0.9)},
    ],
)
def test_what_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Protocol("p", "", **wrong)


def test_every_protocol_is_written_in_full() -> None:
    for protocol in PROTOCOLS.values():
        told = json.loads(json.dumps(protocol.as_dict()))
        assert set(told) == set(Protocol.__dataclass_fields__)
    with pytest.raises(InputError, match="by time"):
        VIDGUARD.frame_indices(10)

"""What a header claims is a hint: what can't be true counts as not said, and nothing is allocated or waited for."""

from __future__ import annotations

import math
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from vidguard.types import MAX_SECONDS
from vidguard.video import open_source
from vidguard.video.keyframes import open_key_frames
from vidguard.video.limits import count, length, moment, rate
from vidguard.video.sampler import Timeline

TAG = b"00:00:01.000000000\0"


def clip() -> bytes:
    """One second of Matroska, which says how long it is in a tag."""
    out = BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for index in range(10):
            frame = VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * index, np.uint8))
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert TAG in out.getvalue()
    return out.getvalue()


@pytest.mark.parametrize(
    "claim", [b"999999999:00:00.0", b"00:00:nan", b"00:00:inf", b"-9:00:00.0", b"00:00:1e308", b"9" * 16 + b":0:0"]
)
def test_a_duration_that_cannot_be_counts_as_not_said(claim: bytes) -> None:
    content = clip().replace(TAG, claim.ljust(len(TAG), b"\0"))
    for opened in (open_source(content), open_key_frames(content, max_frames=4)):
        with opened as reader:
            frames = sum(len(batch) for batch in reader.batches())
            assert frames
            assert not reader.damaged
            assert reader.info.duration_seconds is None or 0.9 < reader.info.duration_seconds < 1.2


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e308, -1e12, None])
def test_times_that_cannot_be_are_reconstructed(seconds: float | None) -> None:
    timeline = Timeline(0.1)
    placed = [time for _, time in timeline.place(enumerate((seconds, 1.0, seconds, 2.0)))]
    assert placed == pytest.approx([0.9, 1.0, 1.1, 2.0])
    assert timeline.num_repaired == 2


def test_hints_are_finite_and_bounded() -> None:
    assert [moment(t) for t in (0.0, -3.5, 1.7e9, MAX_SECONDS, math.nan)] == [0.0, -3.5, 1.7e9, None, None]
    assert [length(t) for t in (0.0, 3600.0, -1.0, 1e9, math.inf)] == [0.0, 3600.0, None, None, None]
    assert [count(n) for n in (7, 0, -1, 2**63 - 1, None)] == [7, None, None, None, None]
    assert [rate(r) for r in (Fraction(25), Fraction(0), Fraction(-1), Fraction(2**31), None)] == [25, *[None] * 4]

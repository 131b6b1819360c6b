"""The sampler and the timeline."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidguard.errors import InputError
from vidguard.video.sampler import FrameSampler, Timeline

times = st.lists(st.floats(0, 100), min_size=1, max_size=80, unique=True).map(sorted)


def chosen(rate: float | None, pts: list[float]) -> list[float]:
    sampler = FrameSampler(rate)
    return [time for time in pts if sampler.wants(time)]


def test_25_to_8_frames_a_second() -> None:
    pts = [index / 25 for index in range(50)]
    # The first frame at or after each multiple of 0.125 s.
    expected = sorted({next(t for t in pts if t >= k / 8 - 0.001001) for k in range(16)})
    assert chosen(8, pts) == expected
    assert len(expected) == 16


def test_millisecond_rounding_keeps_every_frame_at_the_native_rate() -> None:
    pts = [round(index * 1001 / 30000, 3) for index in range(900)]
    assert chosen(30000 / 1001, pts) == pts


def test_a_slower_stream_is_used_whole_and_a_gap_does_not_pile_up() -> None:
    assert chosen(8, [0.0, 1.0, 2.0, 3.0]) == [0.0, 1.0, 2.0, 3.0]
    assert chosen(10, [0.0, 1.0, 1.04, 1.08, 1.12]) == [0.0, 1.0, 1.12]


def test_none_wants_every_frame() -> None:
    assert chosen(None, [3.0, 3.01, 3.02]) == [3.0, 3.01, 3.02]


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(InputError, match="positive"):
        FrameSampler(rate)


@given(times, st.floats(0.1, 60))
def test_each_grid_cell_gives_at_most_one_frame(pts: list[float], rate: float) -> None:
    taken = chosen(rate, pts)
    assert taken[0] == pts[0]
    cells = [math.floor((time - pts[0] + 0.001001) * rate + 1e-6) for time in taken]
    assert all(later >= earlier for earlier, later in pairwise(cells))
    assert len(taken) <= (pts[-1] - pts[0] + 0.001001) * rate + 1.001


@given(st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), max_size=50))
def test_a_timeline_increases_strictly_whatever_comes_in(raw: list[float | None]) -> None:
    timeline = Timeline(0.04)
    placed = [timeline.place(pts) for pts in raw]
    assert all(later > earlier for earlier, later in pairwise(placed))


def test_a_timeline_repairs_and_counts() -> None:
    timeline = Timeline(0.5)
    assert [timeline.place(pts) for pts in (3.0, None, 3.5, 5.0, 1.0)] == [3.0, 3.5, 4.0, 5.0, 5.5]
    assert timeline.num_repaired == 3

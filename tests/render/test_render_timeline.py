import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import make_track, two_faces

from vidguard.render.scale import STEPS, rgb, step_index
from vidguard.render.timeline import HEIGHT, TOP, WIDTH, Axis, curve_runs, draw_lane, level, time_axis
from vidguard.render.words import clock, percent
from vidguard.types import Interval


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00.0"),
        (59.96, "1:00.0"),
        (3599.99, "1:00:00.0"),
        (3723.4, "1:02:03.4"),
        (-1.5, "-0:01.5"),
        (-0.01, "0:00.0"),
    ],
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_percent_never_claims_certainty():
    assert [percent(p) for p in (0.0, 0.004, 0.5, 0.999, 1.0, None)] == ["<1%", "<1%", "50%", ">99%", ">99%", "–"]


@given(st.floats(0, 1))
def test_steps_cover_the_scale(prob):
    step = STEPS[step_index(prob)]
    assert step.lower - 1e-9 <= prob <= step.upper + 1e-9
    assert rgb(prob) == step.rgb


def test_axis_maps_and_clips():
    axis = Axis(Interval(5.0, 15.0))
    assert [axis.x(t) for t in (0, 5, 10, 15, 99)] == [0, 0, WIDTH / 2, WIDTH, WIDTH]
    assert [t.label for t in axis.ticks()] == ["0:06", "0:08", "0:10", "0:12", "0:14"]


@given(st.floats(0.1, 30_000), st.floats(0, 1000))
def test_ticks_are_few_and_inside(length, start):
    ticks = Axis(Interval(start, start + length)).ticks()
    assert len(ticks) <= 9
    assert all(0 <= t.x <= WIDTH for t in ticks)


def test_axis_covers_source_and_tracks():
    axis = time_axis(two_faces())
    assert (axis.domain.start, axis.domain.end) == (0.0, 20.0)


def test_lane_draws_height_colour_gap_and_unjudged():
    track, segments = make_track(7, [(0.0, 1.0), (3.0, 5.0)], lambda t: None if t >= 4 else 0.9)
    lane = draw_lane(Axis(Interval(0, 10)), track, segments, [])
    assert [step for step, _ in lane.bars] == [step_index(0.9)]
    assert lane.bars[0][1].count("M") == 2
    left, top, right = map(float, re.match(r"M([\d.]+) 100V([\d.]+)H([\d.]+)V", lane.bars[0][1]).groups())
    assert (left, top) == (0, level(0.9))
    assert 98 < right <= 100
    assert lane.unjudged.startswith("M400 ")
    assert lane.curve.count("M") == 2, "the curve must not cross the gap"
    assert lane.findings == ""


def test_merged_bars_keep_the_highest_probability():
    track, segments = make_track(1, [(0.0, 10_000.0)], lambda t: 0.95 if 5000 <= t < 5001 else 0.1, fps=1.0)
    lane = draw_lane(Axis(Interval(0, 10_000)), track, segments, [])
    bars = dict(lane.bars)
    assert bars[4].count("M") == 1
    assert bars[0].count("M") < 2000


def test_thinned_curve_keeps_the_peak_and_breaks_where_unjudged():
    def prob(t: float):
        return None if 400 <= t < 500 else (0.99 if t == 700.125 else 0.2)

    track, _ = make_track(1, [(0.0, 1000.0)], prob)
    runs = curve_runs(track)
    assert sum(map(len, runs)) <= 802
    assert len(runs) == 2
    assert (700.125, 0.99) in runs[1]
    assert all(run == sorted(run) for run in runs)


def test_level_is_upright():
    assert level(0.0) == HEIGHT
    assert level(1.0) == TOP

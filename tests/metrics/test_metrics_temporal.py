"""Localisation figures, against a fine ruler and cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidguard.errors import InputError
from vidguard.metrics import SegmentMatch, match_segments, pool_matches, segment_labels, temporal_iou

Intervals = list[tuple[float, float]]
INTERVALS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 8)).map(lambda p: (float(p[0]), float(p[0] + p[1]))), max_size=5
)


@settings(deadline=None)
@given(INTERVALS, INTERVALS)
def test_iou_is_what_a_ruler_of_whole_seconds_says(found: Intervals, truth: Intervals) -> None:
    a, b = ({s for low, high in x for s in range(int(low), int(high))} for x in (found, truth))
    value = temporal_iou(found, truth)
    if not a | b:
        assert math.isnan(value)
        return
    assert value == pytest.approx(len(a & b) / len(a | b))
    assert value == pytest.approx(temporal_iou(truth, found))


def test_iou_of_known_cases() -> None:
    assert temporal_iou([(0, 2)], [(0, 2)]) == 1.0
    assert temporal_iou([(0, 1), (1, 2)], [(0, 2)]) == 1.0, "a cut in the middle covers the same time"
    assert temporal_iou([(0, 1)], [(1, 2)]) == 0.0
    assert temporal_iou([], [(1, 2)]) == 0.0


def test_segments_match_one_to_one_best_first() -> None:
    truth = [(0.0, 10.0), (20.0, 30.0), (40.0, 50.0)]
    found = [(1.0, 10.0), (0.0, 10.0), (21.0, 32.0), (60.0, 70.0)]
    match = match_segments(found, truth)
    assert match.pairs == (((0.0, 10.0), (0.0, 10.0)), ((21.0, 32.0), (20.0, 30.0)))
    assert match.precision == 2 / 4
    assert match.recall == 2 / 3
    assert match.f1 == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert match.boundary_error == (0.5, 1.0)
    assert len(match_segments(found, truth, iou=0.76).pairs) == 1
    assert len(match_segments(found, truth, iou=0.75).pairs) == 2, "9 of 12 seconds: at the threshold is a match"


@settings(deadline=None)
@given(INTERVALS, INTERVALS, st.sampled_from([0.1, 0.5, 1.0]))
def test_no_stretch_is_matched_twice(found: Intervals, truth: Intervals, iou: float) -> None:
    match = match_segments(found, truth, iou)
    for side, given_ in ((0, found), (1, truth)):
        used = [pair[side] for pair in match.pairs]
        assert all(used.count(interval) <= given_.count(interval) for interval in used)
    assert all(temporal_iou([f], [t]) >= iou for f, t in match.pairs)
    unused_found, unused_true = list(found), list(truth)
    for f, t in match.pairs:
        unused_found.remove(f)
        unused_true.remove(t)
    assert all(temporal_iou([f], [t]) < iou for f in unused_found for t in unused_true), "a match was left out"


def test_pooled_counts_stretches_not_videos() -> None:
    one = match_segments([(0.0, 1.0)], [(0.0, 1.0)])
    none = match_segments([(5.0, 6.0), (8.0, 9.0)], [(0.0, 1.0)])
    silent = match_segments([], [])
    pooled = pool_matches([one, none, silent])
    assert (pooled.precision, pooled.recall, pooled.f1) == (1 / 3, 1 / 2, 2 / 5)
    assert pool_matches([]) == SegmentMatch((), 0, 0)


def test_undefined_is_nan() -> None:
    silent, missed = match_segments([], []), match_segments([], [(0.0, 1.0)])
    assert math.isnan(silent.f1)
    assert math.isnan(missed.precision)
    assert (missed.recall, missed.f1) == (0.0, 0.0)
    assert all(map(math.isnan, missed.boundary_error))


def test_segments_are_fake_from_half_their_time_on() -> None:
    segments = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 6.0)]
    # twice-covered time counts once: (4, 6) is covered for 0.75 s
    forged = [(1.6, 2.5), (3.1, 4.5), (4.0, 4.75)]
    assert segment_labels(segments, forged) == [False, None, True, True, None]
    assert segment_labels(segments, []) == [False] * 5
    assert segment_labels([(0.0, 1.0)], [(1.0, 2.0)]) == [False]
    assert segment_labels([], forged) == []


@pytest.mark.parametrize("bad", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_an_interval_takes_time(bad: tuple[float, float]) -> None:
    for call in (
        lambda: temporal_iou([bad], [(0.0, 1.0)]),
        lambda: match_segments([bad], [(0.0, 1.0)]),
        lambda: segment_labels([bad], []),
        lambda: segment_labels([(0.0, 1.0)], [bad]),
    ):
        with pytest.raises(InputError, match="interval"):
            call()


def test_an_iou_threshold_is_a_positive_share() -> None:
    with pytest.raises(InputError, match="iou"):
        match_segments([], [], iou=0.0)

"""Segments cover exactly the visible time, whatever order frames and logits arrive in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidguard.errors import InputError
from vidguard.scoring.segments import (
    ScoredStretch,
    SegmentBuilder,
    find_stretches,
    findings_of,
    merge_findings,
    opening_of,
)
from vidguard.types import Interval, Segment

STEPS = st.lists(st.floats(0.01, 2.0), min_size=1, max_size=40)


def build(
    frames: list[tuple[float, float]], logits: list[float], lag: int
) -> tuple[SegmentBuilder, list[ScoredStretch]]:
    builder = SegmentBuilder(segment_seconds=1.0, bridge_seconds=0.3)
    found: list[ScoredStretch] = []
    scored = 0
    for count, (start, end) in enumerate(frames, 1):
        builder.add_frame(start, end)
        ready = max(count - lag, scored)
        builder.add_logits(logits[scored:ready])
        scored = ready
        found += builder.take()
    builder.add_logits(logits[scored:])
    return builder, found + builder.finish()


@given(steps=STEPS, lag=st.integers(0, 12), data=st.data())
def test_segments_tile_the_visible_spans_and_arrival_changes_nothing(
    steps: list[float], lag: int, data: st.DataObject
) -> None:
    lengths = data.draw(st.lists(st.floats(0.01, 1.0), min_size=len(steps), max_size=len(steps)))
    starts = [sum(steps[:i]) for i in range(len(steps))]
    nexts = [*starts[1:], float("inf")]
    frames = [(s, min(s + length, n)) for s, length, n in zip(starts, lengths, nexts)]
    logits = [float(i % 5) - 2 for i in range(len(frames))]
    builder, segments = build(frames, logits, lag)
    assert (builder.spans, segments) == (lambda b, s: (b.spans, s))(*build(frames, logits, 0))
    edges = [(s.start, s.end) for s in segments]
    tiled: list[list[float]] = []
    for start, end in edges:
        assert end - start < 1.5
        if tiled and tiled[-1][1] == start:
            tiled[-1][1] = end
        else:
            tiled.append([start, end])
    assert tiled == [[s.start, s.end] for s in builder.spans]
    assert all(gap > 0.3 - 1e-9 for gap in (b.start - a.end for a, b in zip(builder.spans, builder.spans[1:])))


def test_a_segments_logit_is_the_time_weighted_mean() -> None:
    _, segments = build([(0.0, 0.25), (0.25, 0.5), (0.5, 1.5)], [4.0, 0.0, 2.0], lag=0)
    assert [(s.start, s.end, s.num_frames) for s in segments] == [(0.0, 1.0, 3), (1.0, 1.5, 1)]
    assert segments[0].logit == pytest.approx(4 * 0.25 + 0 * 0.25 + 2 * 0.5)
    assert segments[1].logit == 2.0


def test_a_short_miss_is_bridged_and_a_long_one_is_not() -> None:
    builder, segments = build([(0.0, 0.1), (0.3, 0.4), (2.0, 2.1)], [1.0, 1.0, 3.0], lag=0)
    assert [(s.start, s.end) for s in builder.spans] == [(0.0, 0.4), (2.0, 2.1)]
    assert [s.logit for s in segments] == [1.0, 3.0]


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(InputError):
        SegmentBuilder(1.0, 0.3).add_frame(1.0, 1.0)


def test_findings_merge_adjacent_segments_of_one_face_only() -> None:
    def segment(track: int, start: float, probability: float | None) -> Segment:
        return Segment(start=start, end=start + 1, track_id=track, fake_prob=probability, num_frames=8)

    segments = [
        segment(1, 0, 0.9),
        segment(1, 1, 0.7),
        segment(1, 2, 0.1),
        segment(1, 3, None),
        segment(1, 5, 0.8),
        segment(2, 2, 0.9),
    ]
    found = merge_findings(segments, threshold=0.6)
    assert [(f.track_id, f.start, f.end) for f in found] == [(1, 0, 2), (1, 5, 6), (2, 2, 3)]
    assert found[0].fake_prob == pytest.approx(0.8)
    assert (found[0].peak_time, found[0].peak_fake_prob) == (0.5, 0.9)


def test_a_span_of_a_microsecond_still_has_its_segment() -> None:
    builder, segments = build([(0.0, 0.000001), (5.0, 5.1)], [1.0, 2.0], lag=0)
    assert [(s.start, s.end) for s in segments] == [(s.start, s.end) for s in builder.spans]


@pytest.mark.parametrize(
    ("seconds", "edges"), [(2.4, [0, 1, 2.4]), (2.5, [0, 1, 2, 2.5]), (0.3, [0, 0.3]), (1.2, [0, 1.2])]
)
def test_a_short_rest_belongs_to_the_segment_before(seconds: float, edges: list[float]) -> None:
    _, segments = build([(0.0, seconds)], [1.0], lag=0)
    assert [(s.start, s.end) for s in segments] == list(itertools.pairwise(edges))


def frames(count: int, seconds: float = 0.125) -> list[Interval]:
    return [Interval(k * seconds, (k + 1) * seconds) for k in range(count)]


def plain_stretches(times: list[Interval], probs: list[float], opens: float) -> list[tuple[int, int]]:
    """The same told another way: suspicious frames as nodes, lulls as edges, components that open."""
    logit = np.log(np.array(probs) / (1 - np.array(probs)))
    bound = np.log(opens / (1 - opens))
    kept = [k for k in range(len(probs)) if logit[k] >= bound - 0.5]
    groups = [[k] for k in kept]
    for k, j in itertools.pairwise(kept):
        if times[j].start - times[k].end <= 1.0 + 1e-6:
            first = next(g for g in groups if k in g)
            second = next(g for g in groups if j in g)
            first += second
            groups.remove(second)
    least = 1 if len(probs) == 1 else 2
    return [(g[0], g[-1] + 1) for g in groups if sum(logit[k] >= bound for k in g) >= least]


def test_stretches_agree_with_a_plain_reading_of_the_rule() -> None:
    rng = np.random.default_rng(0)
    some = 0
    for _ in range(300):
        count = int(rng.integers(1, 60))
        starts = np.cumsum(rng.choice([0.125, 0.25, 0.9, 1.4], count))
        times = [Interval(float(t), float(t) + 0.125) for t in starts]
        probs = [float(p) for p in rng.uniform(0.01, 0.99, count)]
        opens = float(rng.uniform(0.5, 0.95))
        found = [(s.start, s.stop) for s in find_stretches(times, probs, opens)]
        assert found == plain_stretches(times, probs, opens)
        some += len(found)
    assert some > 200


def test_one_forgery_that_drops_out_is_one_finding_with_its_own_edges() -> None:
    probs = [0.1] * 80
    for k in [*range(20, 30), *range(34, 44)]:
        probs[k] = 0.9
    (found,) = findings_of(3, frames(80), probs, 0.8)
    assert (found.track_id, found.start, found.end) == (3, 2.5, 5.5)
    assert found.fake_prob == pytest.approx((20 * 0.9 + 4 * 0.1) / 24)
    assert found.peak_fake_prob == 0.9
    apart = [0.1] * 80
    apart[10:14] = apart[23:27] = [0.9] * 4
    assert [(f.start, f.end) for f in findings_of(3, frames(80), apart, 0.8)] == [(1.25, 1.75), (2.875, 3.375)]


def test_a_stretch_goes_on_through_less_than_opened_it_and_a_lone_frame_opens_none() -> None:
    assert find_stretches(frames(8), [0.1, 0.75, 0.9, 0.9, 0.75, 0.4, 0.1, 0.1], 0.8) == [slice(1, 5)]
    assert find_stretches(frames(8), [0.75] * 8, 0.8) == []
    assert find_stretches(frames(8), [0.1, 0.1, 0.99, 0.1, 0.1, 0.1, 0.1, 0.1], 0.8) == []
    assert find_stretches(frames(1), [0.99], 0.8) == [slice(0, 1)]
    assert find_stretches([], [], 0.8) == []
    assert find_stretches(frames(2), [1.0, 1.0], 1.0) == [slice(0, 2)]


def test_frames_open_a_finding_up_to_the_threshold_that_calibration_counts_with() -> None:
    rng = np.random.default_rng(1)
    for count in (1, 2, 9):
        probs = [float(p) for p in rng.uniform(0.05, 0.95, count)]
        limit = opening_of(probs)
        assert find_stretches(frames(count), probs, limit)
        assert not find_stretches(frames(count), probs, limit + 1e-9)

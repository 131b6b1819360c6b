"""The sampler and the timeline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidguard.errors import InputError
from vidguard.video.sampler import FrameSampler, Timeline

times = st.lists(st.floats(0, 100), min_size=1, max_size=80, unique=True).map(sorted)


def chosen(rate: float | None, pts: list[float], end: float | None = None) -> list[float]:
    sampled = list(FrameSampler[str](rate).sample(((str(time), time) for time in pts), lambda: end))
    assert all(name == str(time) for name, time in sampled)
    return [time for _, time in sampled]


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


def test_a_frame_that_stays_is_taken_though_it_came_between_two_points() -> None:
    assert chosen(8, [0.0, 0.04, 6.0]) == [0.0, 0.04, 6.0]  # shown from 0.04 to 6 s
    assert chosen(8, [0.0, 0.04, 0.08, 0.25]) == [0.0, 0.25]  # the next point, 0.125, is met no later than a step after
    assert chosen(8, [0.0, 0.04], end=6.0) == [0.0, 0.04]
    assert chosen(8, [0.0, 0.04], end=0.08) == chosen(8, [0.0, 0.04]) == [0.0]


@pytest.mark.parametrize("native", [23.976, 24, 25, 29.97, 30, 50, 60])
def test_of_a_constant_rate_only_the_first_frame_at_each_point_is_taken(native: float) -> None:
    pts = [index / native for index in range(600)]
    points = (k / 8 - 0.001001 for k in range(math.floor(pts[-1] * 8) + 1))
    assert chosen(8, pts, end=600 / native) == sorted({next(t for t in pts if t >= point) for point in points})


@given(times, st.floats(0.5, 60), st.floats(0, 20))
def test_what_is_taken_shows_whatever_stayed_and_taking_it_again_changes_nothing(
    pts: list[float], rate: float, last_stays: float
) -> None:
    end = pts[-1] + last_stays
    taken = chosen(rate, pts, end)
    assert chosen(rate, taken, end) == taken
    stays = [time for time, after in pairwise([*pts, end]) if after - time > 2 / rate + 0.003]
    assert set(stays) <= set(taken)
    for before, after in pairwise([*taken, end]):
        if after - before > 2 / rate + 0.003:
            assert not any(before < time < after for time in pts)


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


def placed(raw: Sequence[float | None], frame_seconds: float = 0.04) -> list[float]:
    """Times given to frames that are their own numbers: none is lost, added or moved."""
    given = list(Timeline(frame_seconds).place(enumerate(raw)))
    assert [number for number, _ in given] == list(range(len(raw)))
    return [time for _, time in given]


@given(st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), max_size=50))
def test_a_timeline_increases_strictly_whatever_comes_in(raw: list[float | None]) -> None:
    assert all(later > earlier for earlier, later in pairwise(placed(raw)))


@given(
    st.lists(st.floats(0.01, 2), min_size=4, max_size=40),
    st.data(),
    st.sampled_from(["missing", "repeated", "backward", "ahead"]),
)
def test_one_wrong_time_moves_its_own_frame_alone(steps: list[float], data: st.DataObject, wrong: str) -> None:
    true = list(accumulate(steps))
    where = data.draw(st.integers(1, len(true) - 3))
    raw: list[float | None] = [*true]
    raw[where] = {"missing": None, "repeated": true[where - 1], "backward": true[0] - 5, "ahead": true[-1] + 99}[wrong]
    given = placed(raw)
    assert given[:where] == true[:where]
    assert given[where + 1 :] == true[where + 1 :]
    assert true[where - 1] < given[where] <= true[where - 1] + 0.04 + 1e-9


@given(st.integers(1, 6), st.integers(1, 20))
def test_wrong_times_in_a_row_lie_evenly_between_their_neighbours(count: int, where: int) -> None:
    true = [k / 25 for k in range(40)]
    raw = [*true[:where], *[true[where - 1]] * count, *true[where + count :]]
    assert placed(raw) == pytest.approx(true)


def test_frames_shown_twice_do_not_move_the_others() -> None:
    assert placed([0.0, 0.0, 0.04, 0.04, 0.08, 0.08]) == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.12])


def test_time_goes_on_where_the_clock_jumps_back_for_good() -> None:
    raw = [10.0, 10.04, 10.08, *(k / 10 for k in range(20))]
    assert placed(raw) == pytest.approx([10.0, 10.04, 10.08, *(10.12 + k / 10 for k in range(20))])


def test_a_timeline_repairs_and_counts() -> None:
    timeline = Timeline(0.5)
    given = timeline.place(("", pts) for pts in (3.0, None, 3.5, 5.0, 1.0))
    assert [time for _, time in given] == [3.0, 3.25, 3.5, 5.0, 5.5]
    assert timeline.num_repaired == 2


def test_ordinary_times_are_looked_ahead_by_one_frame() -> None:
    taken: list[int] = []

    def frames() -> Iterator[tuple[int, float]]:
        for number in range(5):
            taken.append(number)
            yield number, number / 25

    for number, _ in Timeline(0.04).place(frames()):
        assert len(taken) <= number + 2

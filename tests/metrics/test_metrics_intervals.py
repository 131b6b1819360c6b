"""Bootstrap intervals: what is resampled, what they cover, where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from vidguard.errors import InputError
from vidguard.metrics import auc, bootstrap, bootstrap_auc, identity_groups, wilson_interval


def test_an_interval_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.5
    scores, groups = truth + rng.normal(size=60), [f"g{i % 13}" for i in range(60)]
    members = {g: [i for i in range(60) if groups[i] == g] for g in sorted(set(groups))}
    draw = np.random.default_rng(7)
    samples = []
    for _ in range(200):
        chosen = [i for k in draw.integers(0, 13, 13) for i in members[sorted(members)[k]]]
        samples.append(auc(truth[chosen], scores[chosen]))
    expected = tuple(np.percentile(samples, [2.5, 97.5]))
    assert bootstrap_auc(truth, scores, groups, rounds=200, seed=7) == pytest.approx(expected)


def test_copies_of_a_video_add_no_certainty() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(50) < 0.5
    scores = truth + rng.normal(size=50)
    single = bootstrap_auc(truth, scores, [str(i) for i in range(50)], rounds=400)
    copies = [np.repeat(x, 10) for x in (truth, scores, np.arange(50).astype(str))]
    assert bootstrap_auc(copies[0], copies[1], list(copies[2]), rounds=400) == pytest.approx(single)


def test_about_95_percent_of_intervals_hold_the_mean() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for seed in range(200):
        scores = np.repeat(rng.normal(size=40), 3)  # three videos of each source say the same
        low, high = bootstrap(
            lambda _, s: float(s.mean()),
            np.ones(120, bool),
            scores,
            [str(i // 3) for i in range(120)],
            rounds=150,
            seed=seed,
        )
        held += low <= 0 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_undefined_rounds_are_skipped_until_they_are_most() -> None:
    truth, scores = [True, True, False, False], [0.8, 0.9, 0.1, 0.2]
    assert bootstrap_auc(truth, scores, ["a", "b", "c", "d"]) == (1.0, 1.0)
    # exactly one fake is drawn in a quarter of the rounds
    rare = bootstrap(lambda t, s: auc(t, s) if t.sum() == 1 else math.nan, truth, scores, ["a", "b", "c", "d"])
    assert all(map(math.isnan, rare))
    assert all(map(math.isnan, bootstrap_auc([True, True], [0.1, 0.2], ["a", "b"])))
    assert all(map(math.isnan, bootstrap_auc([], [], [])))


def test_a_seed_repeats_an_interval() -> None:
    rng = np.random.default_rng(3)
    truth, scores, groups = rng.random(40) < 0.5, rng.random(40), [str(i) for i in range(40)]
    first = bootstrap_auc(truth, scores, groups, rounds=50, seed=1)
    assert bootstrap_auc(truth, scores, groups, rounds=50, seed=1) == first
    assert bootstrap_auc(truth, scores, groups, rounds=50, seed=2) != first


def test_every_item_needs_a_group() -> None:
    with pytest.raises(InputError, match="groups"):
        bootstrap_auc([True, False], [1.0, 0.0], ["a"])
    with pytest.raises(InputError, match="round"):
        bootstrap_auc([True, False], [1.0, 0.0], ["a", "b"], rounds=0)


def test_people_linked_by_a_swap_share_a_group() -> None:
    groups = identity_groups([["000"], ["000", "003"], ["003"], ["010", "011"], [], ["011", "012"], [], ["0"]])
    assert groups == ["0", "0", "0", "1", "2", "1", "3", "4"]
    assert len(set(identity_groups([["a", "b"], ["c", "d"], ["e", "f"], ["b", "c"], ["f", "d"]]))) == 1
    assert identity_groups([]) == []


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=3), max_size=12))
def test_groups_are_the_connected_components(identities: list[list[str]]) -> None:
    groups = identity_groups(identities)
    for start in range(len(identities)):
        reached, people = {start}, set(identities[start])
        for _ in identities:
            reached |= {i for i, who in enumerate(identities) if people & set(who)}
            people |= {p for i in reached for p in identities[i]}
        assert {i for i, g in enumerate(groups) if g == groups[start]} == reached


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (5, 5), (1, 3), (37, 100)])
def test_wilson_interval_equals_scipys(successes: int, count: int) -> None:
    expected = binomtest(successes, count).proportion_ci(method="wilson")
    assert wilson_interval(successes, count) == pytest.approx((expected.low, expected.high))


def test_wilson_interval_needs_trials() -> None:
    assert all(map(math.isnan, wilson_interval(0, 0)))
    with pytest.raises(InputError, match="successes"):
        wilson_interval(3, 2)
